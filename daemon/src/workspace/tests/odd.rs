//! Repositories that are not as most are.

use super::{
    super::git::words,
    reuses::{end, give},
    *,
};

fn hook(sandbox: &Sandbox, name: &str, script: &str) -> PathBuf {
    let hook = sandbox.repo.join(".git/hooks").join(name);
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    hook
}

#[test]
fn a_shallow_one_is_worked_in() {
    let sandbox = Sandbox::new();
    sandbox.commit("second");
    let url = format!("file://{}", sandbox.repo.display());
    git(
        &sandbox.root,
        &["clone", "--quiet", "--depth", "1", &url, "shallow"],
    );
    let repo = sandbox.root.join("shallow");
    let shallow = Sandbox { repo, ..sandbox };
    let workspace = give(&shallow, 1, WorkspaceReuse::Keep).unwrap();
    fs::write(workspace.path.join("work"), "x").unwrap();
    commit(&workspace.path, "work");
    fs::write(workspace.path.join("draft"), "y").unwrap();
    let changes = end(&shallow, 1, &workspace);
    assert_eq!((changes.commits, changes.unpushed), (1, Some(1)));
    assert_eq!((changes.files, changes.uncommitted), (2, 1));
    give(&shallow, 2, WorkspaceReuse::Fresh).unwrap();
    assert!(!workspace.path.join("draft").exists());
    let kept = git(&shallow.repo, &["show", "refs/agentd/1/1:draft"]);
    assert_eq!(kept, "y");
}

/// The repositories of submodules are their own: nothing of them is recorded,
/// so nothing of them is touched.
#[test]
fn what_is_in_submodules_stays() {
    let sandbox = Sandbox::new();
    git(&sandbox.root, &["clone", "--quiet", "app", "lib"]);
    let allow = ["-c", "protocol.file.allow=always", "submodule", "--quiet"];
    let lib = sandbox.root.join("lib");
    let add = [&allow[..], &["add", lib.to_str().unwrap(), "lib"]].concat();
    git(&sandbox.repo, &add);
    sandbox.commit("a submodule");
    // Not there yet: an empty directory.
    let workspace = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    // New files count, though whoever owns it does not want to see them.
    git(
        &sandbox.repo,
        &["config", "status.showUntrackedFiles", "no"],
    );
    assert!(
        workspace
            .path
            .join("lib")
            .read_dir()
            .unwrap()
            .next()
            .is_none()
    );
    let changes = end(&sandbox, 1, &workspace);
    assert_eq!((changes.files, changes.left_out.as_str()), (0, ""));
    give(&sandbox, 2, WorkspaceReuse::Reset).unwrap();

    git(
        &workspace.path,
        &[&allow[..], &["update", "--init"]].concat(),
    );
    git(
        &workspace.path.join("lib"),
        &["config", "status.showUntrackedFiles", "no"],
    );
    let asked = || uncommitted(&sandbox.state, &sandbox.repo, &workspace);
    assert_eq!(asked(), Some(false));
    fs::write(workspace.path.join("new"), "x").unwrap();
    assert_eq!(asked(), Some(true));
    fs::remove_file(workspace.path.join("new")).unwrap();
    fs::write(workspace.path.join("lib/draft"), "y").unwrap();
    let changes = end(&sandbox, 2, &workspace);
    assert!(changes.left_out.contains("submodule lib"), "{changes:?}");
    fs::write(workspace.path.join("lib/file"), "changed").unwrap();
    for (task, reuse) in [(3, WorkspaceReuse::Reset), (4, WorkspaceReuse::Fresh)] {
        give(&sandbox, task, reuse).unwrap();
        assert_eq!(fs::read(workspace.path.join("lib/draft")).unwrap(), b"y");
        assert_eq!(
            fs::read(workspace.path.join("lib/file")).unwrap(),
            b"changed"
        );
    }
    let terms = Terms {
        record: true,
        ..Terms::default()
    };
    let removed = remove(&sandbox.state, &workspace.path, terms, |_| None, |_| None);
    let err = removed.unwrap_err().to_string();
    assert!(err.contains("1 repository is inside"), "{err}");
    assert!(workspace.path.join("lib/draft").exists());
}

#[test]
fn a_hook_that_fails_is_told_in_its_words() {
    let sandbox = Sandbox::new();
    let refuses = hook(
        &sandbox,
        "reference-transaction",
        "echo not today >&2; exit 1",
    );
    assert_failed(sandbox.prepare("42"), &["git worktree", "hook"]);
    fs::remove_file(refuses).unwrap();
    let fails = hook(&sandbox, "post-checkout", "echo no node here >&2; exit 1");
    assert_failed(sandbox.prepare("42"), &["git worktree", "no node here"]);
    fs::remove_file(fails).unwrap();
    // What it was run for is done: the worktree is whole.
    let workspace = sandbox.prepare("42").unwrap();
    assert_eq!(status(&workspace), "");
}

