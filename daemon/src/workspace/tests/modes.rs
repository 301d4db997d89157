//! Modes other than worktrees, and how repositories are found.

use super::*;

#[test]
fn without_a_repository_a_private_directory_is_kept() {
    let sandbox = Sandbox::new();
    let request = Request {
        mode: WorkspaceMode::None,
        repo: None,
        ..sandbox.request(None)
    };
    let workspace = prepare(&request).unwrap();
    assert_eq!(workspace.path, sandbox.state.join("workspaces/7"));
    assert_eq!(workspace.branch, None);
    assert_eq!(mode(&workspace.path), 0o700);
    assert_eq!(mode(&sandbox.state), 0o700);
    fs::write(workspace.path.join("notes"), "x").unwrap();
    assert_eq!(prepare(&request).unwrap(), workspace);
    assert!(workspace.path.join("notes").exists());
}

#[test]
fn a_file_in_the_way_of_a_directory_stays() {
    let sandbox = Sandbox::new();
    let path = sandbox.state.join("workspaces/7");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "x").unwrap();
    let request = Request {
        mode: WorkspaceMode::None,
        ..sandbox.request(None)
    };
    assert_failed(prepare(&request), &["workspaces/7"]);
    assert_eq!(fs::read(&path).unwrap(), b"x");
}

#[test]
fn in_place_is_the_checkout_itself() {
    let sandbox = Sandbox::new();
    let request = Request {
        mode: WorkspaceMode::InPlace,
        ..sandbox.request(None)
    };
    let workspace = prepare(&request).unwrap();
    assert_eq!(
        (workspace.path, workspace.branch),
        (sandbox.repo.clone(), None)
    );

    git(&sandbox.root, &["init", "--quiet", "--bare", "bare.git"]);
    let bare = Request {
        repo: Some(sandbox.root.join("bare.git")),
        ..request
    };
    assert_failed(prepare(&bare), &["bare.git", "no checkout", "worktree"]);
}

#[test]
fn a_repository_that_is_gone_is_missing() {
    let sandbox = Sandbox::new();
    let missing = |words: &str| {
        for mode in [WorkspaceMode::Worktree, WorkspaceMode::InPlace] {
            let request = Request {
                mode,
                ..sandbox.request(None)
            };
            let err = prepare(&request).unwrap_err();
            assert_eq!(err.reason, FailureReason::RepoMissing, "{err}");
            assert!(err.message.contains(words), "{err}");
        }
    };
    fs::rename(sandbox.repo.join(".git"), sandbox.root.join("kept")).unwrap();
    missing("not a git repository");
    // A repository around it is not the one that was meant.
    git(&sandbox.root, &["init", "--quiet"]);
    missing("is now a part of");
    fs::remove_dir_all(&sandbox.repo).unwrap();
    missing("no such directory");
    assert!(!sandbox.state.exists());
}

#[test]
fn a_path_leads_to_the_top_of_its_checkout() {
    let sandbox = Sandbox::new();
    let deep = sandbox.repo.join("a/b");
    fs::create_dir_all(&deep).unwrap();
    assert_eq!(locate_repo(&deep).unwrap(), sandbox.repo);
    let link = sandbox.root.join("link");
    std::os::unix::fs::symlink(&deep, &link).unwrap();
    assert_eq!(locate_repo(&link).unwrap(), sandbox.repo);

    git(&sandbox.root, &["init", "--quiet", "--bare", "bare.git"]);
    let bare = sandbox.root.join("bare.git");
    assert_eq!(locate_repo(&bare.join("refs")).unwrap(), bare);

    let odd = sandbox.root.join("-odd name\n$(x)");
    git(
        &sandbox.root,
        &["init", "--quiet", "--", odd.to_str().unwrap()],
    );
    assert_eq!(locate_repo(&odd).unwrap(), odd);
}

#[test]
fn a_path_without_a_repository_is_explained() {
    let sandbox = Sandbox::new();
    let words = |path: &str| {
        let err = locate_repo(&sandbox.root.join(path)).unwrap_err();
        err.to_string()
    };
    assert!(words("none").ends_with("none: no such directory"));
    assert!(words("app/file").ends_with("file: not a directory"));
    assert!(words("app/.git/refs").contains("name its checkout"));
    assert!(words("").contains("not a git repository"));
}
