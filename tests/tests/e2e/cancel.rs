//! Ending a task leaves nothing of it behind.

use std::fs;

use agentd_proto::v1::CancelRequest;
use agentd_tests::{TestDaemon, exists, fake_agent, wait_until};
use serde_json::Value;
use tonic::Code;

/// The processes that an agent has listed.
fn listed(daemon: &TestDaemon, file: &str) -> Vec<u32> {
    let text = fs::read_to_string(daemon.path(file)).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn submit_agent(daemon: &TestDaemon, options: &[&str], what: &str) -> u64 {
    let line = fake_agent([what, &daemon.arg("pids")]);
    let mut args: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    args.push("--".to_owned());
    args.extend(line);
    daemon.submit(&args)
}

/// An agent that ignores every polite signal, with a child in its own session.
fn stubborn(daemon: &TestDaemon, grace: &str) -> (u64, Vec<u32>) {
    let task = submit_agent(daemon, &["--kill-grace", grace], "stubborn");
    wait_until("agent and child are up", || {
        listed(daemon, "pids").len() == 2
    });
    daemon.wait_state(task, "running");
    (task, listed(daemon, "pids"))
}

#[test]
fn an_agent_that_ignores_signals_is_killed_with_its_children() {
    let daemon = TestDaemon::start();
    let (task, pids) = stubborn(&daemon, "200ms");
    assert!(pids.iter().all(|pid| exists(*pid)));
    let said = daemon.ctl(&["cancel", "1"]).ok();
    assert!(said.stderr.contains("is being stopped"), "{said:?}");
    let ended = daemon.wait(task);
    // Verified before it is called cancelled: nothing is waited for here.
    assert!(!pids.iter().any(|pid| exists(*pid)), "{pids:?} live on");
    assert!(daemon.agents().is_empty(), "{:?}", daemon.agents());
    assert_eq!(ended["state"], "cancelled");
    assert_eq!(ended["failure_reason"], "cancelled");
    // What the process really had is kept beside the outcome.
    assert_eq!(ended["attempt"]["exit"]["signal"], 9);
    assert_eq!(ended["attempt"]["outcome"], "cancelled");
}

#[test]
fn a_second_cancel_or_a_kill_skips_the_grace() {
    let daemon = TestDaemon::start();
    for (first, second) in [
        ("cancel", Some("cancel")),
        ("cancel", Some("kill")),
        ("kill", None),
    ] {
        fs::remove_file(daemon.path("pids")).ok();
        // An hour: a test that waits for the grace fails.
        let (task, pids) = stubborn(&daemon, "1h");
        let id = task.to_string();
        let _said = daemon.ctl(&[first, &id]).ok();
        if let Some(second) = second {
            daemon.wait_state(task, "stopping");
            assert_eq!(daemon.show(task)["stop_reason"], "cancel");
            assert!(pids.iter().all(|pid| exists(*pid)), "the grace is kept");
            let _said = daemon.ctl(&[second, &id]).ok();
        }
        assert_eq!(daemon.wait(task)["state"], "cancelled");
        assert!(!pids.iter().any(|pid| exists(*pid)), "{pids:?} live on");
    }
}

#[test]
fn a_polite_agent_may_tidy_up() {
    let daemon = TestDaemon::start();
    let script = "trap 'echo tidy; exit 5' TERM; echo up; while :; do read _ </dev/null; done";
    let task = daemon.sh(script);
    wait_until("the agent is up", || {
        daemon.ctl(&["logs", "1"]).stdout == b"up\n"
    });
    let _said = daemon.ctl(&["cancel", "1"]).ok();
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "cancelled");
    assert_eq!(ended["attempt"]["exit"]["code"], 5);
    assert_eq!(
        daemon.ctl(&["logs", "1", "--raw"]).ok().text(),
        "up\ntidy\n"
    );
}

#[test]
fn a_queued_task_is_cancelled_at_once() {
    let daemon = TestDaemon::start();
    let _said = daemon.ctl(&["pause"]).ok();
    let task = daemon.sh(&format!("echo ran >>{}", daemon.arg("ran")));
    let said = daemon.ctl(&["cancel", "1"]).ok();
    assert!(said.stderr.contains("task 1 cancelled"), "{said:?}");
    let ended = daemon.show(task);
    assert_eq!(ended["state"], "cancelled");
    assert_eq!(ended["attempt"], Value::Null);
    // Ended tasks may be cancelled again: nothing happens, and it is said.
    for verb in ["cancel", "kill"] {
        let again = daemon.ctl(&[verb, "1"]).ok();
        assert!(
            again.stderr.contains("has been cancelled already"),
            "{again:?}"
        );
    }
    assert_eq!(daemon.show(task)["revision"], ended["revision"]);
    let _said = daemon.ctl(&["resume"]).ok();
    let next = daemon.sh("true");
    assert_eq!(daemon.wait(next)["state"], "succeeded");
    assert!(!daemon.path("ran").exists());
    let said = daemon.ctl(&["cancel", "2"]).ok();
    assert!(
        said.stderr.contains("task 2 has succeeded already"),
        "{said:?}"
    );
}

