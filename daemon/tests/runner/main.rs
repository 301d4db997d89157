//! Real runners with real agents, against a daemon that does what a test says.

mod activity;
mod manager;
mod output;
mod session;
mod stop;
mod support;

use std::{
    fs::{self, File},
    process::Stdio,
    time::Duration,
};

use agentd::{
    process::{Signal, identity, is_alive},
    runner::{EXIT_DONE, EXIT_FENCED, EXIT_NO_GO, EXIT_UNUSABLE},
    spool::{LockState, Stdin},
    task::attempt::{Run, Status},
    transcript::Stream,
};
use support::{Case, RunnerProcess, wait_until};

const LONG: Duration = Duration::from_secs(600);

fn exits_with(runner: &mut RunnerProcess, code: u8) {
    assert_eq!(runner.wait().code(), Some(i32::from(code)));
}

/// The status that the result on disk has.
fn status(case: &Case) -> Status {
    match case.result().expect("a result").run {
        Run::Exited { exit, .. } => exit.status,
        other @ (Run::NotStarted | Run::SpawnFailed { .. } | Run::SetupFailed { .. }) => {
            panic!("{other:?}")
        }
    }
}

#[test]
fn an_agent_runs_from_go_to_ack() {
    let mut case = Case::new(
        "cat; echo bad >&2; grep Sig /proc/self/status; env; pwd; cat /proc/self/oom_score_adj; exit 3",
    );
    case.launch.stdin = Stdin::Prompt;
    case.launch.env.insert("WORD".into(), "a b".into());
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    let register = &connection.register;
    assert_eq!((register.task, register.attempt), (42, 1));
    assert_eq!(register.nonce, case.launch.nonce.0);
    let identity = register.runner.as_ref().unwrap();
    assert_eq!(identity.pid, runner.pid());
    assert!(register.started.is_none() && register.exited.is_none());
    assert_eq!(case.lock(), LockState::Held);
    assert!(!case.dir.transcript().exists(), "nothing runs before Go");
    connection.go();
    connection.go();
    let agent = connection.started().agent.unwrap();
    let exited = connection.exited();
    assert_eq!(exited.exit.as_ref().unwrap().code, Some(3));
    assert!(exited.started_at > 0 && exited.ended_at >= exited.started_at);
    assert!(exited.exit.unwrap().peak_memory > 0);
    assert_eq!(status(&case), Status::Code(3));
    assert_ne!(agent.pid, runner.pid());
    assert_eq!(case.lock(), LockState::Held, "until it is acknowledged");
    connection.ack();
    exits_with(&mut runner, EXIT_DONE);
    assert_eq!(case.lock(), LockState::Free);
    assert_eq!(case.log(), "");

    assert_eq!(case.text(Stream::Errors), "bad\n");
    let text = case.text(Stream::Output);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("do it"));
    for set in ["SigBlk", "SigIgn"] {
        let line = lines.find(|line| line.starts_with(set)).unwrap();
        let (_, mask) = line.split_once('\t').unwrap();
        let mask = u64::from_str_radix(mask, 16).unwrap();
        // All but the two that belong to the C library: 32 and 33.
        assert_eq!(mask & !(0b11 << 31), 0, "{line}");
    }
    let marker = format!("AGENTD_ATTEMPT={}", case.marker().value());
    for want in [&marker, "WORD=a b", case.launch.cwd.to_str().unwrap()] {
        assert!(text.lines().any(|line| line == want), "{want} in {text}");
    }
    assert!(
        !text.contains("CARGO"),
        "nothing of our environment: {text}"
    );
}

#[test]
fn a_result_is_told_until_it_is_acknowledged() {
    let case = Case::new("exit 0");
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    let first = connection.exited();
    assert_eq!(connection.exited(), first, "told again");
    drop(connection);
    let again = daemon.connection();
    assert_eq!(again.register.exited.as_ref(), Some(&first));
    assert!(again.register.started.is_some());
    again.ack();
    exits_with(&mut runner, EXIT_DONE);
}

#[test]
fn a_runner_whose_directory_was_taken_away_leaves() {
    let case = Case::new("exit 0");
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    connection.exited();
    drop((connection, daemon));
    fs::remove_dir_all(case.dir.path()).unwrap();
    exits_with(&mut runner, EXIT_DONE);
}

