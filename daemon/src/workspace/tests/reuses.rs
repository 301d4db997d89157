//! A workspace that is given on: kept, reset or begun anew, and what it was
//! is found again.

use super::*;
use crate::task::attempt::Changes;

const ME: [&str; 4] = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"];

/// Prepares the worktree of issue 42 for the first attempt of a task.
pub(super) fn give(
    sandbox: &Sandbox,
    task: u64,
    reuse: WorkspaceReuse,
) -> Result<Workspace, WorkspaceError> {
    prepare(&Request {
        attempt: attempt(task, 1),
        reuse,
        ..sandbox.request(Some("42"))
    })
}

pub(super) fn end(sandbox: &Sandbox, task: u64, workspace: &Workspace) -> Changes {
    let ended = Ended {
        attempt: attempt(task, 1),
        workspace: workspace.clone(),
        repo: sandbox.repo.clone(),
        state_dir: sandbox.state.clone(),
    };
    let changes = conclude(&ended, || true).unwrap().unwrap();
    // To do it again changes nothing.
    assert_eq!(conclude(&ended, || true).unwrap().as_ref(), Some(&changes));
    assert_eq!(conclude(&ended, || false).unwrap(), None);
    changes
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    let kept = git(
        &sandbox.repo,
        &["for-each-ref", "--format=%(refname)", "refs/agentd"],
    );
    kept.lines().map(str::to_owned).collect()
}

fn show(sandbox: &Sandbox, what: &str) -> String {
    git(&sandbox.repo, &["show", what])
}

#[test]
fn what_an_attempt_did_is_counted() {
    let sandbox = Sandbox::new();
    let first = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    let head = git(&sandbox.repo, &["rev-parse", "HEAD"]);
    assert_eq!((first.head.as_ref(), &first.found), (Some(&head), &None));
    let none = end(&sandbox, 1, &first);
    assert_eq!(none.head.as_ref(), Some(&head));
    let none = (none.commits, none.files, none.uncommitted, none.recorded);
    assert_eq!(none, (0, 0, 0, None));

    let path = &first.path;
    fs::write(path.join("one"), "1").unwrap();
    commit(path, "one");
    fs::write(path.join("two"), "2").unwrap();
    fs::write(path.join("file"), "changed").unwrap();
    let changes = end(&sandbox, 1, &first);
    assert_eq!((changes.commits, changes.files), (1, 3));
    assert_eq!((changes.uncommitted, changes.conflicts), (2, 0));
    assert_eq!(changes.unpushed, None, "there is no remote");
    assert_eq!(changes.recorded.as_deref(), Some("refs/agentd/1/1"));
    assert_eq!(show(&sandbox, "refs/agentd/1/1:two"), "2");

    // What one finds does not count for it, and is recorded already.
    let second = give(&sandbox, 2, WorkspaceReuse::Keep).unwrap();
    assert!(second.found.is_some());
    assert_ne!(second.head, first.head);
    let nothing = end(&sandbox, 2, &second);
    assert_eq!(
        (nothing.commits, nothing.files, nothing.uncommitted),
        (0, 0, 2)
    );
    assert_eq!(names(&sandbox), ["refs/agentd/1/1"]);
}

#[test]
fn commits_that_no_remote_has_are_counted() {
    let sandbox = Sandbox::new();
    git(&sandbox.root, &["clone", "-q", "--bare", "app", "far.git"]);
    let far = sandbox.root.join("far.git");
    git(
        &sandbox.repo,
        &["remote", "add", "origin", far.to_str().unwrap()],
    );
    git(&sandbox.repo, &["fetch", "-q", "origin"]);
    let workspace = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    assert_eq!(end(&sandbox, 1, &workspace).unpushed, Some(0));
    commit(&workspace.path, "one");
    commit(&workspace.path, "two");
    let changes = end(&sandbox, 1, &workspace);
    assert_eq!((changes.commits, changes.unpushed), (2, Some(2)));
    git(&workspace.path, &["push", "-q", "origin", "HEAD"]);
    assert_eq!(end(&sandbox, 1, &workspace).unpushed, Some(0));
}

