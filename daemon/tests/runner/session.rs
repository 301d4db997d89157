//! Agents that do not know the session which they were to resume.

use std::time::Duration;

use agentd::{
    runner::EXIT_DONE,
    spool::{Fallback, Reads, Stdin},
    task::signs::{Rules, Sign},
    transcript::Stream,
};

use crate::{
    LONG, exits_with,
    support::{Case, wait_until},
};

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
