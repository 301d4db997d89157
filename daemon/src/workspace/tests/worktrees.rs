//! Worktrees as they are made, reused and found again.

use std::{thread, time::Duration};

use super::*;

#[test]
fn a_key_has_a_worktree_and_a_branch() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    assert_eq!(workspace.branch.as_deref(), Some("agent/shell-42"));
    let dir = workspace.path.parent().unwrap();
    assert!(workspace.path.ends_with("shell-42"));
    let repo = dir.file_name().unwrap().to_str().unwrap();
    assert!(repo.starts_with("app-") && repo.len() == 12, "{repo}");
    assert_eq!(mode(dir), 0o700);
    assert_eq!(mode(&sandbox.state.join("worktrees")), 0o700);
    assert!(workspace.path.join("file").exists());
    assert_eq!(status(&workspace), "");
    let head = git(&workspace.path, &["rev-parse", "--abbrev-ref", "HEAD"]);
    assert_eq!(head, "agent/shell-42");
    // The operator's checkout is as it was.
    assert_eq!(
        git(&sandbox.repo, &["symbolic-ref", "HEAD"]),
        "refs/heads/main"
    );
}

#[test]
fn it_is_reused_as_it_was_left() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    fs::write(workspace.path.join("file"), "changed\n").unwrap();
    fs::write(workspace.path.join("new"), "x").unwrap();
    git(&workspace.path, &["rm", "--cached", "--quiet", "file"]);
    let before = status(&workspace);
    let later = Request {
        task: TaskId::new(8).unwrap(),
        ..sandbox.request(Some("42"))
    };
    assert_eq!(place(&prepare(&later).unwrap()), place(&workspace));
    assert_eq!(status(&workspace), before);
    assert_eq!(fs::read(workspace.path.join("file")).unwrap(), b"changed\n");
}

#[test]
fn a_task_without_an_issue_has_its_own() {
    let sandbox = Sandbox::new();
    let workspace = prepare(&sandbox.request(None)).unwrap();
    assert_eq!(workspace.branch.as_deref(), Some("agent/task-7"));
    let other = Request {
        task: TaskId::new(8).unwrap(),
        ..sandbox.request(None)
    };
    assert_ne!(prepare(&other).unwrap().path, workspace.path);
}

#[test]
fn a_branch_that_is_there_by_chance_is_left_alone() {
    let sandbox = Sandbox::new();
    git(&sandbox.repo, &["branch", "agent/task-7"]);
    git(&sandbox.repo, &["branch", "agent/task-7-2"]);
    let workspace = prepare(&sandbox.request(None)).unwrap();
    assert_eq!(workspace.branch.as_deref(), Some("agent/task-7-3"));
    // A retry finds it again, also when the worktree was removed by hand.
    let retry = Request {
        reused: true,
        branch: workspace.branch.clone(),
        ..sandbox.request(None)
    };
    assert_eq!(place(&prepare(&retry).unwrap()), place(&workspace));
    fs::remove_dir_all(&workspace.path).unwrap();
    assert_eq!(place(&prepare(&retry).unwrap()), place(&workspace));
}

#[test]
fn a_branch_begins_at_its_base() {
    let sandbox = Sandbox::new();
    git(&sandbox.repo, &["branch", "stable"]);
    sandbox.write("file", "two\n");
    sandbox.commit("second");
    let request = |issue, base: &str| Request {
        base: Some(base.to_owned()),
        ..sandbox.request(Some(issue))
    };
    let file = |workspace: &Workspace| fs::read_to_string(workspace.path.join("file")).unwrap();
    assert_eq!(file(&prepare(&request("1", "stable")).unwrap()), "one\n");
    assert_eq!(file(&sandbox.prepare("2").unwrap()), "two\n");
    for bad in ["nope", "--help", "a b", "HEAD:file", ""] {
        let words = ["base", "is not a commit of", "name a branch"];
        assert_failed(prepare(&request("3", bad)), &words);
    }
}

#[test]
fn a_repository_without_a_commit_is_reported() {
    let sandbox = Sandbox::unborn();
    assert_failed(
        sandbox.prepare("1"),
        &["nothing checked out", "first commit"],
    );
}

