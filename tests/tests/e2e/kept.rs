//! What agents leave is never lost: recorded at each end and before each
//! reuse, shown, restored.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use agentd_tests::{Repo, TestDaemon, wait_until};
use serde_json::Value;

/// Runs a script as the task of an issue; the task once it has ended.
fn run(daemon: &TestDaemon, repo: &Repo, issue: &str, script: &str) -> Value {
    let task = daemon.submit(&["-C", repo.arg(), "--issue", issue, "--", "sh", "-c", script]);
    daemon.settled(task)
}

fn worktree(task: &Value) -> PathBuf {
    PathBuf::from(task["attempt"]["workspace"].as_str().unwrap())
}

fn restored(daemon: &TestDaemon, args: &[&str]) -> PathBuf {
    let said = daemon.ctl(&[&["workspace", "restore"], args].concat()).ok();
    PathBuf::from(said.text().trim_end())
}

fn text(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn what_an_attempt_did_is_told_and_shown() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let idle = run(&daemon, &repo, "1", "true");
    assert_eq!(idle["attempt"]["changes"]["none"], true, "{idle}");
    assert!(
        daemon
            .ctl(&["show", "1"])
            .ok()
            .text()
            .contains("no changes")
    );

    let script = "echo one >one && git add one && git commit -qm one && echo two >two";
    let busy = run(&daemon, &repo, "2", script);
    let changes = &busy["attempt"]["changes"];
    assert_eq!(changes["none"], false);
    assert_eq!(changes["commits"], 1);
    assert_eq!(changes["files"], 2);
    assert_eq!(changes["uncommitted"], 1);
    assert_eq!(changes["recorded"], "refs/agentd/2/1");
    assert_ne!(changes["head"], busy["attempt"]["head_before"]);
    let shown = daemon.ctl(&["show", "2"]).ok();
    for words in [
        "1 commit, 2 files",
        "1 file not committed",
        "refs/agentd/2/1",
    ] {
        assert!(shown.text().contains(words), "{words}: {}", shown.text());
    }
    let told = daemon.ctl(&["explain", "2"]).ok();
    let words = "what it left in its workspace: 1 commit, 2 files changed";
    assert!(told.text().contains(words), "{}", told.text());

    let diff = daemon.ctl(&["workspace", "diff", "2"]).ok();
    for line in ["+one", "+two"] {
        assert!(diff.text().contains(line), "{}", diff.text());
    }
    let none = daemon.ctl(&["workspace", "diff", "1.1"]).ok();
    assert_eq!(none.text(), "");
    daemon
        .ctl(&["workspace", "diff", "2.2"])
        .refused(3, &["no attempt 2", "hint: "]);
}

#[test]
fn one_that_is_under_way_can_be_looked_at() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let gate = daemon.gate("gate");
    let script = format!(
        "echo half >draft; touch {}; read _ <{}",
        daemon.arg("wrote"),
        gate.path()
    );
    let task = daemon.submit(&["-C", repo.arg(), "--", "sh", "-c", &script]);
    wait_until("it has written", || daemon.path("wrote").exists());
    let diff = daemon.ctl(&["workspace", "diff", "1"]).ok();
    assert!(diff.text().contains("+half"), "{}", diff.text());
    daemon
        .ctl(&["workspace", "rm", "1", "--force"])
        .refused(4, &["task 1 is running"]);
    let listed = daemon.ctl(&["workspace", "ls", "-o", "json"]).json();
    let found = &listed["workspaces"][0];
    assert_eq!(
        (&found["active_task"], &found["task"]),
        (&1.into(), &1.into())
    );
    gate.open();
    daemon.wait(task);
}

