//! Real runners with real agents, against a daemon that does what a test says.

mod runner_support;

use std::{
    fs::{self, File},
    process::Stdio,
    time::Duration,
};

use agentd::{
    process::{Signal, identity, is_alive},
    runner::{EXIT_DONE, EXIT_FENCED, EXIT_NO_GO, EXIT_UNUSABLE},
    spool::{Fallback, LockState, Reads, Scope, Stdin},
    task::{
        attempt::{Run, Status},
        signs::{Rules, Sign},
        usage::Usage,
    },
    transcript::Stream,
};
use agentd_proto::v1::runner_message::Message;
use runner_support::{Case, RunnerProcess, wait_until};

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
fn a_stop_ends_a_tree_that_does_not_want_to() {
    let case = Case::new(
        "trap '' TERM
         setsid sh -c 'trap \"\" TERM HUP; echo session; while :; do sleep 600; done' &
         (sleep 600 & kill -STOP $!; echo stopped) &
         while :; do wait; sleep 600; done",
    );
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    wait_until("the tree is up", || {
        (case.text(Stream::Output).lines().count() == 2).then_some(())
    });
    connection.stop(Duration::from_millis(300));
    let exited = connection.exited();
    assert_eq!(exited.exit.unwrap().signal, Some(9));
    assert_eq!(exited.left_over, 0);
    case.assert_tree_is_empty();
    assert_eq!(case.text(Stream::Note), "stopped: cancelled\n");
    connection.ack();
    exits_with(&mut runner, EXIT_DONE);
}

#[test]
fn a_stop_is_polite_first() {
    let mut case =
        Case::new("trap 'echo bye; exit 7' INT; echo up; while :; do sleep 600 & wait; done");
    case.launch.polite_signal = 2;
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    wait_until("the agent is up", || {
        (case.text(Stream::Output) == "up\n").then_some(())
    });
    connection.stop(LONG);
    assert_eq!(connection.exited().exit.unwrap().code, Some(7));
    assert_eq!(case.text(Stream::Output), "up\nbye\n");
    case.assert_tree_is_empty();
}

#[test]
fn a_second_stop_without_grace_kills_at_once() {
    let case = Case::new("trap '' TERM; echo up; while :; do sleep 600; done");
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    wait_until("the agent is up", || {
        (case.text(Stream::Output) == "up\n").then_some(())
    });
    connection.stop(LONG);
    connection.stop(Duration::ZERO);
    assert_eq!(connection.exited().exit.unwrap().signal, Some(9));
    case.assert_tree_is_empty();
}

#[test]
fn a_stop_before_go_is_a_result() {
    let case = Case::new("echo never");
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.stop(LONG);
    let exited = connection.exited();
    assert!(exited.exit.is_none() && exited.spawn_error.is_empty());
    assert_eq!(case.result().unwrap().run, Run::NotStarted);
    connection.go();
    connection.ack();
    exits_with(&mut runner, EXIT_DONE);
    assert_eq!(case.text(Stream::Output), "");
}

#[test]
fn children_that_outlive_a_successful_agent_are_asked_to_end() {
    let case = Case::new(
        "setsid sh -c 'trap \"echo ended; exit\" TERM; >up; while :; do sleep 600 & wait; done' &
         while ! [ -e up ]; do sleep 0.01; done; echo done",
    );
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    let exited = connection.exited();
    assert_eq!(exited.exit.unwrap().code, Some(0), "the agent's own exit");
    assert_eq!(case.text(Stream::Output), "done\nended\n");
    case.assert_tree_is_empty();
    connection.ack();
    exits_with(&mut runner, EXIT_DONE);
}

#[test]
fn children_that_do_not_end_have_the_grace_only() {
    let mut case = Case::new(
        "(trap '' TERM; >up; while :; do sleep 600; done) &
         while ! [ -e up ]; do sleep 0.01; done",
    );
    case.launch.kill_grace = 300;
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    let exited = connection.exited();
    assert_eq!(exited.exit.unwrap().code, Some(0));
    assert!(exited.ended_at - exited.started_at >= 300);
    case.assert_tree_is_empty();
}

