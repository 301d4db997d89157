//! Programs of agents that are older than what agentd can drive.

use std::fs;

use agentd_tests::{TestDaemon, wait_until};

use crate::install;

const TYPES: [&str; 4] = ["claude", "codex", "gemini", "opencode"];

/// A daemon with an agent of each type, all of this program. It writes down each
/// call that is more than a question for its version.
fn daemon(version: &str) -> TestDaemon {
    let mut daemon = TestDaemon::prepared("");
    say(&daemon, version);
    let program = daemon.arg("agent");
    let agents = TYPES.map(|name| {
        format!("[agents.{name}]\ntype = '{name}'\ncommand = ['{program}']\nallow_root = true\n")
    });
    daemon.configure(&agents.concat());
    daemon.launch();
    daemon
}

fn say(daemon: &TestDaemon, version: &str) {
    let calls = daemon.arg("calls");
    let script = format!("[ \"$*\" = --version ] && exec echo {version}\necho \"$*\" >>{calls}");
    install(&daemon.path("agent"), &script);
}

#[test]
fn one_that_is_too_old_is_refused_with_the_command_that_upgrades_it() {
    let daemon = daemon("0.40.9");
    let listed = daemon.ctl(&["agents", "-o", "json"]).json();
    for name in TYPES {
        let mut agents = listed["agents"].as_array().unwrap().iter();
        let agent = agents.find(|agent| agent["name"] == name).unwrap();
        assert_eq!(agent["version"], "0.40.9");
        let trouble = &agent["troubles"][0];
        let what = trouble["what"].as_str().unwrap();
        assert!(
            what.contains("0.40.9") && what.contains("too old"),
            "{what}"
        );
        let upgrade = trouble["hint"].as_str().unwrap();
        assert!(upgrade.starts_with("npm install -g "), "{upgrade}");

        let task = daemon.submit(&["--agent", name, "mend it"]);
        let shown = daemon.wait(task);
        assert_eq!(shown["state"], "failed", "{shown:#}");
        assert_eq!(shown["failure_reason"], "agent_missing", "{shown:#}");
        assert_eq!(shown["attempt_count"], 1, "{shown:#}");
        let message = shown["message"].as_str().unwrap();
        assert!(
            message.contains(what) && message.contains(upgrade),
            "{message}"
        );
        let story = daemon.ctl(&["explain", &task.to_string()]).ok();
        assert!(story.text().contains(upgrade), "{}", story.text());
        assert!(story.text().contains("agentctl agents"), "{}", story.text());
    }
    assert!(!daemon.path("calls").exists(), "none was started");
}

#[test]
fn one_that_was_upgraded_is_asked_again_and_runs() {
    let daemon = daemon("1.0.0");
    let task = daemon.submit(&["--agent", "opencode", "mend it"]);
    assert_eq!(daemon.wait(task)["failure_reason"], "agent_missing");
    // A version that nobody understands is no reason to refuse it, either.
    for version in ["1.18.33", "mine"] {
        say(&daemon, version);
        let again = daemon.ctl(&["rerun", "--force", &task.to_string()]).id();
        let shown = daemon.wait(again);
        assert_eq!(shown["state"], "succeeded", "{version}: {shown:#}");
    }
    let calls = fs::read_to_string(daemon.path("calls")).unwrap();
    assert_eq!(calls.lines().count(), 2, "{calls}");
}

/// What the status says that an agent lacks.
fn lacks(daemon: &TestDaemon, name: &str) -> String {
    let status = daemon.ctl(&["status", "-o", "json"]).json();
    let mut agents = status["agents"].as_array().unwrap().iter();
    let agent = agents.find(|agent| agent["name"] == name).unwrap();
    agent["troubles"].to_string()
}

#[test]
fn the_status_says_what_was_seen_last() {
    let daemon = daemon("0.40.9");
    let old = |daemon: &TestDaemon| lacks(daemon, "claude").contains("0.40.9");
    wait_until("it was looked at at the start", || old(&daemon));
    let page = daemon.ctl(&["status"]).ok();
    assert!(page.text().contains("claude: "), "{}", page.text());
    let lines = daemon.ctl::<&str>(&[]).ok();
    assert!(
        lines.text().contains("(agentctl agents)"),
        "{}",
        lines.text()
    );
    // Nobody looks on account of a question.
    say(&daemon, "99.0.0");
    assert!(old(&daemon));
    let _looked = daemon.ctl(&["agents"]).ok();
    assert!(!old(&daemon));
    say(&daemon, "0.40.9");
    let _read = daemon.ctl(&["reload"]).ok();
    wait_until("it was looked at after a reload", || old(&daemon));
}
