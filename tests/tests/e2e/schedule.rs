//! Tasks that are submitted when their times come.

use agentd_tests::{TestDaemon, wait_for, wait_until};
use serde_json::Value;

/// A schedule of each second.
fn each_second(more: &str) -> String {
    format!(
        "[daemon]\nmax_running = 4\n[schedules.often]\ncron = \"* * * * * *\"\n\
         command = [\"true\"]\nlabels = {{ kind = \"often\" }}\n{more}"
    )
}

fn schedule(daemon: &TestDaemon) -> Value {
    let list = daemon.ctl(&["schedules", "-o", "json"]).json();
    list["schedules"][0].clone()
}

/// The tasks that it made so far, newest first.
fn made(daemon: &TestDaemon) -> Vec<Value> {
    let list = daemon.ctl(&["ls", "--all", "-o", "json"]).json();
    list["tasks"].as_array().unwrap().clone()
}

#[test]
fn its_times_come_over_crashes_and_what_was_missed_runs_once() {
    let mut daemon = TestDaemon::with(&each_second("busy = \"queue\"\n"));
    wait_until("it has run twice", || made(&daemon).len() >= 2);
    daemon.kill();
    let log = daemon.log();
    assert!(log.contains("its time has come"), "{log}");
    daemon.launch();
    let before = made(&daemon).len();
    wait_until("it runs on", || made(&daemon).len() > before + 1);
    let tasks = made(&daemon);
    for task in &tasks {
        assert_eq!(task["trigger"], "schedule", "{task}");
        assert_eq!(task["labels"]["kind"], "often");
        assert_eq!(task["user"], "agentd");
    }
    let shown = schedule(&daemon);
    assert_eq!(shown["name"], "often");
    assert!(shown["last_task"].as_u64() >= tasks[0]["id"].as_u64());
    assert!(shown["next_at"].as_str() > shown["last_at"].as_str());
    let told = daemon.ctl(&["explain", "1"]).ok();
    assert!(told.text().contains("submitted by a schedule"), "{told:?}");
}

#[test]
fn what_has_not_ended_is_not_made_again_and_a_schedule_can_be_taken_away() {
    let config = "[daemon]\nmax_running = 4\n[schedules.often]\ncron = \"* * * * * *\"\n";
    let daemon = TestDaemon::prepared("");
    let gate = daemon.gate("gate");
    let command = format!("command = ['sh', '-c', 'read _ <{}']\n", gate.path());
    daemon.configure(&format!("{config}{command}"));
    let mut daemon = daemon;
    daemon.launch();
    daemon.wait_state(
        wait_for("it has begun", || {
            made(&daemon).first().and_then(|task| task["id"].as_u64())
        }),
        "running",
    );
    let first = schedule(&daemon)["last_at"].clone();
    wait_until("two more times come", || {
        schedule(&daemon)["last_at"].as_str() > first.as_str()
    });
    assert_eq!(made(&daemon).len(), 1);
    assert!(daemon.log().contains("its last task has not ended"));
    daemon.configure("[daemon]\nmax_running = 4\n");
    daemon.kill();
    daemon.launch();
    let list = daemon.ctl(&["schedules", "-o", "json"]).json();
    assert_eq!(list["schedules"].as_array().unwrap().len(), 0);
    gate.open();
    assert_eq!(daemon.wait(1)["state"], "succeeded");
}

#[test]
fn a_schedule_that_cannot_be_is_said_where_it_stands() {
    let daemon = TestDaemon::prepared("");
    daemon.configure(
        "[schedules.a]\ncron = \"61 * * * *\"\ntimezone = \"Europe/Atlantis\"\n\
         agent = \"shel\"\nrepo = \"/nowhere/at/all\"\nbusy = \"skp\"\nprompt = \"x\"\n\
         [schedules.b]\ncommand = [\"true\"]\n[schedules.c]\ncron = \"0 3 * * *\"\n\
         [schedules.d]\ncron = \"0 3 * * *\"\nprompt = \"mend it\"\n",
    );
    let (code, said) = daemon.check_config();
    assert_ne!(code, Some(0));
    for words in [
        ":2:8: schedules.a.cron: not a cron expression",
        ":3:12: schedules.a.timezone: no time zone \"Europe/Atlantis\"",
        "schedules.a.agent: no agent shel: did you mean shell?",
        "schedules.a.repo: /nowhere/at/all: there is no such directory",
        "schedules.a.busy: \"skp\": did you mean skip?",
        "schedules.b.cron is missing",
        "schedules.c: neither prompt nor command",
        "schedules.d.prompt: no agent is named for it",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