#[test]
fn a_bare_repository_has_worktrees_too() {
    let sandbox = Sandbox::new();
    git(
        &sandbox.root,
        &["clone", "--quiet", "--bare", "app", "bare.git"],
    );
    let request = Request {
        repo: Some(sandbox.root.join("bare.git")),
        ..sandbox.request(Some("1"))
    };
    let workspace = prepare(&request).unwrap();
    assert!(workspace.path.join("file").exists());
    assert_eq!(place(&prepare(&request).unwrap()), place(&workspace));
}

#[test]
fn an_empty_commit_can_be_worked_on() {
    let sandbox = Sandbox::unborn();
    sandbox.commit("nothing");
    let workspace = sandbox.prepare("1").unwrap();
    assert_eq!(sandbox.prepare("1").unwrap(), workspace);
}

#[test]
fn a_removed_worktree_comes_back_with_its_commits() {
    let sandbox = Sandbox::new();
    let elsewhere = sandbox.root.join("elsewhere");
    git(
        &sandbox.repo,
        &[
            "worktree",
            "add",
            "--quiet",
            "--detach",
            elsewhere.to_str().unwrap(),
        ],
    );
    fs::rename(&elsewhere, sandbox.root.join("unmounted")).unwrap();
    for empty in [false, true] {
        let workspace = sandbox.prepare("42").unwrap();
        fs::write(workspace.path.join("work"), "x").unwrap();
        commit(&workspace.path, "work");
        fs::remove_dir_all(&workspace.path).unwrap();
        if empty {
            fs::create_dir(&workspace.path).unwrap();
        }
        assert_eq!(place(&sandbox.prepare("42").unwrap()), place(&workspace));
        assert!(workspace.path.join("work").exists());
    }
    // Git's entry of another worktree that is not there now is left alone.
    let list = git(&sandbox.repo, &["worktree", "list", "--porcelain"]);
    assert!(list.contains("/elsewhere"), "{list}");
}

#[test]
fn a_branch_without_a_worktree_is_checked_out() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    fs::write(workspace.path.join("work"), "x").unwrap();
    commit(&workspace.path, "work");
    git(
        &sandbox.repo,
        &["worktree", "remove", workspace.path.to_str().unwrap()],
    );
    assert_eq!(place(&sandbox.prepare("42").unwrap()), place(&workspace));
    assert!(workspace.path.join("work").exists());
}

#[test]
fn what_git_does_not_know_stays() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    let path = workspace.path;
    git(
        &sandbox.repo,
        &["worktree", "remove", path.to_str().unwrap()],
    );

    fs::create_dir(&path).unwrap();
    fs::write(path.join("mine"), "x").unwrap();
    assert_failed(
        sandbox.prepare("42"),
        &["shell-42 is in the way", "git does not list", "move it"],
    );
    assert_eq!(fs::read(path.join("mine")).unwrap(), b"x");

    fs::write(path.join(".git"), "gitdir: /nowhere\n").unwrap();
    assert_failed(sandbox.prepare("42"), &["worktree repair"]);

    fs::rename(&path, sandbox.root.join("moved")).unwrap();
    fs::write(&path, "x").unwrap();
    assert_failed(
        sandbox.prepare("42"),
        &["it is not a directory", "move it away"],
    );
    assert_eq!(fs::read(&path).unwrap(), b"x");

    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(sandbox.root.join("moved"), &path).unwrap();
    assert_failed(sandbox.prepare("42"), &["it is not a directory"]);
}

#[test]
fn a_branch_that_is_in_use_is_reported_in_the_words_of_git() {
    let sandbox = Sandbox::new();
    git(
        &sandbox.repo,
        &["switch", "--quiet", "--create", "agent/shell-42"],
    );
    let words = [
        "git worktree:",
        "agent/shell-42",
        "switch that to another branch",
        sandbox.repo.to_str().unwrap(),
    ];
    assert_failed(sandbox.prepare("42"), &words);
}

