//! What is old goes, and nothing that is needed or that would be lost.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use agentd_proto::v1;
use agentd_tests::{Repo, TestDaemon, wait_until};
use serde_json::Value;

/// Submits a script without a request id: a request that may be repeated keeps
/// its task for an hour. The task once it has ended and was looked at.
#[tokio::main(flavor = "current_thread")]
async fn begin(daemon: &TestDaemon, repo: Option<&Repo>, issue: &str, script: &str) -> u64 {
    let request = v1::SubmitRequest {
        agent: "shell".to_owned(),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        repo: repo.map_or_else(String::new, |repo| repo.arg().to_owned()),
        issue: issue.to_owned(),
        ..v1::SubmitRequest::default()
    };
    let submitted = daemon.client().await.submit(request).await.unwrap();
    submitted.into_inner().task.unwrap().id
}

fn run(daemon: &TestDaemon, script: &str) -> u64 {
    let task = begin(daemon, None, "", script);
    daemon.wait(task);
    put_away(daemon, task);
    task
}

fn run_in(daemon: &TestDaemon, repo: &Repo, issue: &str, script: &str) -> PathBuf {
    let task = begin(daemon, Some(repo), issue, script);
    let shown = daemon.settled(task);
    put_away(daemon, task);
    PathBuf::from(shown["attempt"]["workspace"].as_str().unwrap())
}

fn put_away(daemon: &TestDaemon, task: u64) {
    let kept = transcript(daemon, task);
    wait_until("its files are put away", || kept.is_dir());
}

fn transcript(daemon: &TestDaemon, task: u64) -> PathBuf {
    daemon.state().join(format!("transcripts/0/{task}.1"))
}

fn prune(daemon: &TestDaemon, args: &[&str]) -> Value {
    let line = [&["prune", "-o", "json"], args].concat();
    daemon.ctl(&line).json()
}

/// Why a worktree stays; empty: it is gone.
fn stays(pruned: &Value, path: &Path) -> String {
    let items = pruned["items"].as_array().unwrap();
    let item = items
        .iter()
        .find(|item| item["path"] == path.to_str().unwrap());
    let item = item.unwrap_or_else(|| panic!("nothing is told of {}: {pruned}", path.display()));
    let reasons = item["stays_for"].as_array().unwrap();
    let reasons: Vec<&str> = reasons.iter().map(|why| why.as_str().unwrap()).collect();
    reasons.join("; ")
}

#[test]
fn history_and_transcripts_go_when_they_are_old() {
    let mut daemon = TestDaemon::start();
    let first = run(&daemon, "echo one");
    let asked = daemon.sh("echo asked");
    daemon.wait(asked);
    put_away(&daemon, asked);
    let last = run(&daemon, "echo three");

    let none = prune(&daemon, &[]);
    assert_eq!(none["totals"]["tasks"], 0, "{none}");
    let would = prune(&daemon, &["--older-than", "0s", "--dry-run"]);
    assert_eq!(would["totals"]["tasks"], 2, "{would}");
    assert_eq!(daemon.state_of(first), "succeeded");

    let text = [
        "prune",
        "--older-than",
        "0s",
        "--transcripts",
        "--keep",
        "1",
    ];
    let said = daemon.ctl(&text).ok();
    assert!(
        said.text()
            .contains(&format!("transcript {first}.1: removed")),
        "{said:?}"
    );
    assert!(said.stderr.contains("2 transcripts"), "{said:?}");
    assert!(!transcript(&daemon, first).exists() && transcript(&daemon, last).exists());
    daemon
        .ctl(&["logs", &first.to_string()])
        .refused(4, &["was removed, for its age", "agentctl show"]);
    assert!(!daemon.show(first)["attempt"]["transcript_pruned_at"].is_null());
    assert!(
        daemon
            .ctl(&["show", &first.to_string()])
            .ok()
            .text()
            .contains("pruned")
    );

    let pruned = prune(&daemon, &["--older-than", "0s", "--tasks"]);
    assert_eq!(pruned["totals"]["tasks"], 2, "{pruned}");
    assert_eq!(
        stays_task(&pruned, asked),
        "its request may be repeated within an hour"
    );
    for verb in ["show", "logs", "explain"] {
        daemon
            .ctl(&[verb, &first.to_string()])
            .refused(3, &["is not kept any more"]);
    }
    assert_eq!(daemon.state_of(asked), "succeeded");
    assert!(
        !transcript(&daemon, last).exists(),
        "nobody could ask for it"
    );
    daemon
        .ctl(&["show", "99"])
        .refused(3, &["there is no task 99"]);
    // Its number is not used again, not even by the next life of the daemon.
    let _status = daemon.terminate();
    daemon.launch();
    assert_eq!(run(&daemon, "true"), last + 1);
    let listed = daemon.ctl(&["ls", "--all", "-q"]).ok();
    assert_eq!(listed.text(), format!("{}\n{asked}\n", last + 1));
}