#[test]
fn a_cancel_loses_nothing_and_neither_does_what_follows() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let gate = daemon.gate("gate");
    let script = format!(
        "echo draft >draft; echo changed >README; touch {}; read _ <{}",
        daemon.arg("wrote"),
        gate.path()
    );
    let of_key = ["-C", repo.arg(), "--issue", "5", "--", "sh", "-c"];
    let first = daemon.submit(&[&of_key[..], &[&script]].concat());
    wait_until("it has written", || daemon.path("wrote").exists());
    let _said = daemon.ctl(&["cancel", "1"]).ok();
    let first = daemon.settled(first);
    assert_eq!(first["state"], "cancelled");
    assert_eq!(first["attempt"]["changes"]["uncommitted"], 2);

    // Somebody works on between the two.
    let path = worktree(&first);
    fs::write(path.join("mine"), "mine\n").unwrap();
    let reset = daemon.ctl(&["rerun", "1", "--workspace", "reset"]).id();
    gate.open();
    let shown = daemon.settled(reset);
    assert_eq!(worktree(&shown), path);
    assert_eq!(shown["workspace_reuse"], "reset");
    assert!(!path.join("mine").exists());

    let one = restored(&daemon, &["1"]);
    assert_eq!(text(&one, "draft"), "draft\n");
    assert_eq!(text(&one, "README"), "changed\n");
    assert!(!one.join("mine").exists());
    let to = daemon.arg("there");
    let reset = reset.to_string();
    let two = restored(&daemon, &[&reset, "--before", "--to", &to]);
    assert_eq!(two, daemon.path("there"));
    assert_eq!(text(&two, "mine"), "mine\n");
    daemon
        .ctl(&["workspace", "restore", "1", "--to", &to])
        .refused(4, &["is there already", "--to"]);
    assert_eq!(text(&two, "mine"), "mine\n");
}

#[test]
fn a_fresh_start_can_be_taken_back() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let script = "test -e README && echo work >work && git add work && git commit -qm work; \
                  echo draft >draft; exit 1";
    let first = run(&daemon, &repo, "6", script);
    let head = first["attempt"]["changes"]["head"].clone();
    let fresh = daemon.ctl(&["rerun", "1", "--workspace", "fresh"]).id();
    let fresh = daemon.settled(fresh);
    assert_eq!(
        fresh["attempt"]["head_before"],
        first["attempt"]["head_before"]
    );
    assert_eq!(fresh["attempt"]["branch"], "agent/shell-6");
    let back = restored(&daemon, &["2", "--before"]);
    assert_eq!(
        (text(&back, "work"), text(&back, "draft")),
        ("work\n".into(), "draft\n".into())
    );
    let kept = repo.git(&["rev-parse", "refs/agentd/2/1-branch"]);
    assert_eq!(kept.trim_end(), head);
    let told = daemon.ctl(&["explain", "2"]).ok();
    assert!(
        told.text().contains("the branch begun anew"),
        "{}",
        told.text()
    );
}

#[test]
fn only_a_worktree_is_cleaned() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let in_place = ["-C", repo.arg(), "--workspace", "in-place", "--", "false"];
    let first = daemon.submit(&in_place);
    daemon.wait(first);
    let second = daemon.submit(&["--", "false"]);
    daemon.wait(second);
    for (task, place) in [("1", "own checkout"), ("2", "private directory")] {
        for how in ["reset", "fresh"] {
            daemon
                .ctl(&["rerun", task, "--workspace", how])
                .refused(2, &[place, how, "hint: "]);
        }
    }
    let kept = daemon.ctl(&["rerun", "1", "--workspace", "keep"]).id();
    daemon.wait(kept);
}

#[test]
fn what_a_killed_daemon_did_not_record_is_recorded_by_the_next() {
    let mut daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    run(&daemon, &repo, "7", "true");
    let path = worktree(&daemon.show(1));
    // Nobody can look at the worktrees of the repository now.
    let lock = File::open(path.parent().unwrap().join(".lock")).unwrap();
    let gate = daemon.gate("gate");
    let script = format!("read _ <{}; echo late >late", gate.path());
    let of_key = ["-C", repo.arg(), "--issue", "7", "--", "sh", "-c"];
    let second = daemon.submit(&[&of_key[..], &[&script]].concat());
    daemon.wait_state(second, "running");
    lock.lock().unwrap();
    gate.open();
    assert_eq!(daemon.wait(second)["state"], "succeeded");
    daemon.kill();
    lock.unlock().unwrap();
    assert_eq!(repo.git(&["for-each-ref", "refs/agentd"]), "");
    daemon.launch();
    let second = daemon.settled(second);
    assert_eq!(second["attempt"]["changes"]["recorded"], "refs/agentd/2/1");
    assert_eq!(repo.git(&["show", "refs/agentd/2/1:late"]), "late\n");
    // Once.
    let events = daemon.events(2);
    let told = events
        .iter()
        .filter(|event| event["what"] == "workspace_left");
    assert_eq!(told.count(), 1, "{events:?}");
}

