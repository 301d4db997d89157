//! Repositories and state directories that were moved.

use super::*;

/// A worktree with something uncommitted, and a commit.
fn worked_in(sandbox: &Sandbox) -> Workspace {
    let workspace = sandbox.prepare("42").unwrap();
    fs::write(workspace.path.join("work"), "x").unwrap();
    commit(&workspace.path, "work");
    fs::write(workspace.path.join("draft"), "y").unwrap();
    workspace
}

fn move_to(sandbox: &Sandbox, what: &Path) -> PathBuf {
    let there = sandbox.root.join("there");
    fs::create_dir_all(&there).unwrap();
    let to = there.join(what.file_name().unwrap());
    fs::rename(what, &to).unwrap();
    to
}

/// It is the worktree that was worked in, and git finds it.
#[track_caller]
fn is_whole(workspace: &Workspace, repo: &Path) {
    assert_eq!(workspace.branch.as_deref(), Some("agent/shell-42"));
    assert_eq!(status(workspace), "?? draft");
    assert_eq!(fs::read(workspace.path.join("draft")).unwrap(), b"y");
    let common = git(&workspace.path, &["rev-parse", "--git-common-dir"]);
    assert_eq!(Path::new(&common), repo.join(".git"));
    let listed = list::places(&Git::at(repo)).unwrap();
    assert_eq!(listed, [repo.to_owned(), workspace.path.clone()]);
}

#[test]
fn a_repository_brings_its_worktrees_along() {
    let sandbox = Sandbox::new();
    let before = worked_in(&sandbox);
    let repo = move_to(&sandbox, &sandbox.repo);
    let request = Request {
        repo: Some(repo.clone()),
        ..sandbox.request(Some("42"))
    };
    // Somebody is at work there.
    let open = File::open(before.path.join("draft")).unwrap();
    let pid = format!("process {}", std::process::id());
    let words = [
        before.path.to_str().unwrap(),
        "was moved",
        &pid,
        "works there; try again",
    ];
    assert_failed(prepare(&request), &words);
    drop(open);
    let lock = lock::take(before.path.parent().unwrap(), Duration::from_secs(10)).unwrap();
    assert_failed(prepare(&request), &["stays there", ".lock", "try again"]);
    drop(lock);
    assert!(before.path.join("draft").exists());

    let after = prepare(&request).unwrap();
    assert_ne!(after.path, before.path);
    assert!(!before.path.exists());
    is_whole(&after, &repo);
    assert!(after.found.is_some(), "what is uncommitted is recorded");
    assert_eq!(place(&prepare(&request).unwrap()), place(&after));
}

/// Killed after each step of bringing it, the next time does the rest.
#[test]
fn one_that_is_half_brought_comes_the_rest_of_the_way() {
    for renamed in [false, true] {
        let sandbox = Sandbox::new();
        let before = worked_in(&sandbox);
        let repo = move_to(&sandbox, &sandbox.repo);
        let request = Request {
            repo: Some(repo.clone()),
            ..sandbox.request(Some("42"))
        };
        git(
            &repo,
            &["worktree", "repair", before.path.to_str().unwrap()],
        );
        if renamed {
            let to = place_of(&sandbox.state, &repo, "shell", Some("42"), request.task);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::rename(&before.path, &to).unwrap();
        }
        is_whole(&prepare(&request).unwrap(), &repo);
    }
}

#[test]
fn the_daemons_directory_keeps_its_worktrees() {
    let sandbox = Sandbox::new();
    let before = worked_in(&sandbox);
    let request = Request {
        state_dir: move_to(&sandbox, &sandbox.state),
        ..sandbox.request(Some("42"))
    };
    let after = prepare(&request).unwrap();
    assert_ne!(after.path, before.path);
    is_whole(&after, &sandbox.repo);
}

/// As when somebody's home directory is renamed.
#[test]
fn both_may_move_at_once() {
    let sandbox = Sandbox::new();
    worked_in(&sandbox);
    let repo = move_to(&sandbox, &sandbox.repo);
    let request = Request {
        state_dir: move_to(&sandbox, &sandbox.state),
        repo: Some(repo.clone()),
        ..sandbox.request(Some("42"))
    };
    is_whole(&prepare(&request).unwrap(), &repo);
}

/// Another repository of the same name has a worktree of the same name.
#[test]
fn what_is_anothers_is_not_brought() {
    let sandbox = Sandbox::new();
    let others = worked_in(&sandbox);
    let second = sandbox.root.join("second");
    fs::create_dir(&second).unwrap();
    git(&second, &["clone", "--quiet", "../app", "app"]);
    let request = Request {
        repo: Some(second.join("app")),
        ..sandbox.request(Some("42"))
    };
    let own = prepare(&request).unwrap();
    // The first repository is gone, and so is the second's worktree.
    fs::remove_dir_all(&sandbox.repo).unwrap();
    fs::remove_dir_all(&own.path).unwrap();
    assert_eq!(place(&prepare(&request).unwrap()), place(&own));
    assert!(!own.path.join("draft").exists());
    assert!(others.path.join("draft").exists());
    // Also where git has forgotten it.
    git(
        &second.join("app"),
        &["worktree", "remove", own.path.to_str().unwrap()],
    );
    assert_eq!(place(&prepare(&request).unwrap()), place(&own));
    assert!(others.path.join("draft").exists());
}

#[test]
fn a_copy_is_not_taken_for_the_worktree() {
    let sandbox = Sandbox::new();
    let workspace = worked_in(&sandbox);
    let copy = sandbox.root.join("copy");
    git(
        &sandbox.repo,
        &[
            "worktree",
            "move",
            workspace.path.to_str().unwrap(),
            copy.to_str().unwrap(),
        ],
    );
    fs::create_dir(&workspace.path).unwrap();
    fs::copy(copy.join(".git"), workspace.path.join(".git")).unwrap();
    assert_failed(sandbox.prepare("42"), &["does not list", "worktree repair"]);
}
