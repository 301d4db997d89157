//! What a task and its reruns may spend together, and which failures are tried
//! again.

use agentd_tests::{TestDaemon, program};
use serde_json::Value;

fn used(cost: &str) -> String {
    let agentctl = program("agentctl");
    let agentctl = agentctl.to_str().unwrap();
    format!("{agentctl} report usage --input 100 --output 10 --cost-usd {cost} || exit 9\n")
}

#[track_caller]
fn submit(daemon: &TestDaemon, limits: &[&str], script: &str) -> u64 {
    daemon.submit(&[limits, &["--", "sh", "-c", script]].concat())
}

#[track_caller]
fn rerun(daemon: &TestDaemon, id: u64, options: &[&str]) -> u64 {
    let id = id.to_string();
    daemon
        .ctl(&[&["rerun", id.as_str()], options].concat())
        .id()
}

#[track_caller]
fn failed(daemon: &TestDaemon, id: u64, reason: &str) -> Value {
    let ended = daemon.wait(id);
    assert_eq!(ended["state"], "failed", "{ended}");
    assert_eq!(ended["failure_reason"], reason, "{ended}");
    daemon.show(id)
}

#[test]
fn attempts_of_a_lineage_are_counted_over_its_reruns() {
    let mut daemon = TestDaemon::start();
    let first = submit(&daemon, &["--max-lineage-attempts", "2"], "exit 1");
    failed(&daemon, first, "agent_error");
    let second = rerun(&daemon, first, &[]);
    let shown = failed(&daemon, second, "agent_error");
    assert_eq!(shown["lineage_spent"]["attempts"], 2);
    daemon.kill();
    daemon.launch();
    let refused = |id: u64| {
        let words = [
            "nothing is left of max_lineage_attempts: 2 of 2",
            "--override",
        ];
        daemon.ctl(&["rerun", &id.to_string()]).refused(4, &words);
    };
    refused(second);
    refused(first);
    let third = rerun(&daemon, second, &["--override"]);
    let shown = failed(&daemon, third, "agent_error");
    assert_eq!(shown["budget_forgiven"]["attempts"], 2, "{shown}");
    let story = daemon.ctl(&["explain", &third.to_string()]).ok();
    assert!(story.text().contains("budget overridden by "), "{story:?}");
    // Once more what it may, and not a third time.
    let fourth = rerun(&daemon, third, &[]);
    let shown = failed(&daemon, fourth, "agent_error");
    assert_eq!(shown["lineage_spent"]["attempts"], 4);
    refused(fourth);
    let fifth = rerun(&daemon, fourth, &["--max-lineage-attempts", "3"]);
    failed(&daemon, fifth, "agent_error");
}

#[test]
fn money_that_is_spent_stops_the_attempt_that_spends_it() {
    let daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let script = format!(
        "{}[ $AGENTD_TASK = 1 ] && exit 1\nread _ <{}",
        used("3.00"),
        gate.path()
    );
    let first = submit(&daemon, &["--max-cost-usd", "5"], &script);
    failed(&daemon, first, "agent_error");
    let second = rerun(&daemon, first, &[]);
    let shown = failed(&daemon, second, "budget_exceeded");
    assert_eq!(
        shown["lineage_spent"]["cost_micro_usd"], 6_000_000,
        "{shown}"
    );
    assert_eq!(shown["lineage_spent"]["tokens"], 220);
    let story = daemon.ctl(&["explain", &second.to_string()]).ok();
    let why = "its lineage has used up max_cost_usd: $6.00 of $5.00";
    assert!(story.text().contains(why), "{story:?}");
    daemon
        .ctl(&["rerun", &second.to_string()])
        .refused(4, &["$6.00 of $5.00", "--max-cost-usd"]);
    let third = rerun(&daemon, second, &["--max-cost-usd", "9.5"]);
    gate.open();
    assert_eq!(daemon.wait(third)["state"], "succeeded");
    let usage = daemon
        .ctl(&["usage", "--by", "lineage", "-o", "json"])
        .json();
    let row = &usage["rows"][0];
    assert_eq!((&row["lineage"], &row["attempts"]), (&1.into(), &3.into()));
    assert_eq!(
        (&row["cost_micro_usd"], &row["input_tokens"]),
        (&9_000_000.into(), &300.into())
    );
    for by in ["agent", "repo", "day"] {
        let usage = daemon.ctl(&["usage", "--by", by, "-o", "json"]).json();
        let rows = usage["rows"].as_array().unwrap().len();
        // The day may have ended in between.
        assert!(rows == 1 || by == "day" && rows == 2, "{usage}");
        assert_eq!(usage["total"]["cost_micro_usd"], 9_000_000, "{usage}");
    }
    let none = daemon
        .ctl(&["usage", "--since", "2020-01-01", "--until", "2020-02-01"])
        .ok();
    assert!(none.stderr.contains("nothing was used"), "{none:?}");
}

#[test]
fn a_lineage_runs_no_longer_than_it_may() {
    let mut daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let script = format!("read _ <{}", gate.path());
    let first = submit(&daemon, &["--max-wall-time", "1s"], &script);
    let _waiting = gate.reached();
    daemon.kill();
    daemon.launch();
    let shown = failed(&daemon, first, "budget_exceeded");
    assert!(
        shown["lineage_spent"]["run_time_ms"].as_u64().unwrap() >= 1_000,
        "{shown}"
    );
    daemon
        .ctl(&["rerun", &first.to_string()])
        .refused(4, &["max_wall_time", "--max-wall-time"]);
}

#[test]
fn failures_are_tried_again_as_the_policy_says() {
    let daemon =
        TestDaemon::with("[daemon]\nmax_running = 2\n[defaults]\ninitial_interval = \"1ms\"\n");
    let on = ["--retry-on", "agent_error", "--max-attempts", "3"];
    let task = submit(&daemon, &on, "exit 3");
    assert_eq!(failed(&daemon, task, "agent_error")["attempt_count"], 3);
    let budget = [&on[..], &["--max-lineage-attempts", "2"]].concat();
    let task = submit(&daemon, &budget, "exit 3");
    assert_eq!(failed(&daemon, task, "agent_error")["attempt_count"], 2);
    let story = daemon.ctl(&["explain", &task.to_string()]).ok();
    let why = "its lineage has made as many attempts as it may";
    assert!(story.text().contains(why), "{story:?}");
    let off = ["--non-retryable", "timeout", "--timeout", "300ms"];
    let task = submit(&daemon, &off, "exec sleep 1000");
    let shown = failed(&daemon, task, "timeout");
    assert_eq!(shown["attempt_count"], 1);
    assert_eq!(shown["retry"]["non_retryable"][0], "timeout");
    assert_eq!(shown["retry"]["initial_interval_ms"], 1);
    for (flags, words) in [
        (["--retry-on", "time_out"], "did you mean timeout?"),
        (["--retry-on", "cancelled"], "not tried again by itself"),
        (["--maximum-interval", "2d"], "retry.maximum_interval"),
        (["--backoff-coefficient", "0.5"], "at least 1"),
        (["--max-cost-usd", "0"], "more than nothing"),
    ] {
        let line = [&["submit"], &flags[..], &["--", "true"]].concat();
        daemon.ctl(&line).refused(2, &[words]);
    }
}
