//! The runner dies: its tree goes with it, and the task is tried again.

use std::fs;

use agentd_tests::{TestDaemon, exists, fake_agent, kill_pid, wait_until};
use serde_json::Value;

/// An agent that nothing but SIGKILL ends, with a child in its own session.
fn stubborn(daemon: &TestDaemon) -> u64 {
    let mut args: Vec<String> = ["--kill-grace", "100ms", "--"].map(str::to_owned).to_vec();
    args.extend(fake_agent(["stubborn", &daemon.arg("pids")]));
    daemon.submit(&args)
}

/// Both processes of the running attempt, once they are up.
fn pids(daemon: &TestDaemon, task: u64) -> Vec<u32> {
    let mut pids = Vec::new();
    wait_until("agent and child are up", || {
        let text = fs::read_to_string(daemon.path("pids")).unwrap_or_default();
        pids = text.lines().map(|line| line.parse().unwrap()).collect();
        pids.len() == 2
    });
    daemon.wait_state(task, "running");
    pids
}

fn kill_runner(daemon: &TestDaemon, task: u64) {
    let runner = daemon.show(task)["attempt"]["runner_pid"].as_u64().unwrap();
    kill_pid(u32::try_from(runner).unwrap());
}

fn why(daemon: &TestDaemon, task: u64, what: &str) -> Vec<String> {
    let events = daemon.events(task);
    let of = events.iter().filter(|event| event["what"] == what);
    of.map(|event| event["why"].as_str().unwrap_or("").to_owned())
        .collect()
}

#[test]
fn the_tree_of_a_dead_runner_goes_and_the_task_is_tried_again() {
    let mut daemon = TestDaemon::start();
    let task = stubborn(&daemon);
    for (attempt, daemon_dies) in [(1, false), (2, true)] {
        let tree = pids(&daemon, task);
        fs::remove_file(daemon.path("pids")).unwrap();
        if daemon_dies {
            let runner = daemon.runners()[0].pid;
            daemon.kill();
            kill_pid(runner);
            daemon.launch();
        } else {
            kill_runner(&daemon, task);
        }
        wait_until("the next attempt runs", || {
            let shown = daemon.show(task);
            shown["state"] == "running" && shown["attempt"]["number"] == attempt + 1
        });
        assert!(!tree.iter().any(|pid| exists(*pid)), "{tree:?} live on");
        let shown = daemon.show(task);
        let ended = &shown["attempts"][usize::try_from(attempt).unwrap() - 1];
        assert_eq!(ended["failure_reason"], "runner_lost", "{ended}");
        assert_eq!(ended["exit"], Value::Null, "nobody saw it");
    }
    // Each attempt has its own transcript.
    for attempt in ["1.1", "1.2", "1.3"] {
        wait_until("the attempt's output", || {
            daemon.ctl(&["logs", "--raw", attempt]).stdout == b"up\n"
        });
    }
    daemon.ctl(&["logs", "1.4"]).refused(3, &["no attempt 4"]);

    // The third in a row: this one kills its runner wherever it is.
    let tree = pids(&daemon, task);
    kill_runner(&daemon, task);
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "interrupted", "{ended}");
    assert_eq!(ended["failure_reason"], "runner_lost");
    assert_eq!(ended["attempt_count"], 3);
    let retries = why(&daemon, task, "retry");
    assert_eq!(retries.len(), 2, "{retries:?}");
    assert!(
        retries.iter().all(|why| why.contains("runner_lost")),
        "{retries:?}"
    );
    assert!(!tree.iter().any(|pid| exists(*pid)), "{tree:?} live on");
}

#[test]
fn a_cancel_beats_the_retry() {
    let daemon = TestDaemon::start();
    let mut args: Vec<String> = ["--kill-grace", "1h", "--"].map(str::to_owned).to_vec();
    args.extend(fake_agent(["stubborn", &daemon.arg("pids")]));
    let task = daemon.submit(&args);
    let tree = pids(&daemon, task);
    let _said = daemon.ctl(&["cancel", "1"]).ok();
    daemon.wait_state(task, "stopping");
    kill_runner(&daemon, task);
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "cancelled", "{ended}");
    assert_eq!(ended["attempt_count"], 1);
    assert!(!tree.iter().any(|pid| exists(*pid)), "{tree:?} live on");
}

#[test]
fn a_task_that_waits_for_its_retry_can_be_cancelled() {
    let daemon = TestDaemon::start();
    let task = stubborn(&daemon);
    pids(&daemon, task);
    // Held when it comes back, however short the backoff.
    let _said = daemon.ctl(&["pause"]).ok();
    kill_runner(&daemon, task);
    daemon.wait_state(task, "queued");
    let _said = daemon.ctl(&["cancel", "1"]).ok();
    let ended = daemon.show(task);
    assert_eq!(ended["state"], "cancelled");
    assert_eq!(ended["attempt"]["failure_reason"], "runner_lost");
    assert!(daemon.agents().is_empty());
}
