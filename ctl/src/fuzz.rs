//! Properties of what agentctl reads: words of a command line, the
//! environment, and what the daemon says. Each takes any bytes and panics if
//! it does not hold for them.
//!
//! `tests/fuzz` looks for such bytes; the test of this module runs what was
//! found once, and the examples to begin with, as part of `cargo test`.

use std::{
    cell::RefCell,
    ffi::OsStr,
    io::{self, Write},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    rc::Rc,
    time::Duration,
};

use agentd_proto::{
    endpoint::{Environment, MAX_SOCKET_PATH},
    v1,
};
use jiff::{Timestamp, tz::TimeZone};
use prost::Message as _;
use tonic::{Code, Status};

use crate::{
    command::{exit_code, task::parse_label},
    doctor::Surroundings,
    error::{EXIT_OK, Error},
    id::{AttemptRef, TaskRef, TaskSet},
    output::{
        Output,
        list::{Format, ListArgs},
        page::Page,
        sessions::SessionList,
        tasks::{TaskList, result_line},
    },
    socket::{Refusal, Sockets},
    when::{Span, When, between, human, local, rfc3339, short},
};

const NOW: i64 = 1_772_366_400_000;

fn now() -> Timestamp {
    Timestamp::from_millisecond(NOW).expect("a day in 2026")
}

/// Ids, ranges, durations, times and labels are understood as one thing or
/// refused; and every number of milliseconds can be shown.
pub fn words(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    ids(text);
    if let Ok(span) = text.parse::<Span>() {
        assert!(i64::try_from(span.as_millis()).is_ok());
        let again = format!("{}ms", span.as_millis());
        assert_eq!(again.parse(), Ok(span));
    }
    if let Ok(when) = text.parse::<When>() {
        let zone = TimeZone::fixed(jiff::tz::offset(14));
        let at = when.as_millis(now(), &zone);
        shown_time(at);
    }
    if let Ok((name, value)) = parse_label(text) {
        assert!(!name.is_empty() && format!("{name}={value}") == text);
    }
    if let Some(first) = data.first_chunk() {
        shown_time(i64::from_le_bytes(*first));
    }
}