/// The worktree is still being made: a hook of the repository holds it up.
#[test]
fn a_starting_task_is_cancelled() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let gate = daemon.gate("gate");
    super::hook(&repo, &format!("read _ <{}", gate.path()));
    let ran = format!("echo ran >>{}", daemon.arg("ran"));
    let task = daemon.submit(&["-C", repo.arg(), "--", "sh", "-c", &ran]);
    let held = gate.reached();
    assert_eq!(daemon.state_of(task), "starting");
    let _said = daemon.ctl(&["cancel", "1"]).ok();
    assert_eq!(daemon.state_of(task), "stopping");
    gate.open();
    drop(held);
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "cancelled");
    assert_eq!(ended["attempt"]["exit"], Value::Null);
    assert!(!daemon.path("ran").exists(), "its agent was started");
}

#[test]
fn children_that_outlive_a_successful_agent_are_ended() {
    let daemon = TestDaemon::start();
    for what in ["double-fork", "hold-output"] {
        fs::remove_file(daemon.path("pids")).ok();
        let task = submit_agent(&daemon, &["--kill-grace", "200ms"], what);
        let ended = daemon.wait(task);
        assert_eq!(ended["state"], "succeeded", "{what}: {ended}");
        let pids = listed(&daemon, "pids");
        assert_eq!(pids.len(), 1, "{what}");
        assert!(!exists(pids[0]), "{what}: {pids:?} lives on");
    }
    let said = daemon.ctl(&["logs", "2", "--raw"]).ok();
    assert_eq!(said.text(), "the agent has ended, its child has not\n");
}

#[test]
fn a_timeout_stops_the_agent() {
    let daemon = TestDaemon::start();
    let task = daemon.submit(&[
        "--timeout",
        "300ms",
        "--max-attempts",
        "1",
        "--",
        "sleep",
        "1000",
    ]);
    let ended = daemon.wait(task);
    assert_eq!(ended["failure_reason"], "timeout", "{ended}");
    assert_eq!(ended["attempt"]["exit"]["signal"], 15);
    assert!(daemon.agents().is_empty());
}

#[test]
fn several_tasks_are_ended_by_one_call() {
    let daemon = TestDaemon::start();
    for _ in 0..3 {
        daemon.sh("exec sleep 1000");
    }
    let said = daemon.ctl(&["kill", "1-3", "99"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stderr.contains("99"), "{said:?}");
    for task in 1..=3 {
        assert_eq!(daemon.wait(task)["state"], "cancelled");
    }
}

#[test]
fn of_many_that_are_cancelled_none_gets_the_slot_of_another() {
    let daemon = TestDaemon::with("[daemon]\nmax_running = 2\n");
    let running: Vec<u64> = (0..2).map(|_| daemon.sh("sleep 1000")).collect();
    for task in running {
        daemon.wait_state(task, "running");
    }
    for _ in 0..8 {
        daemon.sh("sleep 1000");
    }
    let said = daemon.ctl(&["cancel", "1-11"]);
    assert_eq!(said.code, 3, "{said:?}");
    let lines: Vec<_> = said.stderr.lines().collect();
    assert_eq!(lines[0], "task 1 is being stopped");
    assert_eq!(lines[9], "task 10 cancelled");
    assert_eq!(lines[10], "agentctl: there is no task 11");
    for task in 1..=10 {
        let ended = daemon.wait(task);
        assert_eq!(ended["state"], "cancelled", "{ended}");
        let attempts = u64::from(task <= 2);
        assert_eq!(ended["attempt_count"], attempts, "{ended}");
    }
}

#[tokio::test]
async fn a_cancel_names_one_task_or_several() {
    let daemon = TestDaemon::start();
    let mut client = daemon.client().await;
    for (id, ids, why) in [
        (1, vec![2], "not both"),
        (0, vec![1; 1001], "1001 tasks"),
        (0, vec![1, 0], ""),
        (0, Vec::new(), ""),
    ] {
        let asked = CancelRequest {
            id,
            ids,
            repeated: false,
        };
        let refused = client.kill(asked).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        assert!(refused.message().contains(why), "{refused:?}");
    }
}