#[test]
fn a_tree_that_forks_as_it_is_killed_is_ended() {
    let case = Case::new(
        "trap '' TERM
         f() { while :; do (trap '' TERM; setsid sleep 0.01 & sleep 0.01) & sleep 0.001; done; }
         f & f & f & echo up; wait; while :; do sleep 600; done",
    );
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    wait_until("the agent is up", || {
        (case.text(Stream::Output) == "up\n").then_some(())
    });
    wait_until("many processes", || {
        (connection.heartbeat().processes > 5).then_some(())
    });
    connection.stop(Duration::ZERO);
    assert_eq!(connection.exited().left_over, 0);
    case.assert_tree_is_empty();
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

#[test]
fn heartbeats_tell_of_the_tree() {
    let case = Case::new("echo up; sleep 600 & while :; do :; done");
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    wait_until("figures", || {
        let beat = connection.heartbeat();
        (beat.processes == 2 && beat.cpu > 0 && beat.output > 0 && beat.silent > 0).then_some(())
    });
    connection.stop(Duration::ZERO);
    let exited = connection.exited();
    assert!(exited.exit.unwrap().user_cpu > 0);
}

/// The heartbeats of an agent that does nothing come with its limit, though the
/// next one were due long after.
#[test]
fn idleness_is_told_when_its_limit_is_reached() {
    let mut case = Case::new("read _ <gate; echo on; sleep 600");
    case.launch.heartbeat = 600_000;
    case.launch.idle_timeout = Some(300);
    let gate = case.path("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    let idle = wait_until("idleness", || {
        let beat = connection.heartbeat();
        (beat.idle >= 300).then_some(beat)
    });
    assert!(idle.processes > 0, "{idle:?}");
    // Output is a sign, and so is the process that comes with it.
    fs::write(&gate, "go\n").unwrap();
    wait_until("a sign", || {
        let beat = connection.heartbeat();
        (beat.idle < 300 && beat.output > idle.output).then_some(())
    });
    connection.stop(Duration::ZERO);
    assert!(!connection.exited().by_itself);
}

const USES_A_TOOL: &str =
    r#"{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t"}]}}"#;
const DONE: &str = r#"{"type":"result","is_error":false,"result":"done","session_id":"s-1"}"#;
const INTERRUPTED: &str = r#"{"type":"result","is_error":true,"terminal_reason":"aborted_tools"}"#;

fn speaks(script: &str) -> Case {
    let mut case = Case::new(script);
    case.launch.reads = Reads::Claude {
        before: Usage::default(),
        resumed: None,
    };
    case
}

/// The limit for an agent that waits for a tool is another one, and is told of in
/// the same way.
#[test]
fn an_agent_that_waits_for_a_tool_may_be_idle_for_longer() {
    let mut case = speaks(&format!("echo '{USES_A_TOOL}'; sleep 600"));
    case.launch.heartbeat = 600_000;
    case.launch.idle_timeout = Some(1);
    case.launch.tool_idle_timeout = Some(400);
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    wait_until("idleness", || {
        let beat = connection.heartbeat();
        (beat.tool && beat.idle >= 400).then_some(())
    });
    connection.stop(Duration::ZERO);
    connection.exited();
}

#[test]
fn an_agent_that_lives_on_after_its_last_word_is_ended_and_believed() {
    let mut case = speaks(&format!(
        "bye() {{ echo '{INTERRUPTED}'; exit 7; }}; trap bye TERM; echo '{DONE}'; sleep 600 & wait"
    ));
    case.launch.result_grace = 200;
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    let exited = connection.exited();
    assert_eq!(exited.exit.unwrap().code, Some(7));
    assert!(exited.by_itself && exited.lingered);
    // What it says of being ended is in the transcript, and is not its result.
    let claim = exited.observed.unwrap().claim.unwrap();
    assert_eq!((claim.done, claim.message.as_str()), (true, "done"));
    let text = String::from_utf8(case.written(Stream::Output)).unwrap();
    assert!(text.contains(INTERRUPTED), "{text}");
    let notes = String::from_utf8(case.written(Stream::Note)).unwrap();
    assert!(notes.contains("did not end by itself"), "{notes}");
}