#[test]
fn what_cannot_be_run_is_told_with_its_reason() {
    let told = |argv: &[&str], cwd: &str| {
        let mut case = Case::new("true");
        case.launch.argv = argv.iter().map(|word| (*word).to_owned()).collect();
        case.launch.cwd = cwd.into();
        let daemon = case.daemon();
        let mut runner = case.runner();
        let connection = daemon.connection();
        connection.go();
        let exited = connection.exited();
        assert!(exited.exit.is_none());
        connection.ack();
        exits_with(&mut runner, EXIT_DONE);
        let (message, missing) = (exited.spawn_error, exited.agent_missing);
        let run = Run::SpawnFailed {
            message: message.clone(),
            missing,
        };
        assert_eq!(case.result().unwrap().run, run);
        (message, missing)
    };
    let told_of = |message: &str, missing| (message.to_owned(), missing);
    assert_eq!(
        told(&["no-such-program"], "/"),
        told_of(
            "cannot run no-such-program: No such file or directory",
            true
        )
    );
    assert_eq!(
        told(&["/etc/passwd", "x"], "/"),
        told_of("cannot run /etc/passwd: Permission denied", true)
    );
    assert_eq!(
        told(&["true"], "/no/where"),
        told_of("cannot work in /no/where: No such file or directory", false)
    );
    assert_eq!(
        told(&["true", &"x".repeat(200_000)], "/"),
        told_of("cannot run true: Argument list too long", false)
    );
}

#[test]
fn a_prompt_that_is_gone_is_told() {
    let mut case = Case::new("true");
    case.launch.stdin = Stdin::Prompt;
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    fs::remove_file(case.dir.prompt()).unwrap();
    connection.go();
    let exited = connection.exited();
    assert_eq!(
        exited.spawn_error,
        "cannot open the prompt: No such file or directory"
    );
    assert!(!exited.agent_missing);
}

#[test]
fn a_run_goes_on_without_the_daemon() {
    let case = Case::new(
        "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo half
         while ! [ -e go-on ]; do sleep 0.01; done
         i=0; while [ $i -lt 2000 ]; do echo more $i; i=$((i+1)); done; exit 5",
    );
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    let started = connection.started();
    drop((connection, daemon));
    wait_until("half of it", || {
        case.text(Stream::Output).ends_with("half\n").then_some(())
    });
    // The daemon is back while the agent runs, and dies again.
    let daemon = case.daemon();
    let connection = daemon.connection();
    assert_eq!(connection.register.started.as_ref(), Some(&started));
    assert!(connection.register.exited.is_none());
    drop((connection, daemon));
    fs::write(case.path("go-on"), "").unwrap();
    wait_until("the result", || case.result());
    assert_eq!(case.lock(), LockState::Held);
    let daemon = case.daemon();
    let connection = daemon.connection();
    let exited = connection.register.exited.clone().expect("its result");
    assert_eq!(exited.exit.unwrap().code, Some(5));
    let mut want: String = (0..2000).map(|i| format!("line {i}\n")).collect();
    want += "half\n";
    want.extend((0..2000).map(|i| format!("more {i}\n")));
    assert_eq!(case.text(Stream::Output), want);
    connection.ack();
    exits_with(&mut runner, EXIT_DONE);
}

#[test]
fn a_fenced_runner_kills_its_tree_and_leaves_no_result() {
    let case = Case::new("trap '' TERM; setsid sleep 600 & echo up; while :; do sleep 600; done");
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    wait_until("the agent is up", || {
        (case.text(Stream::Output) == "up\n").then_some(())
    });
    connection.fence();
    exits_with(&mut runner, EXIT_FENCED);
    case.assert_tree_is_empty();
    assert_eq!(case.result(), None);
    assert_eq!(case.lock(), LockState::Free);
}

#[test]
fn without_go_nothing_runs() {
    let mut case = Case::new("echo never");
    case.launch.start_timeout = 300;
    let mut runner = case.runner();
    exits_with(&mut runner, EXIT_NO_GO);
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    exits_with(&mut runner, EXIT_NO_GO);
    let mut runner = case.runner();
    daemon.connection().fence();
    exits_with(&mut runner, EXIT_FENCED);
    drop(connection);
    assert_eq!(case.result(), None);
    assert!(!case.dir.transcript().exists());
}

#[test]
fn a_runner_without_its_lock_refuses() {
    let case = Case::new("echo never");
    case.dir.write_launch(&case.launch, "").unwrap();
    let mut runner = case.runner_with(Stdio::null());
    exits_with(&mut runner, EXIT_UNUSABLE);
    assert!(
        case.log().contains("cannot take over the attempt's lock"),
        "{}",
        case.log()
    );
    let lock = case.dir.lock_for_runner().unwrap();
    let stranger = File::open(case.dir.path().join("runner.lock")).unwrap();
    let mut runner = case.runner_with(stranger.into());
    exits_with(&mut runner, EXIT_UNUSABLE);
    assert!(
        case.log()
            .contains("another runner of this attempt is alive")
    );
    drop(lock);
}

#[test]
fn the_agent_dies_with_its_runner() {
    let case = Case::new("trap '' TERM; echo up; exec sleep 600");
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    let agent = connection.started().agent.unwrap();
    let agent = identity(agent.pid).unwrap().expect("it lives");
    // What ends the daemon does not end the runner.
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::PIPE] {
        runner.signal(signal);
    }
    connection.heartbeat();
    runner.kill();
    wait_until("the agent is gone", || {
        (!is_alive(&agent).unwrap()).then_some(())
    });
    assert_eq!(case.lock(), LockState::Free);
    assert_eq!(case.result(), None);
}
