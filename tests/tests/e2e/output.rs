//! What an agent writes arrives unharmed, and costs little.

use std::{
    io::{BufReader, Read as _},
    process::{Child, ChildStdout},
};

use agentd_tests::{Output, TestDaemon, fake_agent, peak_memory, wait_until};

const MIB: u64 = 1024 * 1024;

/// What a daemon and a runner may come to in a debug build, whatever an agent
/// writes: most of it is the program itself and the cache of the store.
const DAEMON_MEMORY: u64 = 96 * MIB;
const RUNNER_MEMORY: u64 = 32 * MIB;

/// What the agent prints, without a daemon.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// The peak of the runner's memory, taken while it waits for its daemon.
fn runner_memory(daemon: &TestDaemon) -> u64 {
    let runners = daemon.runners();
    assert_eq!(runners.len(), 1, "{runners:?}");
    peak_memory(runners[0].pid).unwrap()
}

#[test]
fn ten_megabytes_of_binary_output_arrive_as_they_are() {
    let mut daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let line = fake_agent(["bytes", "10485760", "7"]).join(" ");
    let task = daemon.sh(&format!("{line}; read _ <{}", gate.path()));
    let followed = daemon
        .agentctl()
        .command(&["logs", "-f", "--raw", "1"])
        .spawn()
        .unwrap();
    // All is printed.
    let held = gate.reached();
    let runner = runner_memory(&daemon);
    assert!(
        runner < RUNNER_MEMORY,
        "the runner had {} KiB",
        runner / 1024
    );
    gate.open();
    drop(held);
    let expected = bytes(10 * 1024 * 1024, 7);
    let followed = Output::wait(followed).ok();
    assert!(
        followed.stdout == expected,
        "{} bytes",
        followed.stdout.len()
    );
    assert_eq!(daemon.wait(task)["state"], "succeeded");
    let read = daemon.ctl(&["logs", "--raw", "1"]).ok();
    assert!(read.stdout == expected, "{} bytes", read.stdout.len());
    let had = peak_memory(daemon.pid()).unwrap();
    assert!(had < DAEMON_MEMORY, "the daemon had {} KiB", had / 1024);
    // And by another daemon, from the disk.
    daemon.kill();
    daemon.launch();
    let read = daemon.ctl(&["logs", "--raw", "1"]).ok();
    assert!(read.stdout == expected, "{} bytes", read.stdout.len());
}

/// Reads to the end without keeping it: how many bytes, and whether all are x.
fn count(call: &mut Child) -> (u64, bool) {
    let mut out: BufReader<ChildStdout> = BufReader::new(call.stdout.take().unwrap());
    let (mut count, mut whole) = (0, true);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = out.read(&mut buffer).unwrap();
        if read == 0 {
            return (count, whole);
        }
        whole &= buffer[..read].iter().all(|byte| *byte == b'x');
        count += u64::try_from(read).unwrap();
    }
}

#[test]
fn a_line_of_a_hundred_megabytes_is_kept_in_bounded_memory() {
    const LINE: u64 = 100 * 1000 * 1000;
    let daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let line = fake_agent(["line", &LINE.to_string()]).join(" ");
    let task = daemon.sh(&format!("{line}; read _ <{}", gate.path()));
    let held = gate.reached();
    let runner = runner_memory(&daemon);
    assert!(
        runner < RUNNER_MEMORY,
        "the runner had {} KiB",
        runner / 1024
    );
    gate.open();
    drop(held);
    assert_eq!(daemon.wait(task)["state"], "succeeded");
    let mut read = daemon
        .agentctl()
        .command(&["logs", "--raw", "1"])
        .spawn()
        .unwrap();
    assert_eq!(count(&mut read), (LINE, true));
    assert_eq!(Output::wait(read).code, 0);
    let had = peak_memory(daemon.pid()).unwrap();
    assert!(had < DAEMON_MEMORY, "the daemon had {} KiB", had / 1024);
}

