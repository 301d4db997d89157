//! What the service manager does to a runner, or does not do for it.

use agentd::{
    process::Signal, runner::EXIT_DONE, spool::Scope, task::attempt::Status, transcript::Stream,
};

use crate::{
    exits_with, status,
    support::{Case, wait_until},
};

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