#[test]
fn what_nobody_saw_the_end_of_is_recorded_before_the_next() {
    let sandbox = Sandbox::new();
    let first = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    fs::write(first.path.join("work"), "x").unwrap();
    let before = status(&first);
    give(&sandbox, 2, WorkspaceReuse::Keep).unwrap();
    assert_eq!(status(&first), before);
    assert_eq!(show(&sandbox, "refs/agentd/2/1-before:work"), "x");
    // Nothing new, nothing more to record.
    give(&sandbox, 3, WorkspaceReuse::Keep).unwrap();
    assert_eq!(names(&sandbox), ["refs/agentd/2/1-before"]);
}

#[test]
fn a_reset_takes_away_what_is_not_committed_and_keeps_it() {
    let sandbox = Sandbox::new();
    sandbox.write(".gitignore", "out\n");
    sandbox.commit("ignore");
    let first = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    let path = &first.path;
    commit(path, "work");
    fs::write(path.join("file"), "changed").unwrap();
    fs::write(path.join("staged"), "s").unwrap();
    git(path, &["add", "staged"]);
    fs::create_dir(path.join("new")).unwrap();
    fs::write(path.join("new/deep"), "d").unwrap();
    fs::write(path.join("out"), "built").unwrap();
    // Ignored now; after the reset it is not, and must stay all the same.
    fs::write(path.join(".gitignore"), "out\nprivate\n").unwrap();
    fs::write(path.join("private"), "p").unwrap();
    let second = give(&sandbox, 2, WorkspaceReuse::Reset).unwrap();
    assert_eq!(status(&second), "?? private");
    assert_eq!(second.branch.as_deref(), Some("agent/shell-42"));
    assert_eq!(git(path, &["log", "-1", "--format=%s"]), "work");
    assert_eq!((second.found, second.head.is_some()), (None, true));
    assert_eq!(fs::read(path.join("out")).unwrap(), b"built");
    for (name, text) in [("file", "changed"), ("staged", "s"), ("new/deep", "d")] {
        let name = format!("refs/agentd/2/1-before:{name}");
        assert_eq!(show(&sandbox, &name), text);
    }
}

#[test]
fn a_fresh_start_keeps_the_commits_too() {
    let sandbox = Sandbox::new();
    let first = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    let path = &first.path;
    fs::write(path.join("work"), "w").unwrap();
    commit(path, "work");
    let tip = git(path, &["rev-parse", "HEAD"]);
    // It has gone elsewhere since.
    git(path, &["switch", "-q", "--detach"]);
    commit(path, "elsewhere");
    let head = git(path, &["rev-parse", "HEAD"]);
    fs::write(path.join("draft"), "d").unwrap();
    sandbox.write("newer", "n");
    sandbox.commit("newer");
    let second = give(&sandbox, 2, WorkspaceReuse::Fresh).unwrap();
    assert_eq!(second.branch.as_deref(), Some("agent/shell-42"));
    assert_eq!(status(&second), "");
    let base = git(&sandbox.repo, &["rev-parse", "main"]);
    assert_eq!(git(path, &["rev-parse", "HEAD"]), base);
    assert_eq!(
        git(path, &["symbolic-ref", "HEAD"]),
        "refs/heads/agent/shell-42"
    );
    let of = |name: &str| git(&sandbox.repo, &["rev-parse", name]);
    assert_eq!(of("refs/agentd/2/1-branch"), tip);
    assert_eq!(of("refs/agentd/2/1-head"), head);
    assert_eq!(show(&sandbox, "refs/agentd/2/1-before:draft"), "d");

    // Also where the worktree was removed by hand.
    commit(path, "more");
    let tip = of("agent/shell-42");
    fs::remove_dir_all(path).unwrap();
    let third = give(&sandbox, 3, WorkspaceReuse::Fresh).unwrap();
    assert_eq!(third.head.as_ref(), Some(&base));
    assert_eq!(of("refs/agentd/3/1-branch"), tip);
}

#[test]
fn a_branch_that_is_gone_begins_anew() {
    let sandbox = Sandbox::new();
    let workspace = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    fs::write(workspace.path.join("work"), "w").unwrap();
    git(
        &sandbox.repo,
        &["update-ref", "-d", "refs/heads/agent/shell-42"],
    );
    assert_failed(
        give(&sandbox, 2, WorkspaceReuse::Reset),
        &["agent/shell-42 is gone"],
    );
    let again = give(&sandbox, 3, WorkspaceReuse::Fresh).unwrap();
    assert_eq!(status(&again), "");
    assert_eq!(show(&sandbox, "refs/agentd/3/1-before:work"), "w");
}