#[test]
fn an_agent_that_ends_in_time_after_its_last_word_is_left_alone() {
    let case = speaks(&format!("echo '{DONE}'; exit 5"));
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    let exited = connection.exited();
    assert_eq!(exited.exit.unwrap().code, Some(5));
    assert!(exited.by_itself && !exited.lingered);
    let observed = exited.observed.unwrap();
    assert_eq!(observed.session, "s-1");
}

#[test]
fn a_stop_that_comes_after_the_end_is_not_its_cause() {
    // Its child holds the end back, and the stop meets that child only.
    let case = Case::new("trap '' TERM; sleep 600 & echo up; exit 3");
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    wait_until("the agent is gone, its child is not", || {
        let beat = connection.heartbeat();
        (beat.output > 0 && beat.processes == 1).then_some(())
    });
    connection.stop(Duration::ZERO);
    let exited = connection.exited();
    assert_eq!(exited.exit.unwrap().code, Some(3));
    assert!(exited.by_itself);
}

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

/// An agent that is to resume a session, and what is run if it does not know
/// that.
fn resuming(script: &str, afresh: &str) -> Case {
    let mut case = Case::new(script);
    let rules = [
        (Sign::Session, r"^session: (\S+)"),
        (Sign::SessionLost, "^no such session"),
    ];
    case.launch.reads = Reads::Lines(Rules {
        patterns: rules.map(|(sign, text)| (sign, text.to_owned())).into(),
        ..Rules::default()
    });
    let mut env = case.launch.env.clone();
    env.insert("WORD".to_owned(), "afresh".to_owned());
    case.launch.fallback = Some(Fallback {
        session: "old".to_owned(),
        argv: ["sh", "-c", afresh].map(str::to_owned).to_vec(),
        env,
    });
    case
}

#[test]
fn an_agent_that_does_not_know_its_session_is_followed_by_one_without_it() {
    let mut case = resuming(
        "printf 'no such session: old' >&2; exit 1",
        "cat; echo $WORD; printf 'session: new'",
    );
    case.launch.stdin = Stdin::Prompt;
    case.dir.write_fresh_prompt("from the start\n").unwrap();
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    let (first, second) = (connection.started(), connection.started());
    assert_ne!(first.agent, second.agent);
    assert_eq!(first.at, second.at, "the time of both counts");
    let exited = connection.exited();
    assert_eq!(exited.exit.unwrap().code, Some(0));
    assert!(exited.by_itself);
    let known = exited.observed.unwrap();
    assert_eq!((&*known.session_gone, &*known.session), ("old", "new"));
    assert_eq!(known.fault, None, "that was the first one's");
    assert_eq!(case.text(Stream::Errors), "no such session: old");
    let text = "from the start\nafresh\nsession: new";
    assert_eq!(case.text(Stream::Output), text);
    assert!(case.text(Stream::Note).contains("started anew without it"));
    // Whoever hears of it late hears of the one that ran last.
    drop(connection);
    let again = daemon.connection();
    assert_eq!(again.register.started.as_ref(), Some(&second));
    again.ack();
    exits_with(&mut runner, EXIT_DONE);
    case.assert_tree_is_empty();
}

#[test]
fn the_second_agent_waits_for_the_end_of_the_first_ones_tree() {
    let mut case = resuming(
        "sh -c 'trap \"\" TERM; echo $$ >child; exec sleep 600' & \
         while ! [ -s child ]; do :; done; echo no such session; exit 1",
        "kill -0 $(cat child) 2>/dev/null && echo lives || echo gone",
    );
    case.launch.kill_grace = 50;
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    assert_eq!(connection.exited().exit.unwrap().code, Some(0));
    assert_eq!(case.text(Stream::Output), "no such session\ngone\n");
}

#[test]
fn a_stop_reaches_the_agent_that_follows() {
    let case = resuming("echo no such session; exit 1", "echo up; exec sleep 600");
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    let (_first, _second) = (connection.started(), connection.started());
    connection.stop(Duration::ZERO);
    let exited = connection.exited();
    assert!(!exited.by_itself);
    assert_eq!(exited.exit.unwrap().signal, Some(9));
    case.assert_tree_is_empty();
}