#[test]
fn hooks_of_commits_do_not_keep_work_from_being_recorded() {
    let sandbox = Sandbox::new();
    let workspace = give(&sandbox, 1, WorkspaceReuse::Keep).unwrap();
    for name in [
        "pre-commit",
        "commit-msg",
        "prepare-commit-msg",
        "post-commit",
    ] {
        hook(
            &sandbox,
            name,
            &format!("touch {}/ran; exit 1", sandbox.root.display()),
        );
    }
    fs::write(workspace.path.join("draft"), "y").unwrap();
    let changes = end(&sandbox, 1, &workspace);
    assert_eq!(changes.recorded.as_deref(), Some("refs/agentd/1/1"));
    assert!(!sandbox.root.join("ran").exists());

    // One that refuses every ref: that is told, and nothing is taken away.
    let refuses = hook(&sandbox, "reference-transaction", "exit 1");
    fs::write(workspace.path.join("draft"), "z").unwrap();
    for reuse in [WorkspaceReuse::Reset, WorkspaceReuse::Fresh] {
        assert_failed(give(&sandbox, 2, reuse), &["git update-ref", "hook"]);
        assert_eq!(fs::read(workspace.path.join("draft")).unwrap(), b"z");
    }
    give(&sandbox, 2, WorkspaceReuse::Keep).unwrap();
    fs::remove_file(refuses).unwrap();
    give(&sandbox, 3, WorkspaceReuse::Reset).unwrap();
    assert_eq!(
        git(&sandbox.repo, &["show", "refs/agentd/3/1-before:draft"]),
        "z"
    );
}

#[test]
fn one_without_a_branch_is_begun_from() {
    let sandbox = Sandbox::new();
    git(&sandbox.repo, &["switch", "--quiet", "--detach"]);
    sandbox.write("file", "two\n");
    sandbox.commit("second");
    let workspace = sandbox.prepare("42").unwrap();
    assert_eq!(workspace.branch.as_deref(), Some("agent/shell-42"));
    assert_eq!(fs::read(workspace.path.join("file")).unwrap(), b"two\n");
}

/// What has begun is not moved with its base; what begins anew begins there.
#[test]
fn a_base_that_moves_is_followed_by_what_begins_anew() {
    let sandbox = Sandbox::new();
    git(&sandbox.repo, &["branch", "stable"]);
    let to = |task, reuse| {
        prepare(&Request {
            base: Some("stable".to_owned()),
            attempt: attempt(task, 1),
            reuse,
            ..sandbox.request(Some("42"))
        })
    };
    let first = to(1, WorkspaceReuse::Keep).unwrap();
    sandbox.write("file", "two\n");
    sandbox.commit("second");
    git(&sandbox.repo, &["branch", "--force", "stable", "main"]);
    assert_eq!(to(2, WorkspaceReuse::Keep).unwrap().head, first.head);
    assert_eq!(to(3, WorkspaceReuse::Reset).unwrap().head, first.head);
    let fresh = to(4, WorkspaceReuse::Fresh).unwrap();
    assert_ne!(fresh.head, first.head);
    git(&sandbox.repo, &["branch", "--quiet", "-D", "stable"]);
    fs::write(fresh.path.join("draft"), "y").unwrap();
    assert_failed(to(5, WorkspaceReuse::Fresh), &["stable is not a commit"]);
    assert!(fresh.path.join("draft").exists());
    assert_eq!(to(6, WorkspaceReuse::Keep).unwrap().head, fresh.head);
}

/// The command that git names is told with its words.
#[test]
fn one_of_somebody_else_is_told_with_what_to_do() {
    let stderr = b"fatal: detected dubious ownership in repository at '/srv/app'\n\
        To add an exception for this directory, call:\n\n\
        \tgit config --global --add safe.directory /srv/app\n";
    let said = words(
        stderr,
        std::os::unix::process::ExitStatusExt::from_raw(128 << 8),
    );
    assert_eq!(
        said,
        "fatal: detected dubious ownership in repository at '/srv/app'; \
         git config --global --add safe.directory /srv/app"
    );
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    std::os::unix::fs::chown(&sandbox.repo, Some(12_345), None).unwrap();
    std::os::unix::fs::chown(sandbox.repo.join(".git"), Some(12_345), None).unwrap();
    let err = locate_repo(&sandbox.repo).unwrap_err().to_string();
    for part in [
        "dubious ownership",
        "safe.directory",
        sandbox.repo.to_str().unwrap(),
    ] {
        assert!(err.contains(part), "{err}");
    }
    assert_failed(
        sandbox.prepare("42"),
        &["dubious ownership", "safe.directory"],
    );
}
