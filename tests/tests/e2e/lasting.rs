//! What was acknowledged is there after a `SIGKILL` at once, and once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use agentd_tests::{TestDaemon, program, wait_for, wait_until};
use serde_json::Value;

/// How often a hold is set and taken away.
const ROUNDS: usize = 3;

/// The daemon is gone without warning, and another one is there.
fn crash(daemon: &mut TestDaemon) {
    daemon.kill();
    daemon.launch();
}

/// Nothing is dispatched: what is there waits.
fn pause(daemon: &TestDaemon) {
    let _said = daemon.ctl(&["pause"]).ok();
}

fn count(daemon: &TestDaemon, task: u64, what: &str) -> usize {
    let events = daemon.events(task);
    events.iter().filter(|event| event["what"] == what).count()
}

fn listed(daemon: &TestDaemon) -> Vec<Value> {
    let list = daemon.ctl(&["ls", "--all", "-o", "json"]).json();
    list["tasks"].as_array().unwrap().clone()
}

#[test]
fn a_hold_and_a_release_last_from_their_answers_on() {
    let mut daemon = TestDaemon::start();
    pause(&daemon);
    let task = daemon.sh("true");
    let id = task.to_string();
    for _ in 0..ROUNDS {
        let _said = daemon.ctl(&["hold", &id]).ok();
        crash(&mut daemon);
        assert_eq!(daemon.show(task)["hold"]["kind"], "held");
        let _said = daemon.ctl(&["release", &id]).ok();
        crash(&mut daemon);
        assert_eq!(daemon.show(task)["hold"]["kind"], "paused");
    }
    let _said = daemon.ctl(&["resume"]).ok();
    assert_eq!(daemon.wait(task)["attempt_count"], 1);
    let said = ["held", "released"].map(|what| count(&daemon, task, what));
    assert_eq!(said, [ROUNDS; 2]);
}

#[test]
fn an_account_that_was_opened_stays_open() {
    let mut daemon = TestDaemon::with(
        "[daemon]\nmax_running = 4\n[agents.a]\ntype = \"command\"\ncommand = [\"sh\"]\n\
         account = \"team\"\n",
    );
    let agentctl = program("agentctl");
    let limited = format!(
        "[ -e {flag} ] && exit 0\ntouch {flag}\n{} report limited --reset 1h later\nexit 1",
        agentctl.to_str().unwrap(),
        flag = daemon.arg("flag"),
    );
    let task = daemon.submit(&["--agent", "a", &limited]);
    let team = |daemon: &TestDaemon| {
        let shown = daemon.ctl(&["quota", "-o", "json"]).json();
        let accounts = shown["accounts"].as_array().unwrap();
        let team = accounts.iter().find(|account| account["name"] == "team");
        team.unwrap().clone()
    };
    wait_until("it is parked", || team(&daemon)["parked"] == true);
    pause(&daemon);
    let _said = daemon.ctl(&["quota", "clear", "team"]).ok();
    crash(&mut daemon);
    assert_eq!(team(&daemon)["parked"], false);
    assert_eq!(daemon.show(task)["hold"]["kind"], "paused");
    let _said = daemon.ctl(&["resume"]).ok();
    let ended = daemon.wait(task);
    assert_eq!(
        (&ended["state"], &ended["attempt_count"]),
        (&"succeeded".into(), &2.into())
    );
}

#[test]
fn what_a_rerun_was_forgiven_is_forgiven_once() {
    let mut daemon = TestDaemon::start();
    let budget = ["--max-lineage-attempts", "1"];
    let first = daemon.submit(&[&budget[..], &["--", "false"]].concat());
    daemon.wait(first);
    pause(&daemon);
    let first = first.to_string();
    daemon.ctl(&["rerun", &first]).refused(4, &["--override"]);
    let again = daemon.ctl(&["rerun", &first, "--override"]).id();
    crash(&mut daemon);
    let shown = daemon.show(again);
    assert_eq!(shown["state"], "queued");
    assert_eq!(shown["budget_forgiven"]["attempts"], 1, "{shown}");
    assert_eq!(listed(&daemon).len(), 2);
    let _said = daemon.ctl(&["resume"]).ok();
    assert_eq!(daemon.wait(again)["failure_reason"], "agent_error");
    assert_eq!(daemon.show(again)["lineage_spent"]["attempts"], 2);
    crash(&mut daemon);
    let again = again.to_string();
    daemon.ctl(&["rerun", &again]).refused(4, &["1 of 1"]);
}

/// Killed as soon as a time has made its task: the time does not come again.
#[test]
fn a_time_of_a_schedule_comes_once() {
    let mut daemon = TestDaemon::with(
        "[daemon]\nmax_running = 4\n[schedules.often]\ncron = \"* * * * * *\"\n\
         command = [\"true\"]\nbusy = \"queue\"\n",
    );
    let mut tasks = BTreeMap::new();
    for round in 1..=4 {
        // The newest time that was dealt with, and its task.
        let mut look = |daemon: &TestDaemon| {
            let schedule = &daemon.ctl(&["schedules", "-o", "json"]).json()["schedules"][0];
            let task = schedule["last_task"].as_u64()?;
            let at = schedule["last_at"].as_str()?.to_owned();
            let known = *tasks.entry(at).or_insert(task);
            assert_eq!(known, task, "a time has two tasks");
            Some(tasks.len())
        };
        wait_until("another time has come", || look(&daemon) >= Some(2 * round));
        crash(&mut daemon);
        look(&daemon);
    }
    let all: BTreeSet<_> = tasks.values().collect();
    assert_eq!(all.len(), tasks.len(), "a task has two times: {tasks:?}");
    let listed: Vec<_> = listed(&daemon)
        .iter()
        .map(|task| task["id"].as_u64())
        .collect();
    assert!(
        all.iter().all(|task| listed.contains(&Some(**task))),
        "{listed:?}"
    );
}

/// The end of a task and what it means to those that wait are one.
#[test]
fn an_end_is_told_to_those_that_wait_once() {
    let mut daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let ran = daemon.arg("ran");
    let first = daemon.sh(&format!("read _ <{}", gate.path()));
    daemon.wait_state(first, "running");
    let waits: Vec<_> = (0..5)
        .map(|_| {
            let after = first.to_string();
            let script = format!("echo $AGENTD_ATTEMPT >>{ran}");
            daemon.submit(&["--after", &after, "--", "sh", "-c", &script])
        })
        .collect();
    gate.open();
    daemon.wait(first);
    crash(&mut daemon);
    for task in &waits {
        let ended = daemon.wait(*task);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        assert_eq!(count(&daemon, *task, "dependency_met"), 1);
    }
    let lines = wait_for("all have run", || {
        let text = fs::read_to_string(daemon.path("ran")).ok()?;
        (text.lines().count() >= waits.len()).then_some(text)
    });
    assert_eq!(lines.lines().count(), waits.len(), "{lines}");
}
