//! Where a new branch begins when there is a remote.

use super::*;

/// A repository whose remote is another one, and has all it has.
fn with_remote() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let theirs = sandbox.root.join("theirs");
    git(&sandbox.root, &["clone", "--quiet", "app", "theirs"]);
    git(
        &sandbox.repo,
        &["remote", "add", "origin", theirs.to_str().unwrap()],
    );
    git(&sandbox.repo, &["fetch", "--quiet", "origin"]);
    (sandbox, theirs)
}

/// The subject of the commit at which the work on an issue begins, and notes.
fn begins(
    sandbox: &Sandbox,
    issue: &str,
    base: Option<&str>,
    fetch: Fetch,
) -> Result<(String, Vec<String>), WorkspaceError> {
    let mut notes = Vec::new();
    let request = Request {
        base: base.map(str::to_owned),
        fetch,
        ..sandbox.request(Some(issue))
    };
    let workspace = crate::workspace::prepare(&request, &|| true, &mut notes)?;
    Ok((git(&workspace.path, &["log", "-1", "--format=%s"]), notes))
}

#[test]
fn a_branch_is_followed_as_long_as_it_has_no_commits_of_its_own() {
    let (sandbox, theirs) = with_remote();
    let old = git(&sandbox.repo, &["rev-parse", "HEAD"]);
    commit(&theirs, "theirs");
    git(&theirs, &["branch", "only-there"]);
    let newer = ["the work begins at origin/main".to_owned()];
    let off = begins(&sandbox, "0", Some("main"), Fetch::Off).unwrap();
    assert_eq!(off, ("first".to_owned(), Vec::new()));
    for (issue, base) in [
        ("1", None),
        ("2", Some("main")),
        ("3", Some("refs/heads/main")),
    ] {
        let (subject, notes) = begins(&sandbox, issue, base, Fetch::Try).unwrap();
        assert_eq!((&*subject, &notes[..]), ("theirs", &newer[..]), "{base:?}");
    }
    for (issue, base) in [("4", "origin/main"), ("5", "only-there")] {
        let (subject, _) = begins(&sandbox, issue, Some(base), Fetch::Require).unwrap();
        assert_eq!(subject, "theirs", "{base}");
    }
    let (subject, _) = begins(&sandbox, "6", Some(&old), Fetch::Try).unwrap();
    assert_eq!(subject, "first", "a commit is that commit");
    let err = begins(&sandbox, "7", Some("nowhere"), Fetch::Try).unwrap_err();
    assert!(
        err.message.contains("base nowhere is not a commit"),
        "{err}"
    );
    // The operator's own branch stays where it is.
    assert_eq!(git(&sandbox.repo, &["rev-parse", "main"]), old);
    assert!(!sandbox.repo.join(".git/FETCH_HEAD").exists() || off.1.is_empty());

    commit(&sandbox.repo, "ours");
    let (subject, notes) = begins(&sandbox, "8", Some("main"), Fetch::Try).unwrap();
    assert_eq!(subject, "ours");
    assert!(
        notes[0].contains("main and origin/main have both gone on"),
        "{notes:?}"
    );
    git(
        &sandbox.repo,
        &[
            "push",
            "--quiet",
            "--force",
            "origin",
            "HEAD:refs/heads/back",
        ],
    );
    git(&theirs, &["reset", "--quiet", "--hard", "back"]);
    commit(&sandbox.repo, "ours again");
    let ahead = begins(&sandbox, "9", None, Fetch::Try).unwrap();
    assert_eq!(ahead, ("ours again".to_owned(), Vec::new()));
    git(&sandbox.repo, &["checkout", "--quiet", &old]);
    let detached = begins(&sandbox, "10", None, Fetch::Try).unwrap();
    assert_eq!(detached, ("first".to_owned(), Vec::new()));
}

#[test]
fn a_fetch_that_fails_is_a_note_or_an_error() {
    let (sandbox, theirs) = with_remote();
    fs::rename(&theirs, sandbox.root.join("elsewhere")).unwrap();
    let (subject, notes) = begins(&sandbox, "1", None, Fetch::Try).unwrap();
    assert_eq!(subject, "first");
    assert!(notes[0].contains("cannot fetch from origin"), "{notes:?}");
    let err = begins(&sandbox, "2", None, Fetch::Require).unwrap_err();
    assert_eq!(err.reason, FailureReason::WorkspaceFailed);
    assert!(err.message.contains("cannot fetch from origin"), "{err}");
    // One that is there is not made: nobody is asked.
    assert_eq!(
        begins(&sandbox, "1", None, Fetch::Require).unwrap().1.len(),
        0
    );
}

#[test]
fn what_a_killed_fetch_has_locked_is_freed() {
    let (sandbox, theirs) = with_remote();
    commit(&theirs, "theirs");
    let git_dir = sandbox.repo.join(".git");
    let locks = ["refs/remotes/origin/main.lock", "packed-refs.lock"];
    for lock in locks {
        fs::write(git_dir.join(lock), "").unwrap();
    }
    let (subject, _) = begins(&sandbox, "1", None, Fetch::Require).unwrap();
    assert_eq!(subject, "theirs");
    assert!(locks.iter().all(|lock| !git_dir.join(lock).exists()));
    // One that somebody holds is his.
    commit(&theirs, "more");
    let held = File::create(git_dir.join(locks[0])).unwrap();
    let (subject, notes) = begins(&sandbox, "2", None, Fetch::Try).unwrap();
    assert_eq!(subject, "theirs", "{notes:?}");
    assert!(notes[0].contains("may be using it"), "{notes:?}");
    drop(held);
}
