//! The record of a setup, and what undoes it.

use super::*;

fn record(workspace: &Workspace) -> PathBuf {
    let found = setup_record(WorkspaceMode::Worktree, workspace);
    found.expect("a worktree has a place for it")
}

fn remove_with(
    sandbox: &Sandbox,
    workspace: &Workspace,
    force: bool,
    script: &str,
) -> Result<Found, RemoveError> {
    let teardown = Teardown {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        limit: Duration::from_secs(60),
        repo: sandbox.repo.clone(),
    };
    let none = |_: &Found| None;
    let terms = Terms {
        record: force,
        branch: false,
        forced: force,
    };
    let removed = remove(&sandbox.state, &workspace.path, terms, none, |_| {
        Some(teardown)
    });
    removed.map(|removed| removed.found)
}

#[test]
fn the_record_goes_with_what_was_set_up() {
    let sandbox = Sandbox::new();
    let request = sandbox.request(Some("1"));
    for (reuse, stays) in [
        (WorkspaceReuse::Keep, true),
        (WorkspaceReuse::Reset, false),
        (WorkspaceReuse::Fresh, false),
    ] {
        let workspace = prepare(&request).unwrap();
        fs::write(record(&workspace), "").unwrap();
        let reuse = Request {
            reuse,
            ..request.clone()
        };
        let workspace = prepare(&reuse).unwrap();
        assert_eq!(record(&workspace).exists(), stays, "{reuse:?}");
        assert_eq!(status(&workspace), "", "it is no file of the work");
    }
    let workspace = prepare(&request).unwrap();
    fs::write(record(&workspace), "").unwrap();
    fs::remove_dir_all(&workspace.path).unwrap();
    assert!(!record(&prepare(&request).unwrap()).exists());
    let mode = WorkspaceMode::InPlace;
    assert_eq!(setup_record(mode, &workspace), None);
}

#[test]
fn a_teardown_that_fails_or_leaves_something_keeps_the_worktree() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("1").unwrap();
    fs::write(record(&workspace), "").unwrap();
    let failed = remove_with(
        &sandbox,
        &workspace,
        false,
        "echo 1; echo 2; echo 3; echo 4; exit 3",
    );
    let message = failed.unwrap_err().to_string();
    assert!(message.ends_with("exit code 3; 2; 3; 4"), "{message}");
    assert!(!record(&workspace).exists(), "it is to be set up again");
    let left = remove_with(&sandbox, &workspace, false, "echo work >left");
    let message = left.unwrap_err().to_string();
    assert!(message.contains("1 file is not committed"), "{message}");
    // What it takes away was recorded before, and what it leaves after it.
    let script = "rm left; echo more >more; exit 1";
    let removed = remove_with(&sandbox, &workspace, true, script).unwrap();
    assert!(!workspace.path.exists() && removed.uncommitted == 1);
    let refs = git(
        &sandbox.repo,
        &["for-each-ref", "--format=%(refname)", "refs/agentd"],
    );
    let names: Vec<String> = refs
        .lines()
        .map(|name| git(&sandbox.repo, &["ls-tree", "--name-only", name]))
        .collect();
    for name in ["left", "more"] {
        assert!(names.iter().any(|list| list.contains(name)), "{names:?}");
    }
}

#[test]
fn a_teardown_that_takes_too_long_is_ended() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("1").unwrap();
    let teardown = Teardown {
        argv: vec!["sleep".to_owned(), "1000".to_owned()],
        limit: Duration::from_millis(50),
        repo: sandbox.repo.clone(),
    };
    let none = |_: &Found| None;
    let kept = remove(
        &sandbox.state,
        &workspace.path,
        Terms::default(),
        none,
        |_| Some(teardown),
    );
    let message = kept.unwrap_err().to_string();
    assert!(message.contains("its setup_timeout"), "{message}");
    assert!(workspace.path.is_dir());
}
