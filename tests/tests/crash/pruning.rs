//! The daemon dies while it collects what is old: what the store says is gone
//! goes, and nothing else.

use std::fs;

use agentd_proto::v1;
use agentd_tests::{Repo, TestDaemon, wait_until};

/// Where it dies, and how often the point was met by then.
const POINTS: [&str; 6] = [
    "workspace.remove.before",
    "workspace.remove.after",
    "store.commit.before",
    "store.commit.after",
    "spool.discard.before",
    "spool.discard.removed",
];

/// A task that leaves a worktree and a transcript, once it is put away.
#[tokio::main(flavor = "current_thread")]
async fn run(daemon: &TestDaemon, repo: &Repo, issue: &str) -> u64 {
    let request = v1::SubmitRequest {
        agent: "shell".to_owned(),
        command: vec!["echo".to_owned(), "said".to_owned()],
        repo: repo.arg().to_owned(),
        issue: issue.to_owned(),
        ..v1::SubmitRequest::default()
    };
    let submitted = daemon.client().await.submit(request).await.unwrap();
    submitted.into_inner().task.unwrap().id
}

#[test]
fn nothing_is_half_removed_wherever_it_dies() {
    let mut daemon = TestDaemon::prepared("[retention]\nevery = \"off\"\n");
    let plans = daemon.use_failpoints();
    daemon.launch();
    let repo = daemon.repo("app");
    for point in POINTS {
        let task = run(&daemon, &repo, point);
        daemon.settled(task);
        let kept = daemon.state().join(format!("transcripts/0/{task}.1"));
        wait_until("its files are put away", || kept.is_dir());
        let hits = fs::metadata(plans.join(point)).map_or(0, |meta| meta.len());
        let line = format!("{point} kill {}\n", hits + 1);
        fs::write(plans.join("plan"), line).unwrap();
        let cut = daemon.ctl(&["prune", "--older-than", "0s"]);
        assert_ne!(cut.code, 0, "{point}: {cut:?}");
        let _status = daemon.ended();
        daemon.launch();
        // Whatever has gone, what is there is whole.
        let shown = daemon.ctl(&["show", &task.to_string()]);
        assert!(matches!(shown.code, 0 | 3), "{point}: {shown:?}");
        if shown.code == 0 {
            assert!(kept.join("transcript").is_dir(), "{point}");
            let said = daemon.ctl(&["logs", &task.to_string()]).ok();
            assert_eq!(said.text(), "said\n", "{point}");
        }

        let said = daemon.ctl(&["prune", "--older-than", "0s"]).ok();
        assert!(!said.text().contains("stays"), "{point}: {said:?}");
        daemon
            .ctl(&["show", &task.to_string()])
            .refused(3, &["not kept any more"]);
        assert!(!kept.exists(), "{point}");
        let listed = repo.git(&["worktree", "list", "--porcelain"]);
        assert_eq!(listed.matches("worktree ").count(), 1, "{point}: {listed}");
        let none = daemon.ctl(&["workspace", "ls", "-o", "name"]).ok();
        assert_eq!(none.text(), "", "{point}");
    }
}