fn ids(text: &str) {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Ok(TaskRef::Number(number)) = text.parse() {
        assert!(number > 0 && digits(text), "{text:?}");
    }
    if let Ok(AttemptRef { task, attempt }) = text.parse() {
        let (name, number) = text.split_once('.').unwrap_or((text, ""));
        assert_eq!(name.parse(), Ok(task));
        assert_eq!(attempt, number.parse().ok());
        assert_ne!(attempt, Some(0));
    }
    match text.parse() {
        Ok(TaskSet::One(task)) => assert_eq!(text.parse(), Ok(task)),
        Ok(TaskSet::Range(first, last)) => {
            assert!((1..=last).contains(&first) && last - first < 1000);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn shown_time(at: i64) {
    let zone = TimeZone::fixed(jiff::tz::offset(-12));
    for text in [rfc3339(at), local(at, &zone)].into_iter().flatten() {
        assert!(!text.is_empty() && text.is_ascii(), "{text:?}");
    }
    if let Some(passed) = between(NOW, at) {
        assert!(at > NOW || passed == Duration::ZERO);
        assert!(!human(passed).is_empty() && !short(passed).is_empty());
    }
}

/// Whatever a daemon says of a task, or of an error, can be printed in every
/// format, and nothing of it steers the terminal.
pub fn shown(data: &[u8]) {
    if let Ok(task) = v1::Task::decode(data) {
        harmless(&result_line(&task), "");
        assert!(task.state() == v1::State::Succeeded || exit_code(&task, true) != EXIT_OK);
        let mut page = Page::new(false, now(), TimeZone::UTC);
        page.task(&task, &[]);
        page.work(&task);
        task.attempt
            .iter()
            .for_each(|attempt| page.attempt(attempt));
        harmless(&page.into_text(), "\n\t");
        for (format, width) in [
            (Format::Table, Some(40)),
            (Format::Wide, None),
            (Format::Jsonl, None),
            (Format::Yaml, None),
        ] {
            harmless(&printed(&task, format, width), "\n");
        }
    }
    if let Ok(session) = v1::Session::decode(data) {
        let mut page = Page::new(false, now(), TimeZone::UTC);
        page.session(&session);
        harmless(&page.into_text(), "\n");
        let answer = v1::SessionListResponse {
            sessions: vec![session],
            ..v1::SessionListResponse::default()
        };
        for (format, width) in [(Format::Table, Some(40)), (Format::Wide, None)] {
            let list = SessionList::from(answer.clone());
            let text = written(width, |out| out.sessions(list, &ListArgs::of(format)));
            harmless(&text, "\n");
        }
    }
    let (code, message) = match data.split_first() {
        Some((code, message)) => (Code::from(i32::from(*code)), message),
        None => (Code::Unknown, data),
    };
    let said = String::from_utf8_lossy(message);
    let plain = Status::new(code, said.clone());
    let detailed = Status::with_details(code, said, message.to_vec().into());
    for status in [plain, detailed] {
        let error = Error::from(status);
        harmless(&error.render(), "\n");
        assert_ne!(error.kind().exit_code(), EXIT_OK);
    }
}

/// No control character but these.
fn harmless(text: &str, but: &str) {
    let found = text.chars().find(|c| c.is_control() && !but.contains(*c));
    assert_eq!(found, None, "in {text:?}");
}

/// A list of one task as it is printed.
fn printed(task: &v1::Task, format: Format, width: Option<usize>) -> String {
    let list = TaskList {
        tasks: vec![task.clone()],
        ..TaskList::default()
    };
    written(width, |out| out.tasks(list, &ListArgs::of(format)))
}

/// What is printed.
fn written(width: Option<usize>, print: impl FnOnce(&mut Output) -> Result<(), Error>) -> String {
    let stdout = Memory::default();
    let mut out = Output::into(Box::new(stdout.clone()), Box::new(io::sink()), now());
    out.width = width;
    let done = print(&mut out);
    done.and_then(|()| out.flush()).expect("memory takes it");
    drop(out);
    String::from_utf8(stdout.0.take()).expect("text")
}

#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whatever the environment holds, the places for the daemon's files are
/// absolute, and a client looks at one or two sockets, each of which it can
/// try or refuse. The lines are the variables; an empty one is unset.
pub fn socket(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut next = || {
        let line = lines.next().filter(|line| !line.is_empty())?;
        Some(OsStr::from_bytes(line).to_owned())
    };
    let env = Environment {
        socket: next(),
        runtime_directory: next(),
        xdg_runtime_dir: next(),
        xdg_state_home: next(),
        home: next(),
        root: next().is_some(),
    };
    for dir in [env.state_dir(), env.runtime_dir()].into_iter().flatten() {
        assert!(dir.is_absolute(), "{dir:?}");
    }
    let flag = next();
    let sockets = Sockets::choose(
        flag.as_deref().map(Path::new),
        &env,
        &Surroundings::default(),
    );
    assert_eq!(sockets.named, flag.is_some() || env.socket.is_some());
    let most = if sockets.named { 1 } else { 2 };
    assert!((1..=most).contains(&sockets.paths.len()));
    for path in &sockets.paths {
        assert!(sockets.named || path.is_absolute(), "{path:?}");
        let usable = path.to_str().is_some() && path.as_os_str().len() <= MAX_SOCKET_PATH;
        assert_eq!(Refusal::beforehand(path).is_none(), usable, "{path:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Runs a property over the seeds of its target.
    fn replay(target: &str, property: fn(&[u8])) {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds");
        let mut seen = 0;
        for seed in fs::read_dir(seeds.join(target)).unwrap() {
            let path = seed.unwrap().path();
            // Shown if the property panics.
            println!("{}", path.display());
            property(&fs::read(&path).unwrap());
            seen += 1;
        }
        assert!(seen > 0, "{target} has no seed");
    }

    #[test]
    fn words_are_understood_or_refused() {
        replay("words", words);
    }

    #[test]
    fn what_is_shown_is_harmless() {
        replay("shown", shown);
    }

    #[test]
    fn sockets_are_found() {
        replay("socket", socket);
    }
}