#[test]
fn an_operation_in_progress_is_ended_and_kept() {
    let sandbox = Sandbox::new();
    let first = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    let path = &first.path;
    git(path, &["switch", "-q", "-c", "theirs"]);
    fs::write(path.join("file"), "theirs\n").unwrap();
    commit(path, "theirs");
    git(path, &["switch", "-q", "-"]);
    fs::write(path.join("file"), "ours\n").unwrap();
    commit(path, "ours");
    for (task, operation) in [
        (2, ["merge", "theirs"]),
        (3, ["rebase", "theirs"]),
        (4, ["cherry-pick", "theirs"]),
    ] {
        let words: Vec<&dyn AsRef<OsStr>> = ME
            .iter()
            .chain(&operation)
            .map(|word| word as &dyn AsRef<OsStr>)
            .collect();
        Git::at(path).call(&words).unwrap_err();
        fs::write(path.join("file"), format!("resolved {task}")).unwrap();
        let next = give(&sandbox, task, WorkspaceReuse::Reset).unwrap();
        assert_eq!(status(&next), "", "{operation:?}");
        let own = sandbox.inside(&next);
        for left in [
            "MERGE_HEAD",
            "CHERRY_PICK_HEAD",
            "rebase-merge",
            "sequencer",
        ] {
            assert!(!own.join(left).exists(), "{left} of {operation:?}");
        }
        let kept = format!("refs/agentd/{task}/1-before:file");
        assert_eq!(show(&sandbox, &kept), format!("resolved {task}"));
        git(path, &["switch", "-q", "agent/shell-42"]);
    }
}

#[test]
fn nothing_is_taken_away_that_could_not_be_recorded() {
    let sandbox = Sandbox::new();
    let first = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    let large = File::create(first.path.join("large")).unwrap();
    large.set_len(300 << 20).unwrap();
    fs::write(first.path.join("file"), "changed").unwrap();
    for (task, reuse) in [(2, WorkspaceReuse::Reset), (3, WorkspaceReuse::Fresh)] {
        assert_failed(
            give(&sandbox, task, reuse),
            &[
                "left as it is",
                "large, for its 300 MiB",
                "--workspace keep",
            ],
        );
    }
    assert_eq!(fs::read(first.path.join("file")).unwrap(), b"changed");
    assert!(first.path.join("large").exists());
    give(&sandbox, 4, WorkspaceReuse::Keep).unwrap();
}

/// Git refuses, even when forced, to replace a changed file that it was told
/// not to look at.
#[test]
fn files_that_git_was_told_not_to_look_at_are_set_back() {
    for flag in ["--assume-unchanged", "--skip-worktree"] {
        let sandbox = Sandbox::new();
        sandbox.write("d", "d");
        sandbox.commit("d");
        let first = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
        let path = &first.path;
        for (task, reuse) in [(2, WorkspaceReuse::Reset), (3, WorkspaceReuse::Fresh)] {
            // The first is as committed in the index, the others are not: one
            // is new, and of one something else has the place.
            fs::remove_file(path.join("d")).unwrap();
            fs::create_dir_all(path.join("e")).unwrap();
            for name in ["new\nline", "d", "e/y"] {
                fs::write(path.join(name), "staged").unwrap();
            }
            git(path, &["add", "--force", "."]);
            for name in ["file", "new\nline", "d", "e/y"] {
                git(path, &["update-index", flag, "--", name]);
                fs::write(path.join(name), format!("changed {task}")).unwrap();
            }
            fs::remove_dir_all(path.join("e")).unwrap();
            fs::write(path.join("e"), "in its place").unwrap();
            fs::write(path.join("other"), "untracked").unwrap();

            let next = give(&sandbox, task, reuse).unwrap();
            assert_eq!(status(&next), "", "{flag} {reuse:?}");
            assert_eq!(fs::read(path.join("file")).unwrap(), b"one\n");
            assert_eq!(fs::read(path.join("d")).unwrap(), b"d");
            assert!(!path.join("e").exists() && !path.join("new\nline").exists());
            for name in ["file", "new\nline", "d"] {
                let kept = format!("refs/agentd/{task}/1-before:{name}");
                assert_eq!(show(&sandbox, &kept), format!("changed {task}"));
            }
        }
    }
}

