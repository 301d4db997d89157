//! Trees that are ended: by an order, and after their main process.

use std::time::Duration;

use agentd::{runner::EXIT_DONE, task::attempt::Run, transcript::Stream};

use crate::{
    LONG, exits_with,
    support::{Case, wait_until},
};

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
