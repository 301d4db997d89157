//! What killed gits, agents and people leave behind.

use super::*;

#[test]
fn a_checkout_that_was_killed_is_made_again() {
    let sandbox = Sandbox::new();
    for name in 0..50 {
        sandbox.write(&format!("many-{name}"), "x");
    }
    sandbox.commit("many");
    sandbox.kill_at("many-25");
    assert_failed(sandbox.prepare("42"), &["git worktree: killed by signal 9"]);
    let list = git(&sandbox.repo, &["worktree", "list", "--porcelain"]);
    assert!(list.contains("locked initializing"), "{list}");
    sandbox.disarm();
    let workspace = sandbox.prepare("42").unwrap();
    assert_eq!(status(&workspace), "");
    assert!(workspace.path.join("many-49").exists());
    assert_eq!(place(&sandbox.prepare("42").unwrap()), place(&workspace));
}

#[test]
fn one_that_was_killed_earlier_is_made_again() {
    // What `git worktree add` has made by then, as files of the worktree and
    // of git's own directory.
    type Undo = fn(&Path, &Path);
    let stages: [(&str, Undo); 4] = [
        ("no directory yet", |path, _| {
            fs::remove_dir_all(path).unwrap()
        }),
        ("an empty directory", |path, _| {
            fs::remove_dir_all(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("no HEAD yet", |path, own| {
            fs::remove_file(path.join("file")).unwrap();
            fs::remove_file(own.join("HEAD")).unwrap();
            fs::remove_file(own.join("index")).unwrap();
        }),
        ("no index yet", |path, own| {
            fs::remove_file(path.join("file")).unwrap();
            fs::rename(own.join("index"), own.join("index.lock")).unwrap();
        }),
    ];
    for (stage, undo) in stages {
        let sandbox = Sandbox::new();
        let workspace = sandbox.prepare("42").unwrap();
        let own = sandbox.inside(&workspace);
        fs::write(own.join("locked"), "initializing").unwrap();
        undo(&workspace.path, &own);
        let again = sandbox
            .prepare("42")
            .unwrap_or_else(|err| panic!("{stage}: {err}"));
        assert_eq!(again, workspace, "{stage}");
        assert_eq!(status(&again), "", "{stage}");
    }
}

#[test]
fn the_lock_of_a_branch_that_was_not_made_is_removed() {
    let sandbox = Sandbox::new();
    let lock = sandbox.repo.join(".git/refs/heads/agent/shell-42.lock");
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    fs::write(&lock, "").unwrap();
    sandbox.prepare("42").unwrap();
    assert!(!lock.exists());
}

#[test]
fn locks_of_a_killed_commit_are_removed() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    fs::write(workspace.path.join("work"), "x").unwrap();
    let own = sandbox.inside(&workspace);
    for lock in ["index.lock", "HEAD.lock"] {
        fs::write(own.join(lock), "").unwrap();
    }
    assert_eq!(place(&sandbox.prepare("42").unwrap()), place(&workspace));
    commit(&workspace.path, "work");
}

#[test]
fn a_lock_that_is_in_use_is_reported() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    let lock = sandbox.inside(&workspace).join("index.lock");
    let open = File::create(&lock).unwrap();
    let pid = std::process::id().to_string();
    assert_failed(
        sandbox.prepare("42"),
        &["index.lock", &pid, "may be using it"],
    );
    assert!(lock.exists());
    drop(open);
    sandbox.prepare("42").unwrap();
    assert!(!lock.exists());
}

#[test]
fn a_missing_index_is_built_without_touching_files() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    fs::write(workspace.path.join("file"), "changed\n").unwrap();
    fs::write(workspace.path.join("new"), "x").unwrap();
    let index = sandbox.inside(&workspace).join("index");
    fs::remove_file(&index).unwrap();
    assert_eq!(place(&sandbox.prepare("42").unwrap()), place(&workspace));
    assert_eq!(status(&workspace), " M file\n?? new");

    for name in ["file", "new"] {
        fs::remove_file(workspace.path.join(name)).unwrap();
    }
    fs::remove_file(&index).unwrap();
    assert_eq!(place(&sandbox.prepare("42").unwrap()), place(&workspace));
    assert_eq!(status(&workspace), "");
}

#[test]
fn a_torn_index_is_reported() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    fs::write(sandbox.inside(&workspace).join("index"), "").unwrap();
    assert_failed(sandbox.prepare("42"), &["is damaged", "index file smaller"]);
}

#[test]
fn a_worktree_without_its_link_is_not_taken_for_the_repository_around_it() {
    let sandbox = Sandbox::new();
    // The state directory itself lies in a repository.
    git(&sandbox.root, &["init", "--quiet"]);
    let workspace = sandbox.prepare("42").unwrap();
    let link = workspace.path.join(".git");
    let text = fs::read(&link).unwrap();
    fs::remove_file(&link).unwrap();
    assert_failed(sandbox.prepare("42"), &["is damaged", "worktree repair"]);
    assert!(workspace.path.join("file").exists());
    fs::write(&link, "gitdir: /nowhere\n").unwrap();
    assert_failed(
        sandbox.prepare("42"),
        &["is damaged", "not a git repository"],
    );
    fs::write(&link, text).unwrap();
    sandbox.prepare("42").unwrap();
}

#[test]
fn a_branch_that_was_deleted_is_reported() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    commit(&workspace.path, "work");
    let work = git(&workspace.path, &["rev-parse", "HEAD"]);
    git(
        &sandbox.repo,
        &["update-ref", "-d", "refs/heads/agent/shell-42"],
    );
    // Git still knows where it was.
    assert_failed(
        sandbox.prepare("42"),
        &["agent/shell-42 is gone", "make it again", &work],
    );
    git(&sandbox.repo, &["branch", "agent/shell-42", &work]);
    assert_eq!(place(&sandbox.prepare("42").unwrap()), place(&workspace));
}

#[test]
fn a_rebase_in_progress_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.commit("second");
    let workspace = sandbox.prepare("42").unwrap();
    let rebase = Git::at(&workspace.path);
    let name: [&dyn AsRef<OsStr>; 4] = [
        &"-c",
        &"user.name=Ann",
        &"-c",
        &"user.email=ann@example.org",
    ];
    let words: [&dyn AsRef<OsStr>; 4] = [&"rebase", &"HEAD~1", &"--exec", &"false"];
    rebase.call(&[name, words].concat()).unwrap_err();
    assert_eq!(sandbox.prepare("42").unwrap().branch, None);
    assert!(sandbox.inside(&workspace).join("rebase-merge").exists());
}

#[test]
fn a_hook_that_stays_behind_does_not_hold_it_up() {
    let sandbox = Sandbox::new();
    let hook = sandbox.repo.join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\nsleep 30 &\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let started = std::time::Instant::now();
    sandbox.prepare("42").unwrap();
    sandbox.prepare("43").unwrap();
    assert!(started.elapsed().as_secs() < 20);
}