#[test]
fn what_is_refused_has_changed_nothing() {
    let sandbox = Sandbox::new();
    let first = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    let path = &first.path;
    git(path, &["switch", "-q", "-c", "other"]);
    git(&sandbox.repo, &["switch", "-q", "agent/shell-42"]);
    fs::write(path.join("file"), "changed").unwrap();
    fs::write(path.join("new"), "n").unwrap();
    let before = status(&first);
    assert_failed(
        give(&sandbox, 2, WorkspaceReuse::Fresh),
        &["left as it is", "agent/shell-42 is checked out at", "/app;"],
    );
    assert_eq!(status(&first), before);
    git(&sandbox.repo, &["switch", "-q", "main"]);
    let again = give(&sandbox, 3, WorkspaceReuse::Fresh).unwrap();
    assert_eq!(status(&again), "");
}

/// Whatever fails when a part is gone already: where it is can be read.
#[test]
fn what_fails_midway_says_where_all_is() {
    let sandbox = Sandbox::new();
    let first = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    fs::write(first.path.join("file"), "changed").unwrap();
    fs::write(first.path.join("new"), "n").unwrap();
    sandbox.filter("file", "false");
    git(&sandbox.repo, &["config", "filter.trap.required", "true"]);
    for (task, reuse) in [(2, WorkspaceReuse::Reset), (3, WorkspaceReuse::Fresh)] {
        let restore = format!("agentctl workspace restore {task}.1 --before");
        assert_failed(
            give(&sandbox, task, reuse),
            &["set back in part", "trap", &restore],
        );
        assert_eq!(show(&sandbox, "refs/agentd/2/1-before:new"), "n");
    }
    sandbox.disarm();
    let last = give(&sandbox, 4, WorkspaceReuse::Reset).unwrap();
    assert_eq!(status(&last), "");
}

#[test]
fn a_repository_inside_outlives_a_fresh_start() {
    let sandbox = Sandbox::new();
    let first = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    let inside = first.path.join("inside");
    git(&first.path, &["init", "-q", "inside"]);
    fs::write(inside.join("work"), "x").unwrap();
    let changes = end(&sandbox, 1, &first);
    assert_eq!(changes.left_out, "inside/, a repository of its own");
    for (task, reuse) in [(2, WorkspaceReuse::Reset), (3, WorkspaceReuse::Fresh)] {
        give(&sandbox, task, reuse).unwrap();
        assert_eq!(fs::read(inside.join("work")).unwrap(), b"x");
    }
}

#[test]
fn the_operators_own_work_is_recorded_before_an_agent_gets_it() {
    let sandbox = Sandbox::new();
    sandbox.write("mine", "m");
    let request = Request {
        mode: WorkspaceMode::InPlace,
        attempt: attempt(5, 1),
        ..sandbox.request(None)
    };
    let workspace = prepare(&request).unwrap();
    assert_eq!(show(&sandbox, "refs/agentd/5/1-before:mine"), "m");
    let status = ["status", "--porcelain", "--untracked-files=normal"];
    assert_eq!(git(&sandbox.repo, &status), "?? mine");
    fs::remove_file(sandbox.repo.join("mine")).unwrap();
    let changes = end(&sandbox, 5, &workspace);
    assert_eq!((changes.files, changes.uncommitted), (1, 0));
}

#[test]
fn a_checkout_that_cannot_be_recorded_can_be_gone_on_with() {
    let sandbox = Sandbox::new();
    let first = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    fs::write(first.path.join("work"), "x").unwrap();
    // No ref can be written below it.
    git(&sandbox.repo, &["update-ref", "refs/agentd", "HEAD"]);
    let second = give(&sandbox, 2, WorkspaceReuse::Keep).unwrap();
    assert_eq!((second.found, second.head), (None, first.head.clone()));
    assert_failed(give(&sandbox, 3, WorkspaceReuse::Reset), &["refs/agentd"]);
    assert_eq!(status(&first), "?? work");
}
