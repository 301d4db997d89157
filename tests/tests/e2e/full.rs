//! Workspaces on a full disk: nothing is lost, it is said what is the matter,
//! and with space again it works.

use std::fs;

use agentd_tests::{TestDaemon, wait_until};

use crate::faults::fill;

const FULL: &str = "No space left on device";
/// More than what is left of a full disk.
const BIG: usize = 3 << 20;

/// Bytes that do not become less by compression.
fn noise() -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(BIG).collect()
}

#[test]
fn a_worktree_that_does_not_fit_is_made_when_it_does() {
    let mut daemon = TestDaemon::prepared("");
    let repo = daemon.repo("app");
    fs::write(repo.path().join("big"), noise()).unwrap();
    repo.git(&["add", "big"]);
    repo.git(&["commit", "-q", "-m", "big"]);
    let worktrees = daemon.state().join("worktrees");
    daemon.use_disk_at(&worktrees, 16);
    daemon.launch();
    let filler = daemon.inside(&worktrees).join("filler");
    fill(&filler, 1 << 20);

    let of_key = ["-C", repo.arg(), "--issue", "1", "--"];
    let task = daemon.submit(&[&of_key[..], &["true"]].concat());
    let task = daemon.wait(task);
    assert_eq!(task["failure_reason"], "workspace_failed", "{task}");
    let message = task["message"].as_str().unwrap();
    for words in ["unable to write", "its disk is full", "make room"] {
        assert!(message.contains(words), "{message}");
    }

    fs::remove_file(&filler).unwrap();
    let script = "test -z \"$(git status --porcelain)\" && cat big | wc -c && echo draft >draft";
    let again = daemon.submit(&[&of_key[..], &["sh", "-c", script]].concat());
    let again = daemon.settled(again);
    assert_eq!(again["state"], "succeeded", "{again}");
    assert_eq!(again["attempt"]["changes"]["recorded"], "refs/agentd/2/1");

    // What is restored there does not fit either, and then does.
    let to = worktrees.join("restored");
    let restore = ["workspace", "restore", "2", "--to", to.to_str().unwrap()];
    fill(&filler, 1 << 20);
    daemon
        .ctl(&restore)
        .refused(4, &["its disk is full", "make room"]);
    fs::remove_file(&filler).unwrap();
    let _said = daemon.ctl(&restore).ok();
    let restored = daemon.inside(&to);
    assert_eq!(fs::read(restored.join("draft")).unwrap(), b"draft\n");
    assert_eq!(fs::read(restored.join("big")).unwrap(), noise());
}

#[test]
fn what_cannot_be_recorded_stays_until_it_can() {
    let mut daemon = TestDaemon::prepared("");
    let repo = daemon.repo("app");
    let objects = repo.path().join(".git/objects");
    daemon.use_disk_at(&objects, 16);
    daemon.launch();
    let filler = daemon.inside(&objects).join("filler");
    fill(&filler, 1 << 20);
    fs::write(daemon.path("noise"), noise()).unwrap();
    let copy = format!("cp {} draft; exit 3", daemon.arg("noise"));
    let of_key = ["-C", repo.arg(), "--issue", "1", "--", "sh", "-c"];
    let first = daemon.submit(&[&of_key[..], &[&copy]].concat());
    let first = daemon.wait(first);
    assert_eq!(first["attempt"]["exit"]["code"], 3, "{first}");
    wait_until("it is told", || {
        let log = daemon.log();
        log.contains("is not recorded") && log.contains(FULL)
    });
    let draft = daemon.inside(first["attempt"]["workspace"].as_str().unwrap().as_ref());
    let draft = draft.join("draft");

    // Nothing that is not recorded is taken away.
    let reset = daemon.ctl(&["rerun", "1", "--workspace", "reset"]).id();
    let reset = daemon.wait(reset);
    assert_eq!(reset["failure_reason"], "workspace_failed", "{reset}");
    let message = reset["message"].as_str().unwrap();
    assert!(
        message.contains(FULL) && message.contains("make room"),
        "{message}"
    );
    assert_eq!(fs::read(&draft).unwrap(), noise());

    fs::remove_file(&filler).unwrap();
    let reset = daemon.ctl(&["rerun", "1", "--workspace", "reset"]).id();
    let reset = daemon.settled(reset);
    assert_eq!(reset["attempt"]["exit"]["code"], 3, "{reset}");
    let to = daemon.arg("restored");
    let line = ["workspace", "restore", &reset["id"].to_string(), "--before"];
    let _said = daemon.ctl(&[&line[..], &["--to", &to]].concat()).ok();
    let restored = daemon.path("restored").join("draft");
    assert_eq!(fs::read(restored).unwrap(), noise());
}
