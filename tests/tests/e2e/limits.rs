//! Limits of time, idleness, and signs of life.

use std::time::{Duration, Instant};

use agentd_tests::{TestDaemon, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// A daemon that is told of its runners often.
const OFTEN: &str = "[daemon]\nmax_running = 4\nheartbeat = \"100ms\"\nsuspect_after = \"1s\"\n";

/// Submits a script with these limits.
#[track_caller]
fn limited(daemon: &TestDaemon, limits: &[&str], script: &str) -> u64 {
    let line = [limits, &["--", "sh", "-c", script]].concat();
    daemon.submit(&line)
}

fn figure(task: &Value, name: &str) -> u64 {
    task["attempt"]["figures"][name].as_u64().unwrap_or(0)
}

#[test]
fn what_waits_too_long_for_its_start_has_failed() {
    let mut daemon = TestDaemon::start();
    let _said = daemon.ctl(&["pause"]).ok();
    let short = limited(&daemon, &["--queue-ttl", "300ms"], "true");
    let long = limited(&daemon, &["--queue-ttl", "1h"], "true");
    let ended = daemon.wait(short);
    assert_eq!(ended["state"], "failed", "{ended}");
    assert_eq!(ended["failure_reason"], "queue_expired");
    assert_eq!(ended["attempt_count"], 0);
    // It goes on while the daemon is away.
    let away = limited(&daemon, &["--queue-ttl", "500ms"], "true");
    daemon.kill();
    let begin = Instant::now();
    wait_until("the time passes", || {
        begin.elapsed() > Duration::from_millis(600)
    });
    daemon.launch();
    let ended = daemon.wait(away);
    assert_eq!(ended["failure_reason"], "queue_expired", "{ended}");
    let _said = daemon.ctl(&["resume"]).ok();
    assert_eq!(daemon.wait(long)["state"], "succeeded");
}

#[test]
fn an_agent_that_does_nothing_is_stopped_and_tried_again() {
    let daemon = TestDaemon::with(OFTEN);
    let gate = daemon.gate("gate");
    let script = format!("read _ <{}", gate.path());
    let limits = ["--idle-timeout", "500ms", "--max-attempts", "2"];
    let task = limited(&daemon, &limits, &script);
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "failed", "{ended}");
    assert_eq!(ended["failure_reason"], "idle");
    assert_eq!(ended["attempt_count"], 2);
    let took = ended["attempt"]["duration_ms"].as_u64().unwrap();
    assert!(took >= 500, "{took}");
    let stops = daemon.events(task);
    let stops = stops.iter().filter(|e| e["what"] == "stop_requested");
    assert_eq!(stops.count(), 2);
}

#[test]
fn work_without_a_word_is_work_and_idleness_can_be_allowed() {
    let daemon = TestDaemon::with(OFTEN);
    let (busy, calm) = (daemon.gate("busy"), daemon.gate("calm"));
    let script = format!(
        "while :; do :; done & read _ <{}; kill $!; exit 0",
        busy.path()
    );
    let working = limited(&daemon, &["--idle-timeout", "1s"], &script);
    let script = format!("read _ <{}", calm.path());
    let resting = limited(&daemon, &["--idle-timeout", "off"], &script);
    daemon.wait_state(working, "running");
    wait_until("the agent has worked for longer than it may rest", || {
        let shown = daemon.show(working);
        assert_eq!(shown["state"], "running", "{shown}");
        figure(&shown, "cpu_ms") > 2_000
    });
    wait_until("the other has rested for as long", || {
        figure(&daemon.show(resting), "idle_ms") > 2_000
    });
    busy.open();
    calm.open();
    assert_eq!(daemon.wait(working)["state"], "succeeded");
    assert_eq!(daemon.wait(resting)["state"], "succeeded");
}

#[test]
fn an_agent_is_idle_also_while_the_daemon_is_away() {
    let mut daemon = TestDaemon::with(OFTEN);
    let gate = daemon.gate("gate");
    let script = format!("read _ <{}", gate.path());
    let limits = ["--idle-timeout", "1s", "--max-attempts", "1"];
    let task = limited(&daemon, &limits, &script);
    let _waiting = gate.reached();
    daemon.kill();
    let begin = Instant::now();
    wait_until("the time passes", || {
        begin.elapsed() > Duration::from_millis(1_200)
    });
    daemon.launch();
    let ended = daemon.wait(task);
    assert_eq!(ended["failure_reason"], "idle", "{ended}");
}

/// The agent keeps its limit, the daemon is not there to see it and comes back
/// when the limit is over: what the agent reached is what counts.
#[test]
fn a_result_in_time_is_not_replaced_by_a_timeout() {
    let mut daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let script = format!("read _ <{}", gate.path());
    // The agent's time begins between these two.
    let before = Instant::now();
    let task = limited(&daemon, &["--timeout", "4s"], &script);
    daemon.wait_state(task, "running");
    let running = Instant::now();
    daemon.kill();
    gate.open();
    let result = daemon.state().join(format!("attempts/{task}.1/result"));
    wait_until("the result is there", || result.exists());
    let in_time = before.elapsed() < Duration::from_secs(4);
    wait_until("the limit is over", || {
        running.elapsed() > Duration::from_millis(4_500)
    });
    daemon.launch();
    let ended = daemon.wait(task);
    // On a machine that stood still the agent was late, too.
    if in_time {
        assert_eq!(ended["state"], "succeeded", "{ended}");
        assert_eq!(ended["attempt_count"], 1);
    }
}

#[test]
fn a_silent_runner_is_suspect_and_nothing_else() {
    let daemon = TestDaemon::with(OFTEN);
    let gate = daemon.gate("gate");
    let task = limited(&daemon, &[], &format!("read _ <{}", gate.path()));
    wait_until("it gives signs of life", || {
        figure(&daemon.show(task), "processes") > 0
    });
    let well = daemon.show(task);
    assert_eq!(well["attempt"]["suspect"], false, "{well}");
    assert!(well["attempt"]["last_heartbeat_at"].is_string(), "{well}");
    let runner = well["attempt"]["runner_pid"].as_i64().unwrap();
    let runner = Pid::from_raw(i32::try_from(runner).unwrap());
    kill(runner, Signal::SIGSTOP).unwrap();
    wait_until("it is suspect", || {
        let attempt = &daemon.show(task)["attempt"];
        attempt["suspect"] == true && attempt["probe"] == "alive"
    });
    let page = daemon.ctl(&["show", &task.to_string()]).ok();
    let says = "its runner is silent, a look at it found: alive";
    assert!(page.text().contains(says), "{page:?}");
    let listed = daemon.ctl(&["ls", "-o", "json"]).json();
    assert_eq!(listed["tasks"][0]["attempt"]["suspect"], true, "{listed}");
    kill(runner, Signal::SIGCONT).unwrap();
    wait_until("it is well", || {
        daemon.show(task)["attempt"]["suspect"] == false
    });
    // Neither its silence nor any heartbeat was a change of the task.
    let after = daemon.show(task);
    assert_eq!(after["revision"], well["revision"]);
    assert_eq!(after["state"], "running");
    assert_ne!(
        after["attempt"]["last_heartbeat_at"],
        well["attempt"]["last_heartbeat_at"]
    );
    gate.open();
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "succeeded");
    assert!(ended["attempt"]["suspect"].is_null(), "{ended}");
}
