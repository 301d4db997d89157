//! Snapshots of what people and scripts see.

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
};

use jiff::Timestamp;

use super::*;

/// Both streams, in the order in which they would be seen.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Vec<u8>>>, &'static str);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.borrow_mut();
        if all.last().is_none_or(|&last| last == b'\n') {
            all.extend(self.1.bytes());
        }
        all.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn printed(
    format: Option<Format>,
    dry_run: bool,
    interrupted: bool,
    entries: impl IntoIterator<Item = Entry>,
) -> String {
    let memory = Memory(Rc::default(), "out: ");
    let err = Memory(Rc::clone(&memory.0), "err: ");
    let mut out = Output::into(
        Box::new(memory.clone()),
        Box::new(err),
        Timestamp::UNIX_EPOCH,
    );
    let mut report = Report::new(format, dry_run);
    for entry in entries {
        report.add(&mut out, entry).unwrap();
    }
    report.finish(&mut out, interrupted).unwrap();
    String::from_utf8(memory.0.take()).unwrap()
}

fn all() -> [Entry; 5] {
    [
        Entry::new(1, Outcome::Accepted).new_task(11),
        Entry::new(2, Outcome::Skipped).because("task 9 came after it and succeeded".to_owned()),
        Entry::new(3, Outcome::Refused).because("there is no agent \"a\u{85}b\"".to_owned()),
        Entry::new(4, Outcome::Unknown),
        Entry::new(5, Outcome::Left),
    ]
}

#[test]
fn what_became_of_each() {
    insta::assert_snapshot!(printed(None, false, true, all()));
}

#[test]
fn for_scripts() {
    insta::assert_snapshot!(printed(Some(Format::Json), false, true, all()));
    insta::assert_snapshot!(printed(Some(Format::Name), false, false, all()));
    insta::assert_snapshot!(printed(Some(Format::Table), false, false, all()));
}

#[test]
fn what_would_be_done() {
    let planned = || {
        [
            Entry::new(1, Outcome::WouldRun)
                .because("task 1 failed: agent_error: exit code 3".to_owned()),
            Entry::new(2, Outcome::Skipped).because("task 9 came after it and failed".to_owned()),
        ]
    };
    insta::assert_snapshot!(printed(None, true, false, planned()));
    insta::assert_snapshot!(printed(Some(Format::Json), true, false, planned()));
    insta::assert_snapshot!(printed(None, false, false, []));
}
