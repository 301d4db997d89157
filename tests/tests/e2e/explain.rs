//! What `agentctl explain` tells is what has happened.

use std::fs;

use agentd_tests::{TestDaemon, kill_pid, wait_until};
use serde_json::Value;

fn told(daemon: &TestDaemon, task: u64) -> (String, Value) {
    let id = task.to_string();
    let text = daemon.ctl(&["explain", &id]).ok();
    let json = daemon.ctl(&["explain", &id, "-o", "json"]).json();
    assert_eq!(json["schema"], "agentctl.explanation/v1");
    (text.text().to_string(), json)
}

/// The parts come one after the other.
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let (_, behind) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("{part:?} is not where it belongs in\n{text}"));
        rest = behind;
    }
}

#[test]
fn a_lost_runner_a_killed_daemon_and_a_cancel() {
    let mut daemon = TestDaemon::start();
    let ran = daemon.arg("ran");
    let task = daemon.sh(&format!("echo $AGENTD_ATTEMPT >>{ran}; exec sleep 1000"));
    let begun = |daemon: &TestDaemon, times| {
        let ran = fs::read_to_string(daemon.path("ran")).unwrap_or_default();
        ran.lines().count() == times
    };
    wait_until("it has begun", || begun(&daemon, 1));
    daemon.wait_state(task, "running");
    kill_pid(daemon.runners()[0].pid);
    wait_until("it has begun again", || begun(&daemon, 2));
    daemon.wait_state(task, "running");
    daemon.kill();
    daemon.launch();
    wait_until("it is adopted", || {
        told(&daemon, task).0.contains("adopted")
    });
    let (text, json) = told(&daemon, task);
    in_order(
        &text,
        &[
            "submitted by",
            ".1     got a slot",
            "is held to: start timeout",
            "the agent was started",
            "the attempt failed: runner_lost",
            "another attempt follows: runner_lost is tried again (infrastructure), 1 of 3",
            ".2     got a slot",
            "goes on in the workspace of attempt 1",
            "the agent was started",
            "found the runner alive: adopted",
            "now\n  runs\n",
            "should its runner be lost: another attempt follows",
        ],
    );
    assert_eq!(json["sequels"].as_array().unwrap().len(), 1);
    assert_eq!(json["sequels"][0]["follows"], "retry");
    assert_eq!(json["sequels"][0]["class"], "infrastructure");
    assert_eq!(json["expected"]["spent"], 2);
    assert_eq!(json["expected"]["lost_streak"], 2);

    let _said = daemon.ctl(&["cancel", &task.to_string()]).ok();
    assert_eq!(daemon.wait(task)["state"], "cancelled");
    let (text, json) = told(&daemon, task);
    in_order(
        &text,
        &[
            "it is to be stopped: cancelled by",
            "cancelled; ",
            "no other attempt: a person ended it (2 of 3 attempts spent)",
            "now\n  nothing more happens by itself; agentctl rerun",
        ],
    );
    assert_eq!(json["sequels"][1]["follows"], "refused");
    assert_eq!(json["expected"], Value::Null);
}

#[test]
fn what_a_task_waits_for() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let gate = daemon.gate("gate");
    let submit = |more: &[&str], line: &str| {
        let args = ["--repo", repo.arg(), "--issue", "7"];
        let args = [&args, more, &["--", "sh", "-c", line]].concat();
        daemon.submit(&args)
    };
    let first = submit(&[], &format!("read _ <{}; exit 3", gate.path()));
    let mut waiting = gate.reached();
    let second = submit(&["--queue"], "true");
    let (text, json) = told(&daemon, second);
    in_order(
        &text,
        &[&format!("now\n  waits behind task {first} (running)")],
    );
    assert_eq!(json["key_holder"]["id"], first);
    let _said = daemon.ctl(&["pause", "shell"]).ok();
    std::io::Write::write_all(&mut waiting, b"\n").unwrap();
    assert_eq!(daemon.wait(first)["state"], "failed");
    let (text, _) = told(&daemon, second);
    in_order(&text, &["agentctl resume shell lifts that"]);
    let (text, json) = told(&daemon, first);
    in_order(
        &text,
        &[
            "works in a git worktree of its own",
            "failed: agent_error: exit code 3",
            "no other attempt: the agent's own failures are not retried",
            &format!("task {second} (queued) has its key now"),
        ],
    );
    assert_eq!(json["sequels"][0]["class"], "agent");
    let _said = daemon.ctl(&["resume", "shell"]).ok();
    assert_eq!(daemon.wait(second)["state"], "succeeded");

    // One more: the story goes back over the rerun.
    let rerun = daemon.ctl(&["rerun", &first.to_string()]).id();
    let (text, _) = told(&daemon, rerun);
    in_order(
        &text,
        &[
            &format!("reruns: {first} (failed: agent_error) > {rerun} (this one)"),
            &format!("to run task {first} again (failed: agent_error)"),
        ],
    );
    assert_eq!(daemon.ctl(&["explain", "999"]).code, 3);
}
