//! An account that has met the limit of its provider waits, and nothing is
//! spent on that.

use std::fs;

use agentd_tests::{TestDaemon, program, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// Two agents that share an account, and one that does not.
const TEAM: &str = "[daemon]\nmax_running = 4\n\
    [agents.a]\ntype = \"command\"\ncommand = [\"sh\"]\naccount = \"team\"\n\
    [agents.b]\ntype = \"command\"\ncommand = [\"sh\"]\naccount = \"team\"\n\
    [agents.c]\ntype = \"command\"\ncommand = [\"sh\"]\n";

/// Hands a script to an agent whose attempts are counted at once.
#[track_caller]
fn give(daemon: &TestDaemon, agent: &str, script: &str) -> u64 {
    daemon.submit(&["--agent", agent, "--max-attempts", "1", script])
}

/// A script that meets a limit, and does its work when it is run again.
fn once(daemon: &TestDaemon, name: &str, reset: &str) -> String {
    let (flag, agentctl) = (daemon.arg(name), program("agentctl"));
    let agentctl = agentctl.to_str().unwrap();
    format!(
        "[ -e {flag} ] && exit 0\ntouch {flag}\n\
         {agentctl} report limited --reset {reset} come back later || exit 9\nexit 1"
    )
}

fn account(daemon: &TestDaemon, name: &str) -> Value {
    let shown = daemon.ctl(&["quota", "-o", "json"]).json();
    let accounts = shown["accounts"].as_array().unwrap();
    let found = accounts.iter().find(|account| account["name"] == name);
    found.unwrap_or(&Value::Null).clone()
}

#[track_caller]
fn is_held(task: &Value) {
    assert_eq!(task["state"], "queued", "{task}");
    assert_eq!(task["hold"]["kind"], "quota", "{task}");
    assert_eq!(task["hold"]["account"], "team", "{task}");
}

#[test]
fn all_tasks_of_an_account_wait_and_no_others() {
    let mut daemon = TestDaemon::with(TEAM);
    let first = give(&daemon, "a", &once(&daemon, "flag", "1h"));
    wait_until("the account is parked", || {
        account(&daemon, "team")["parked"] == true
    });
    let (second, third) = (give(&daemon, "b", "exit 0"), give(&daemon, "b", "exit 0"));
    let other = give(&daemon, "c", "exit 0");
    assert_eq!(daemon.wait(other)["state"], "succeeded");
    let look = |daemon: &TestDaemon| {
        is_held(&daemon.show(first));
        is_held(&daemon.show(second));
        let team = account(daemon, "team");
        assert_eq!(team["agents"], serde_json::json!(["a", "b"]));
        assert_eq!(
            (&team["parked"], &team["strikes"]),
            (&true.into(), &1.into())
        );
        assert_eq!(team["queued"], 3);
        assert_eq!(
            (&team["task"], &team["attempt"]),
            (&first.into(), &1.into())
        );
        assert_eq!(team["failure_reason"], "usage_limit");
        assert_eq!(account(daemon, "c")["parked"], false);
        assert_eq!(daemon.show(first)["attempt_count"], 1);
        assert_eq!(daemon.show(second)["attempt_count"], 0);
    };
    look(&daemon);
    daemon.kill();
    daemon.launch();
    look(&daemon);
    let status = daemon.ctl(&["status"]).ok();
    assert!(
        status.text().contains("1 account waits: team until"),
        "{status:?}"
    );
    let story = daemon.ctl(&["explain", &first.to_string()]).ok();
    for sentence in [
        "the attempt is not counted",
        "account team has met the limit of its provider",
        "agentctl quota clear team",
    ] {
        assert!(story.text().contains(sentence), "{sentence}: {story:?}");
    }
    let _said = daemon.ctl(&["cancel", &third.to_string()]).ok();
    let cancelled = daemon.wait(third);
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(cancelled["attempt_count"], 0);
    daemon
        .ctl(&["quota", "clear", "taem"])
        .refused(3, &["no agent works on an account", "did you mean team?"]);
    let _said = daemon.ctl(&["quota", "clear", "team"]).ok();
    assert_eq!(daemon.wait(second)["state"], "succeeded");
    // It had one attempt, and the one that met the limit was none of it.
    let ended = daemon.wait(first);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(ended["attempt_count"], 2);
    assert_eq!(ended["attempt"]["account"], "team");
    assert_eq!(account(&daemon, "team")["strikes"], 0);
}

#[test]
fn a_parked_account_opens_by_itself_also_after_a_crash() {
    let mut daemon = TestDaemon::with(TEAM);
    let at = daemon.arg("at");
    let date = format!("$(date -u -d '+3 seconds' +%Y-%m-%dT%H:%M:%SZ | tee {at})");
    let first = give(&daemon, "a", &once(&daemon, "flag", &date));
    wait_until("the first attempt has ended", || {
        daemon.show(first)["attempts"][0]["failure_reason"] == "usage_limit"
    });
    daemon.kill();
    daemon.launch();
    let second = give(&daemon, "b", "exit 0");
    let reset = fs::read_to_string(daemon.path("at")).unwrap();
    for task in [first, second] {
        let ended = daemon.wait(task);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        // To the second, as it was told.
        let claimed = ended["attempt"]["claimed_at"].as_str().unwrap();
        assert!(claimed[..19] >= reset[..19], "{claimed} {reset}");
    }
    assert_eq!(daemon.show(first)["attempt_count"], 2);
}

#[test]
fn a_reset_time_that_has_passed_is_no_loop() {
    let daemon = TestDaemon::with(TEAM);
    let agentctl = program("agentctl");
    let script = format!(
        "{} report limited --rate --reset 2020-01-01T00:00:00Z again || exit 9\nexit 1",
        agentctl.to_str().unwrap()
    );
    let task = give(&daemon, "a", &script);
    wait_until("it has been wrong three times", || {
        account(&daemon, "team")["strikes"] == 3
    });
    let shown = daemon.show(task);
    is_held(&shown);
    assert_eq!(shown["attempt_count"], 3);
    let page = daemon.ctl(&["quota"]).ok();
    // From then on a quarter of an hour, and not a second.
    let quarter = ["(in 14m)", "(in 15m)"];
    let said = quarter.iter().any(|words| page.text().contains(words));
    assert!(said, "{page:?}");
    assert!(page.text().contains("rate_limited"), "{page:?}");
    let _said = daemon.ctl(&["kill", &task.to_string()]).ok();
    assert_eq!(daemon.wait(task)["attempt_count"], 3);
}

#[test]
fn an_agent_that_moves_to_another_account_goes_on_at_once() {
    let daemon = TestDaemon::with(TEAM);
    give(&daemon, "a", &once(&daemon, "flag", "1h"));
    wait_until("the account is parked", || {
        account(&daemon, "team")["parked"] == true
    });
    let task = give(&daemon, "b", "exit 0");
    is_held(&daemon.show(task));
    let moved = TEAM.replacen(
        "account = \"team\"\n[agents.c]",
        "account = \"own\"\n[agents.c]",
        1,
    );
    assert_ne!(moved, TEAM);
    daemon.configure(&moved);
    let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(ended["attempt"]["account"], "own");
    assert_eq!(account(&daemon, "team")["parked"], true);
}
