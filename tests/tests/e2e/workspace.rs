//! Worktrees: those that cannot be made, and many at once.

use std::{collections::BTreeSet, fs};

use agentd_tests::{Repo, TestDaemon};
use serde_json::Value;

/// Runs a task in the repository; it must fail with these words.
#[track_caller]
fn fails(daemon: &TestDaemon, args: &[&str], reason: &str, words: &str) -> Value {
    let ran = daemon.arg("ran");
    let touch = ["--", "touch", &ran];
    let run = daemon.ctl(&[&["run"], args, &touch].concat());
    assert_eq!(run.code, 1, "{run:?}");
    let task = daemon.show(
        daemon.ctl(&["show", "@last", "-o", "json"]).json()["id"]
            .as_u64()
            .unwrap(),
    );
    assert_eq!(task["state"], "failed", "{task}");
    assert_eq!(task["failure_reason"], reason, "{task}");
    let message = task["message"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
    assert!(run.stderr.contains(words), "{run:?}");
    assert_eq!(task["attempts"].as_array().unwrap().len(), 1, "no retry");
    assert_eq!(task["attempt"]["phase"], "ended");
    assert!(!daemon.path("ran").exists(), "its agent was started");
    task
}

#[test]
fn a_worktree_that_cannot_be_made_fails_the_task_in_gits_words() {
    let mut daemon = TestDaemon::prepared("");
    let astray = daemon.repo("astray");
    daemon.configure(&format!(
        "[repos.astray]\npath = '{}'\nbase = 'nowhere'\n",
        astray.arg()
    ));
    daemon.launch();
    let unborn = Repo::unborn(&daemon.path("unborn"), &daemon.home());
    fails(&daemon, &["-C", unborn.arg()], "workspace_failed", "commit");

    // The branch of this key is in use elsewhere.
    let repo = daemon.repo("app");
    repo.git(&["checkout", "-q", "-b", "agent/shell-17"]);
    fails(
        &daemon,
        &["-C", repo.arg(), "--issue", "17"],
        "workspace_failed",
        "agent/shell-17",
    );

    // Not even root can write here.
    let blocked = daemon.repo("blocked");
    fs::write(blocked.path().join(".git/worktrees"), "").unwrap();
    fails(
        &daemon,
        &["-C", blocked.arg()],
        "workspace_failed",
        "worktrees",
    );

    // A base that is nowhere.
    fails(
        &daemon,
        &["-C", astray.arg()],
        "workspace_failed",
        "nowhere",
    );

    let active = daemon.ctl(&["ls", "--active", "-o", "name"]).ok();
    assert_eq!(active.text(), "", "none stays");
    let next = daemon.sh("true");
    assert_eq!(daemon.wait(next)["state"], "succeeded", "its slot is free");
}

#[test]
fn a_repository_that_went_away_is_told() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let _said = daemon.ctl(&["pause"]).ok();
    let task = daemon.submit(&["-C", repo.arg(), "--", "true"]);
    fs::remove_dir_all(repo.path()).unwrap();
    let _said = daemon.ctl(&["resume"]).ok();
    let ended = daemon.wait(task);
    assert_eq!(ended["failure_reason"], "repo_missing", "{ended}");
    daemon.ctl(&["rerun", "1"]).refused(4, &["app", "hint: "]);
}

#[test]
fn many_worktrees_of_one_repository_at_once() {
    let daemon = TestDaemon::with("[daemon]\nmax_running = 8\n");
    let repo = daemon.repo("app");
    let script =
        "echo $AGENTD_ISSUE >work && git add work && git commit -qm \"work on $AGENTD_ISSUE\"";
    for issue in 1..=12 {
        daemon.submit(&[
            "-C",
            repo.arg(),
            "--issue",
            &issue.to_string(),
            "--",
            "sh",
            "-c",
            script,
        ]);
    }
    let waited = daemon.ctl(&["wait", "1-12", "--timeout", "60s"]);
    assert_eq!(waited.code, 0, "{waited:?}");
    let mut paths = BTreeSet::new();
    for issue in 1..=12_u64 {
        let attempt = &daemon.show(issue)["attempt"];
        let branch = attempt["branch"].as_str().unwrap();
        paths.insert(attempt["workspace"].as_str().unwrap().to_owned());
        let subjects = repo.git(&["log", "--format=%s", branch]);
        assert_eq!(subjects, format!("work on {issue}\nfirst\n"));
    }
    assert_eq!(paths.len(), 12);
    repo.git(&["fsck", "--strict"]);
    // The worktrees themselves are still there; nothing was taken from anyone.
    assert_eq!(repo.git(&["worktree", "list"]).lines().count(), 13);
}

#[test]
fn the_next_task_of_a_key_finds_the_uncommitted_work() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let key = ["-C", repo.arg(), "--issue", "4", "--", "sh", "-c"];
    let run = |script| daemon.ctl(&[&["run"], &key[..], &[script]].concat());
    assert_eq!(run("echo half >draft; exit 1").code, 1);
    assert_eq!(run("cat draft").ok().text(), "half\n");
    let again = daemon.ctl(&["rerun", "1"]).id();
    assert_eq!(daemon.wait(again)["state"], "failed");
    let shown = daemon.show(again);
    assert_eq!(shown["rerun_of"], 1);
    assert_eq!(
        shown["attempt"]["workspace"],
        daemon.show(1)["attempt"]["workspace"]
    );
}

#[test]
fn in_place_works_in_the_checkout_itself() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let run = daemon
        .ctl(&[
            "run",
            "-C",
            repo.arg(),
            "--workspace",
            "in-place",
            "--",
            "pwd",
        ])
        .ok();
    assert_eq!(run.text().trim_end(), repo.arg());
    let run = daemon
        .ctl(&["run", "--", "sh", "-c", "pwd; ls -A; stat -c %a ."])
        .ok();
    let path = daemon.show(2)["attempt"]["workspace"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(run.text(), format!("{path}\n700\n"), "private and empty");
}