#[test]
fn an_agent_is_not_followed_without_a_reason() {
    let lost = "no such session";
    for (script, code) in [
        (format!("echo {lost}; exit 0"), 0),
        ("echo no such file; exit 1".to_owned(), 1),
    ] {
        let case = resuming(&script, "echo afresh");
        let daemon = case.daemon();
        let _runner = case.runner();
        let connection = daemon.connection();
        connection.go();
        assert_eq!(connection.exited().exit.unwrap().code, Some(code));
        assert!(!case.text(Stream::Output).contains("afresh"));
    }
    // One that is stopped as it fails.
    let script = format!("trap 'echo {lost}; exit 1' TERM; echo up; while :; do :; done");
    let case = resuming(&script, "echo afresh");
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    wait_until("it is up", || {
        (connection.heartbeat().output > 0).then_some(())
    });
    connection.stop(LONG);
    assert_eq!(connection.exited().exit.unwrap().code, Some(1));
    assert!(!case.text(Stream::Output).contains("afresh"));
}

#[test]
fn if_no_agent_can_follow_the_first_ones_end_is_told() {
    let mut case = resuming("echo no such session; exit 4", "");
    let fallback = case.launch.fallback.as_mut().unwrap();
    fallback.argv = vec!["/nonexistent/agent".to_owned()];
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    let exited = connection.exited();
    assert_eq!(exited.exit.unwrap().code, Some(4));
    let fault = exited.observed.unwrap().fault.unwrap();
    assert_eq!(fault.reason, "session_lost");
    assert!(case.text(Stream::Note).contains("not started anew"));
    connection.ack();
    exits_with(&mut runner, EXIT_DONE);
}

/// What a service manager sends to the processes of a scope that is to end.
const EVICTED: Signal = Signal::WINCH;

#[test]
fn what_the_service_manager_ends_is_no_success_of_the_agents() {
    let case = Case::new("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done");
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    wait_until("the agent is up", || {
        (case.text(Stream::Output) == "up\n").then_some(())
    });
    runner.signal(EVICTED);
    exits_with(&mut runner, EXIT_DONE);
    assert_eq!(case.text(Stream::Output), "up\nbye\n");
    assert_eq!(case.result(), None);
    assert!(case.dir.was_stopped());
    let records = case.records();
    let notes = records.iter().filter(|r| r.stream == Stream::Note);
    let notes: Vec<_> = notes.map(|r| String::from_utf8_lossy(&r.data)).collect();
    assert!(
        notes.contains(&"stopped by the service manager".into()),
        "{notes:?}"
    );
    case.assert_tree_is_empty();
}

#[test]
fn a_result_that_nobody_acknowledges_does_not_keep_the_service_manager_waiting() {
    let case = Case::new("exit 3");
    let daemon = case.daemon();
    let mut runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    assert_eq!(connection.exited().exit.unwrap().code, Some(3));
    runner.signal(EVICTED);
    exits_with(&mut runner, EXIT_DONE);
    assert_eq!(status(&case), Status::Code(3));
    assert!(!case.dir.was_stopped());
}

#[test]
fn a_runner_without_a_bus_goes_on_without_a_scope() {
    let mut case = Case::new("echo up");
    case.launch.scope = Some(Scope {
        bus: case.path("no-bus"),
        unit: "agentd-tests.scope".to_owned(),
        slice: "agentd-tests.slice".to_owned(),
        before: "agentd-tests.service".to_owned(),
        description: "a test".to_owned(),
        group: case.path("group"),
        leaf: case.path("group/leaf"),
    });
    let daemon = case.daemon();
    let _runner = case.runner();
    let connection = daemon.connection();
    connection.go();
    assert_eq!(connection.exited().exit.unwrap().code, Some(0));
    let records = case.records();
    let first = String::from_utf8_lossy(&records[0].data);
    let said = "no scope for the attempt: the service manager: ";
    assert!(first.starts_with(said), "{first}");
    assert!(first.contains("no-bus"), "{first}");
}