fn stays_task(pruned: &Value, task: u64) -> String {
    let items = pruned["items"].as_array().unwrap();
    let item = items
        .iter()
        .find(|item| item["kind"] == "task" && item["task"] == task);
    item.unwrap()["stays_for"][0].as_str().unwrap().to_owned()
}

#[test]
fn what_is_needed_stays() {
    let daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let failed = run(
        &daemon,
        &format!("test -e {} || exit 3", daemon.arg("again")),
    );
    fs::write(daemon.path("again"), "").unwrap();
    let of_none = run(&daemon, "true");
    // Of the lineage, and active.
    let hold = ["rerun", &failed.to_string(), "--delay", "1h"];
    let rerun = daemon.ctl(&hold).id();
    let pruned = prune(&daemon, &["--older-than", "0s"]);
    assert_eq!(pruned["totals"]["tasks"], 1, "{pruned}");
    let why = format!("task {rerun} of its lineage is active or not old enough");
    assert_eq!(stays_task(&pruned, failed), why);
    assert_eq!(daemon.show(failed)["lineage_spent"]["attempts"], 1);
    daemon
        .ctl(&["show", &of_none.to_string()])
        .refused(3, &["not kept"]);

    // A task that runs, and what waits for it.
    let script = format!("read _ <{}", gate.path());
    let running = begin(&daemon, None, "", &script);
    let waiting = daemon.submit(&["--after", &running.to_string(), "--", "true"]);
    let mut inside = gate.reached();
    let pruned = prune(&daemon, &["--older-than", "0s"]);
    assert_eq!(pruned["totals"]["tasks"], 0, "{pruned}");
    writeln!(inside).unwrap();
    assert_eq!(daemon.wait(waiting)["state"], "succeeded");
    let _said = daemon.ctl(&["cancel", &rerun.to_string()]).ok();
}

#[test]
fn a_worktree_stays_while_anything_would_be_lost() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let merged = run_in(&daemon, &repo, "1", "true");
    let dirty = run_in(&daemon, &repo, "2", "echo draft >draft");
    let unpushed = run_in(
        &daemon,
        &repo,
        "3",
        "echo x >x && git add x && git commit -qm x",
    );
    let active = run_in(&daemon, &repo, "4", "true");
    let held = begin(&daemon, Some(&repo), "4", "true");
    let _ended = daemon.wait(held);
    let hold = [
        "-C",
        repo.arg(),
        "--issue",
        "4",
        "--delay",
        "1h",
        "--",
        "true",
    ];
    let waiting = daemon.submit(&hold);

    // Young ones stay, clean or not.
    let pruned = prune(&daemon, &["--worktrees"]);
    assert_eq!(pruned["totals"]["worktrees"], 0, "{pruned}");
    assert!(stays(&pruned, &merged).contains("not long enough ago"));

    let pruned = prune(&daemon, &["--older-than", "0s"]);
    assert_eq!(stays(&pruned, &merged), "");
    assert_eq!(stays(&pruned, &dirty), "1 file is not committed");
    let why = "1 commit is on no other branch and not pushed";
    assert_eq!(stays(&pruned, &unpushed), why);
    assert_eq!(stays(&pruned, &active), format!("task {waiting} is queued"));
    assert!(!merged.exists() && dirty.exists() && unpushed.exists() && active.exists());
    let branches = repo.git(&["branch", "--format=%(refname:short)"]);
    assert_eq!(
        branches,
        "agent/shell-2\nagent/shell-3\nagent/shell-4\nmain\n"
    );
    let _said = daemon.ctl(&["cancel", &waiting.to_string()]).ok();
}

#[test]
fn a_pass_by_itself_records_before_it_removes() {
    let mut daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let script = "echo draft >draft && echo x >x && git add x && git commit -qm x";
    let path = run_in(&daemon, &repo, "2", script);
    fs::write(path.join("later"), "later\n").unwrap();
    let before = run(&daemon, "echo kept");
    // Tasks stay, so that people can ask by their numbers.
    daemon.configure(
        "[retention]\ntasks = \"off\"\ntranscripts = \"1ms\"\n\
         worktrees = \"1ms\"\nevery = \"50ms\"\n",
    );
    let _status = daemon.terminate();
    daemon.launch();
    wait_until("the worktree is gone", || !path.exists());
    wait_until("the transcript is gone", || {
        !transcript(&daemon, before).exists()
    });
    wait_until("it is told", || daemon.log().contains("collected"));
    // The branch holds a commit that is nowhere else.
    assert!(repo.git(&["branch"]).contains("agent/shell-2"));
    let restored = daemon.ctl(&["workspace", "restore", "1"]).ok();
    let at = PathBuf::from(restored.text().trim_end());
    assert_eq!(fs::read_to_string(at.join("draft")).unwrap(), "draft\n");
    let removed = repo.git(&["show", "refs/agentd/1/1-removed:later"]);
    assert_eq!(removed, "later\n");
    assert_eq!(daemon.state_of(1), "succeeded");
}
