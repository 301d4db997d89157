//! Output of any kind and amount, and a disk that refuses.

use std::fs;

use agentd::{runner::EXIT_DONE, task::attempt::Status, transcript::Stream};
use agentd_proto::v1::runner_message::Message;

use crate::{
    exits_with, status,
    support::{Case, wait_until},
};

#[test]
fn a_result_that_the_disk_refuses_is_told_and_tried_again() {
    let case = Case::new("exit 4");
    let in_the_way = case.dir.path().join("result");
    fs::create_dir_all(in_the_way.join("x")).unwrap();
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    assert_eq!(connection.exited().exit.unwrap().code, Some(4));
    assert!(case.log().contains("cannot put the result in place"));
    fs::remove_dir_all(in_the_way).unwrap();
    wait_until("the result", || {
        case.result().filter(|_| status(&case) == Status::Code(4))
    });
    connection.ack();
    exits_with(&mut runner, EXIT_DONE);
}

#[test]
fn output_without_bounds_costs_bounded_memory_and_disk() {
    let mut case = Case::new(
        "head -c 50000000 /dev/urandom; head -c 100000000 /dev/zero | tr '\\0' x; echo; echo end",
    );
    case.launch.transcript_limit = 1 << 20;
    let daemon = case.daemon();
    let runner = case.runner();
    let connection = daemon.connection();
    let before = runner.memory("VmRSS");
    connection.go();
    let mut beats = 0;
    loop {
        match connection.next() {
            Message::Heartbeat(_) => beats += 1,
            Message::Exited(_) => break,
            Message::Started(_) | Message::Register(_) | Message::Observed(_) => {}
        }
    }
    // The rest of the peak is the program's own file, as far as it was needed.
    let (grown, own) = (runner.memory("VmHWM") - before, runner.memory("RssAnon"));
    assert!(
        grown < 8_000 && own < 4_000,
        "grown by {grown} KiB, own {own} KiB"
    );
    assert!(beats > 0, "the flood does not silence the runner");
    let files = fs::read_dir(case.dir.transcript()).unwrap();
    let size: u64 = files.map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(size <= 1 << 20);
    let records = case.records();
    assert_eq!(records.last().unwrap().data, b"end");
    let note = records.iter().find(|record| record.stream == Stream::Note);
    assert!(String::from_utf8_lossy(&note.unwrap().data).contains("dropped"));
}

#[test]
fn every_byte_of_binary_output_is_kept() {
    let mut case = Case::new("head -c 20000000 /dev/urandom | tee copy; printf 'no end'");
    case.launch.transcript_limit = 256 << 20;
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    connection.exited();
    let mut want = fs::read(case.path("copy")).unwrap();
    want.extend_from_slice(b"no end");
    assert!(case.written(Stream::Output) == want, "not what it wrote");
}