/// A client that stops reading costs nobody anything.
#[test]
fn a_client_that_does_not_read_is_not_waited_for() {
    let daemon = TestDaemon::start();
    let line = fake_agent(["line", "30000000"]).join(" ");
    let task = daemon.sh(&line);
    let mut lazy = daemon
        .agentctl()
        .command(&["logs", "-f", "--raw", "1"])
        .spawn()
        .unwrap();
    // Its pipe is full; the agent goes on all the same.
    assert_eq!(daemon.wait(task)["state"], "succeeded");
    let had = peak_memory(daemon.pid()).unwrap();
    assert!(had < DAEMON_MEMORY, "the daemon had {} KiB", had / 1024);
    assert_eq!(count(&mut lazy), (30_000_000, true));
    assert_eq!(Output::wait(lazy).code, 0);
}

#[test]
fn streams_are_told_apart() {
    let daemon = TestDaemon::start();
    let run = daemon
        .ctl(&[
            "run",
            "--",
            "sh",
            "-c",
            "echo out; echo err >&2; printf open",
        ])
        .ok();
    assert_eq!(run.text().trim_end(), "out\nopen");
    assert!(run.stderr.contains("err\n"), "{run:?}");
    let logs = |args: &[&str]| daemon.ctl(&[&["logs", "1"], args].concat()).ok();
    let raw = logs(&["--raw"]);
    assert_eq!((raw.text(), raw.stderr.as_str()), ("out\nopen", "err\n"));
    let only = logs(&["--raw", "--stdout"]);
    assert_eq!((only.text(), only.stderr.as_str()), ("out\nopen", ""));
    let only = logs(&["--raw", "--stderr"]);
    assert_eq!((only.text(), only.stderr.as_str()), ("", "err\n"));
    let stamped = logs(&["--timestamps", "--stdout"]);
    let year = stamped.text().lines().next().unwrap();
    assert!(
        year.starts_with("20") && year.ends_with(" out"),
        "{stamped:?}"
    );
}

#[test]
fn the_tail_is_the_last_lines() {
    let daemon = TestDaemon::start();
    let task = daemon.sh("for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; done");
    daemon.wait(task);
    let tail = |count: &str| daemon.ctl(&["logs", "--tail", count, "1"]).ok();
    assert_eq!(tail("3").text(), "8\n9\n10\n");
    assert_eq!(tail("100").text().lines().count(), 10);
    // A queued task has said nothing.
    let _said = daemon.ctl(&["pause"]).ok();
    let queued = daemon.sh("true");
    let none = daemon.ctl(&["logs", &queued.to_string()]).ok();
    assert_eq!((none.text(), none.stderr.as_str()), ("", "no output\n"));
}

/// Followed from before the start over two attempts to the end.
#[test]
fn following_goes_from_one_attempt_to_the_next() {
    let daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let _said = daemon.ctl(&["pause"]).ok();
    let task = daemon.sh(&format!(
        "echo attempt $AGENTD_ATTEMPT | cut -d: -f1; read _ <{}",
        gate.path()
    ));
    let followed = daemon
        .agentctl()
        .command(&["logs", "-f", "--raw", "1"])
        .spawn()
        .unwrap();
    wait_until("it is connected", || daemon.connections() == 1);
    let _said = daemon.ctl(&["resume"]).ok();
    let held = gate.reached();
    daemon.wait_state(task, "running");
    let runner = daemon.show(task)["attempt"]["runner_pid"].as_u64().unwrap();
    agentd_tests::kill_pid(u32::try_from(runner).unwrap());
    drop(held);
    wait_until("the second attempt runs", || {
        let shown = daemon.show(task);
        shown["state"] == "running" && shown["attempt"]["number"] == 2
    });
    gate.open();
    let followed = Output::wait(followed).ok();
    assert_eq!(followed.text(), "attempt 1.1\nattempt 1.2\n");
}
