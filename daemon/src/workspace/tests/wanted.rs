//! Starts that nobody waits for any more, and repositories with a long history.

use std::cell::Cell;

use super::*;

/// It says so that often.
fn wanted(times: u32) -> (Cell<u32>, impl Fn(&Cell<u32>) -> bool) {
    let left = Cell::new(times);
    (left, |left| {
        let now = left.get();
        left.set(now.saturating_sub(1));
        now > 0
    })
}

fn prepare_wanted(request: &Request, times: u32) -> Result<Workspace, WorkspaceError> {
    let (left, ask) = wanted(times);
    crate::workspace::prepare(request, &|| ask(&left), &mut Vec::new())
}

/// The next life's agent may work there by the time that the lock is free.
#[test]
fn nothing_is_changed_for_a_start_that_is_not_wanted_any_more() {
    for reuse in [WorkspaceReuse::Reset, WorkspaceReuse::Fresh] {
        let sandbox = Sandbox::new();
        let request = sandbox.request(Some("1"));
        assert_failed(prepare_wanted(&request, 0), &["stopped before"]);
        assert_failed(prepare_wanted(&request, 1), &["stopped before"]);
        let worktrees = || worktrees(&sandbox.state).unwrap();
        assert_eq!(worktrees(), Vec::<PathBuf>::new());
        let workspace = prepare(&request).unwrap();
        let (old, new) = (workspace.path.join("file"), workspace.path.join("new"));
        fs::write(&old, "changed\n").unwrap();
        fs::write(&new, "new\n").unwrap();
        let again = Request {
            reuse,
            attempt: attempt(7, 2),
            ..request
        };
        let mut times = 0;
        while let Err(stopped) = prepare_wanted(&again, times) {
            assert!(stopped.message.contains("stopped before"), "{stopped}");
            assert_eq!(fs::read_to_string(&old).unwrap(), "changed\n");
            assert!(new.exists(), "asked {times} times");
            times += 1;
        }
        assert!(times >= 2, "asked with the lock, and before the change");
        assert_eq!(fs::read_to_string(&old).unwrap(), "one\n");
        assert!(!new.exists());
    }
    let sandbox = Sandbox::new();
    let in_place = Request {
        mode: WorkspaceMode::InPlace,
        ..sandbox.request(None)
    };
    assert_failed(prepare_wanted(&in_place, 0), &["stopped before"]);
}

#[test]
fn any_number_of_snapshots_of_others_is_in_nobodys_way() {
    let sandbox = Sandbox::new();
    let head = git(&sandbox.repo, &["rev-parse", "HEAD"]);
    let mut packed = String::from("# pack-refs with: peeled fully-peeled sorted \n");
    let mut names: Vec<_> = (100..60_100)
        .map(|task| format!("refs/agentd/{task}/1-before"))
        .collect();
    names.sort();
    for name in names {
        packed += &format!("{head} {name}\n");
    }
    fs::write(sandbox.repo.join(".git/packed-refs"), packed).unwrap();
    let workspace = sandbox.prepare("1").unwrap();
    fs::write(workspace.path.join("file"), "changed\n").unwrap();
    let ended = Ended {
        attempt: attempt(7, 1),
        workspace: workspace.clone(),
        repo: sandbox.repo.clone(),
        state_dir: sandbox.state.clone(),
    };
    let changes = conclude(&ended, || true).unwrap().unwrap();
    assert_eq!(changes.recorded.as_deref(), Some("refs/agentd/7/1"));
    // Another task gets it as it is: that has a name.
    let next = Request {
        attempt: attempt(8, 1),
        ..sandbox.request(Some("1"))
    };
    let found = prepare(&next).unwrap().found;
    let commit = git(&sandbox.repo, &["rev-parse", "refs/agentd/7/1"]);
    assert_eq!(found, Some(commit));
    let seen = inspect(&workspace.path);
    assert_eq!((seen.broken, seen.snapshots), (None, vec![]));
}
