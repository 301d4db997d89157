//! Worktrees that go, and what goes with them.

use super::*;

const ALL: Terms = Terms {
    record: true,
    branch: true,
    forced: false,
};
const CLEAN: Terms = Terms {
    record: false,
    branch: true,
    forced: false,
};

fn remove(sandbox: &Sandbox, workspace: &Workspace, terms: Terms) -> Result<Removed, String> {
    let removed = super::remove(&sandbox.state, &workspace.path, terms, |_| None, |_| None);
    removed.map_err(|err| err.to_string())
}

fn has_branch(sandbox: &Sandbox, name: &str) -> bool {
    let listed = git(&sandbox.repo, &["branch", "--list", name]);
    !listed.is_empty()
}

#[test]
fn a_branch_goes_only_if_its_commits_are_elsewhere() {
    let sandbox = Sandbox::new();
    let merged = sandbox.prepare("1").unwrap();
    assert!(remove(&sandbox, &merged, CLEAN).unwrap().branch_went);
    assert!(!has_branch(&sandbox, "agent/shell-1"));

    let own = sandbox.prepare("2").unwrap();
    fs::write(own.path.join("new"), "x").unwrap();
    commit(&own.path, "only here");
    let why = remove(&sandbox, &own, CLEAN).unwrap_err();
    assert!(why.contains("1 commit is on no other branch"), "{why}");
    assert!(!remove(&sandbox, &own, ALL).unwrap().branch_went);
    assert!(has_branch(&sandbox, "agent/shell-2"));

    // A branch of the agent's own choice is not ours to delete.
    let other = sandbox.prepare("3").unwrap();
    git(&other.path, &["switch", "-q", "-c", "feature"]);
    assert!(!remove(&sandbox, &other, CLEAN).unwrap().branch_went);
    assert!(has_branch(&sandbox, "feature"));
}

#[test]
fn what_git_was_told_not_to_look_at_is_recorded_first() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("1").unwrap();
    let skip = ["update-index", "--skip-worktree", "--", "file"];
    git(&workspace.path, &skip);
    fs::write(workspace.path.join("file"), "hidden\n").unwrap();
    assert_eq!(status(&workspace), "", "it looks clean");
    remove(&sandbox, &workspace, CLEAN).unwrap();
    let kept = git(&sandbox.repo, &["show", "refs/agentd/7/1-removed:file"]);
    assert_eq!(kept, "hidden");
}

#[test]
fn one_that_is_needed_stays_as_it_is() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("1").unwrap();
    fs::write(workspace.path.join("new"), "x").unwrap();
    let needed = |_: &Found| Some("task 8 is queued".to_owned());
    let refused = super::remove(&sandbox.state, &workspace.path, ALL, needed, |_| None);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("task 8 is queued")
    );
    assert_eq!(status(&workspace), "?? new");
    assert_eq!(git(&sandbox.repo, &["for-each-ref", "refs/agentd"]), "");
}
