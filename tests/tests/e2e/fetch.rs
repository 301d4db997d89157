//! A new worktree begins with what its remote has.

use std::fs;

use agentd_tests::{Repo, TestDaemon};
use serde_json::Value;

/// A repository, and a clone of it that is given to the daemon.
fn cloned(settings: &str) -> (TestDaemon, Repo, Repo) {
    let mut daemon = TestDaemon::prepared("");
    let theirs = daemon.repo("theirs");
    let ours = Repo::unborn(&daemon.path("app"), &daemon.home());
    ours.git(&["remote", "add", "origin", theirs.arg()]);
    ours.git(&["fetch", "-q"]);
    ours.git(&["reset", "-q", "--hard", "origin/main"]);
    daemon.configure(&format!(
        "[repos.app]\npath = '{}'\n{settings}\n",
        ours.arg()
    ));
    daemon.launch();
    (daemon, theirs, ours)
}

fn commit(repo: &Repo, name: &str) {
    fs::write(repo.path().join(name), name).unwrap();
    repo.git(&["add", name]);
    repo.git(&["commit", "-q", "-m", name]);
}

fn run(daemon: &TestDaemon, repo: &Repo, script: &str) -> Value {
    let task = daemon.submit(&["-C", repo.arg(), "--", "sh", "-c", script]);
    daemon.wait(task)
}

fn logs(daemon: &TestDaemon, task: &Value) -> String {
    let id = task["id"].as_u64().unwrap().to_string();
    let logs = daemon.ctl(&["logs", &id]).ok();
    format!("{}{}", logs.text(), logs.stderr)
}

#[test]
fn what_is_new_at_the_remote_is_there() {
    let (daemon, theirs, ours) = cloned("base = 'main'");
    commit(&theirs, "new");
    let task = run(&daemon, &ours, "test -f new");
    assert_eq!(task["state"], "succeeded", "{task}");
    assert!(logs(&daemon, &task).contains("the work begins at origin/main"));
    // The operator's own branch and files are as they were.
    assert!(!ours.path().join("new").exists());
    assert_eq!(ours.git(&["log", "-1", "--format=%s", "main"]), "first\n");
    // Own commits are kept, and none of another's is taken for them.
    commit(&ours, "mine");
    let task = run(&daemon, &ours, "test -f mine && ! test -f new");
    assert_eq!(task["state"], "succeeded", "{task}");
    assert!(logs(&daemon, &task).contains("main and origin/main have both gone on"));
}

#[test]
fn a_remote_that_cannot_be_reached_is_noted_or_required() {
    let (mut daemon, theirs, ours) = cloned("");
    fs::rename(theirs.path(), daemon.path("gone")).unwrap();
    let task = run(&daemon, &ours, "true");
    assert_eq!(task["state"], "succeeded", "{task}");
    let said = logs(&daemon, &task);
    assert!(said.contains("cannot fetch from origin"), "{said}");
    daemon.terminate();
    let config = format!("[repos.app]\npath = '{}'\nfetch = 'require'\n", ours.arg());
    daemon.configure(&config);
    daemon.launch();
    let task = run(&daemon, &ours, "true");
    assert_eq!(task["failure_reason"], "workspace_failed", "{task}");
    let message = task["message"].as_str().unwrap();
    for words in ["cannot fetch from origin", "fetch = \"try\""] {
        assert!(message.contains(words), "{message}");
    }
    daemon.terminate();
    daemon.configure(&config.replace("require", "off"));
    daemon.launch();
    let task = run(&daemon, &ours, "true");
    assert_eq!(task["state"], "succeeded", "{task}");
    assert!(!logs(&daemon, &task).contains("fetch"));
}