#[test]
fn the_next_attempt_waits_until_the_last_was_looked_at() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    run(&daemon, &repo, "8", "true");
    let path = worktree(&daemon.show(1));
    let lock = File::open(path.parent().unwrap().join(".lock")).unwrap();
    let gate = daemon.gate("gate");
    let script = format!("read _ <{}; echo first >file", gate.path());
    let of_key = ["-C", repo.arg(), "--issue", "8"];
    let first = daemon.submit(&[&of_key[..], &["--", "sh", "-c", &script]].concat());
    daemon.wait_state(first, "running");
    let queued = ["--queue", "--", "sh", "-c", "echo second >file"];
    let second = daemon.submit(&[&of_key[..], &queued].concat());
    lock.lock().unwrap();
    gate.open();
    daemon.wait_state(second, "starting");
    assert_eq!(daemon.show(first)["attempt"]["changes"], Value::Null);
    lock.unlock().unwrap();
    daemon.settled(second);
    assert_eq!(repo.git(&["show", "refs/agentd/2/1:file"]), "first\n");
    assert_eq!(repo.git(&["show", "refs/agentd/3/1:file"]), "second\n");
}

#[test]
fn worktrees_are_removed_only_if_nothing_is_lost() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    run(&daemon, &repo, "1", "true");
    run(&daemon, &repo, "2", "echo draft >draft");
    let committed = "echo w >work && git add work && git commit -qm work";
    run(&daemon, &repo, "3", committed);
    run(
        &daemon,
        &repo,
        "4",
        "git init -q inside && echo x >inside/x",
    );
    let paths: Vec<_> = (1..=4).map(|task| worktree(&daemon.show(task))).collect();
    let listed = daemon.ctl(&["workspace", "ls"]).ok();
    for words in [
        "nothing: it can be removed",
        "1 file is not committed",
        "1 commit is on no other branch and not pushed",
        "1 repository is inside",
    ] {
        assert!(listed.text().contains(words), "{words}: {}", listed.text());
    }

    let all = daemon.ctl(&["workspace", "rm", "--all"]).ok();
    assert_eq!(all.text().trim_end(), paths[0].to_str().unwrap());
    assert_eq!(all.stderr.matches(" stays: ").count(), 3, "{}", all.stderr);
    assert!(!paths[0].exists());
    let refused = |task: &str, says: &[&str]| {
        daemon.ctl(&["workspace", "rm", task]).refused(4, says);
    };
    refused("2", &["1 file is not committed", "hint: --force"]);
    refused("3", &["not pushed"]);
    daemon
        .ctl(&["workspace", "rm", "4", "--force"])
        .refused(4, &["1 repository is inside"]);
    assert!(paths[1].exists() && paths[2].exists() && paths[3].exists());

    let _removed = daemon.ctl(&["workspace", "rm", "2-3", "--force"]).ok();
    assert!(!paths[1].exists() && !paths[2].exists());
    assert_eq!(text(&restored(&daemon, &["2"]), "draft"), "draft\n");
    assert_eq!(repo.git(&["show", "agent/shell-3:work"]), "w\n");
    // A removed one is made again where it was.
    let again = run(&daemon, &repo, "3", "cat work");
    assert_eq!(worktree(&again), paths[2]);
    assert_eq!(again["state"], "succeeded");
    daemon
        .ctl(&["workspace", "rm", "99"])
        .refused(3, &["no task 99"]);
}