#[test]
fn a_locked_worktree_that_is_gone_is_reported() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    let path = workspace.path.to_str().unwrap();
    git(
        &sandbox.repo,
        &["worktree", "lock", "--reason", "on a disk", path],
    );
    assert_eq!(place(&sandbox.prepare("42").unwrap()), place(&workspace));
    fs::remove_dir_all(path).unwrap();
    assert_failed(
        sandbox.prepare("42"),
        &["locked: on a disk", "worktree unlock"],
    );
}

#[test]
fn it_may_be_on_another_branch_or_on_none() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    git(&workspace.path, &["switch", "--quiet", "--create", "fix"]);
    assert_eq!(
        sandbox.prepare("42").unwrap().branch.as_deref(),
        Some("fix")
    );
    git(&workspace.path, &["switch", "--quiet", "--detach"]);
    assert_eq!(sandbox.prepare("42").unwrap().branch, None);
}

#[test]
fn many_are_made_at_once() {
    let sandbox = Sandbox::new();
    thread::scope(|scope| {
        let issues = 0..8;
        let started: Vec<_> = issues
            .map(|issue| {
                let sandbox = &sandbox;
                // Each twice: the second finds what the first has made.
                scope.spawn(move || sandbox.prepare(&(issue / 2).to_string()))
            })
            .collect();
        let mut paths: Vec<_> = started
            .into_iter()
            .map(|thread| thread.join().unwrap().unwrap().path)
            .collect();
        paths.dedup();
        assert_eq!(paths.len(), 4);
    });
    let eight: Vec<_> = (10..18).map(|issue| issue.to_string()).collect();
    thread::scope(|scope| {
        for issue in &eight {
            scope.spawn(|| sandbox.prepare(issue).unwrap());
        }
    });
}

#[test]
fn any_issue_text_is_safe() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(5000);
    let texts = [
        "it's \"quoted\"",
        "a\nb",
        "$(touch pwned)",
        "`touch pwned`",
        "../../..",
        "..",
        ".",
        "-rf",
        "--help",
        "x.lock",
        "x.",
        "a..b",
        "@{",
        "a/b",
        "äöü",
        "日本語",
        "",
        " ",
        "\u{1}",
        "a~b^c:d?e*f[g\\h",
        &long,
        "refs/heads/main",
        "x@{1}",
        "\u{202e}x",
    ];
    let mut paths = Vec::new();
    for text in texts {
        let workspace = sandbox.prepare(text).unwrap();
        let worktrees = sandbox.state.join("worktrees");
        assert_eq!(workspace.path.parent().unwrap().parent(), Some(&*worktrees));
        assert_eq!(sandbox.prepare(text).unwrap(), workspace, "{text:?}");
        paths.push(workspace.path);
    }
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), texts.len());
    assert!(!sandbox.root.join("pwned").exists() && !sandbox.repo.join("pwned").exists());
}

#[test]
fn a_git_that_hangs_is_ended() {
    let sandbox = Sandbox::new();
    let limit = Duration::from_millis(300);
    let path = sandbox.root.join("w");
    sandbox.filter("file", "exec sleep 600");
    let started = std::time::Instant::now();
    let git = Git::at(&sandbox.repo).within(limit);
    let err = git.call(&[&"worktree", &"add", &path]).unwrap_err();
    assert!(matches!(err, GitError::TimedOut { .. }), "{err}");
    assert!(err.to_string().contains("git worktree: ended after 0.3 s"));
    // It is stopped as soon as it answers the signal.
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(!path.exists());
}

#[test]
fn commands_hold_the_lock_as_their_input() {
    let sandbox = Sandbox::new();
    let lock = lock::take(&sandbox.root, Duration::ZERO).unwrap();
    let git = Git::at(&sandbox.repo).holding(&lock);
    let words: [&dyn AsRef<OsStr>; 3] = [&"-c", &"alias.in=!readlink /proc/self/fd/0", &"in"];
    let held = String::from_utf8(git.call(&words).unwrap()).unwrap();
    assert_eq!(Path::new(&held), sandbox.root.join(".lock"));
    let err = lock::take(&sandbox.root, Duration::from_millis(50)).unwrap_err();
    assert_eq!(err.kind(), io::ErrorKind::TimedOut);
    drop(lock);
    lock::take(&sandbox.root, Duration::from_secs(10)).unwrap();
}
