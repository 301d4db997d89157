//! What is told of an agent at work, and how its last word is taken.

use std::{fs, time::Duration};

use agentd::{spool::Reads, task::usage::Usage, transcript::Stream};

use crate::support::{Case, wait_until};

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
