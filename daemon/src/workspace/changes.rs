//! The end of an attempt: what is uncommitted is recorded, and counted
//! together with what the attempt has committed.

use std::{ffi::OsStr, path::PathBuf};

use super::{
    WorkspaceError,
    git::{Git, GitError},
    held::Held,
    lock_of, places,
    records::Records,
    refs::{self, Moment},
    repository_at,
    snapshot::{Checkout, Snapshot, names, text, tree_of},
    worktree::rev_parse,
};
use crate::task::{
    attempt::{Changes, Workspace},
    id::AttemptId,
    limits::{MAX_MESSAGE, clip},
};

/// An attempt that has ended, and where it worked.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The attempt.
    pub attempt: AttemptId,
    /// Where it worked.
    pub workspace: Workspace,
    /// The repository's canonical path.
    pub repo: PathBuf,
    /// The daemon's directory.
    pub state_dir: PathBuf,
}

/// Records what an attempt has left uncommitted, and counts what it has done.
/// To do it again does no harm.
///
/// `is_wanted` is asked once nobody else works on the repository's worktrees:
/// if it says no, nothing is done.
///
/// Blocks: for as long as git takes, and while a workspace of the same
/// repository is prepared.
///
/// # Errors
/// If the repository or the workspace is not there any more, or git fails.
pub fn conclude(
    ended: &Ended,
    is_wanted: impl FnOnce() -> bool,
) -> Result<Option<Changes>, WorkspaceError> {
    repository_at(&ended.repo)?;
    let (dir, lock) = lock_of(&ended.state_dir, &ended.repo)?;
    if !is_wanted() {
        return Ok(None);
    }
    let path = &ended.workspace.path;
    let git = Git::at(path).holding(&lock);
    // Where a worktree was removed, git finds a repository that lies around it.
    if rev_parse(&git, "--show-toplevel")? != *path {
        let path = path.display();
        return Err(WorkspaceError::failed(format!(
            "{path} is not a checkout any more"
        )));
    }
    let own = places::of_repo(&ended.repo, path)?;
    let held = Held::at(&dir, &ended.repo, path, &own)?;
    let checkout = Checkout {
        path,
        lock: &lock,
        held: held.inside(),
    };
    let git = checkout.git();
    let records = Records::at(&dir, &ended.repo, path);
    let message = format!(
        "agentd: what attempt {} left uncommitted\n\nWorktree: {}\n",
        ended.attempt,
        path.display().to_string().replace(char::is_control, " ")
    );
    let snapshot = checkout.record(&[], &message)?;
    let kept = refs::keep_snapshot(&git, &records, ended.attempt, Moment::End, &snapshot)?;
    let mut changes = count(&git, &ended.workspace, &snapshot)?;
    changes.recorded = kept.map(|(name, _)| name);
    Ok(Some(changes))
}

fn count(git: &Git<'_>, before: &Workspace, now: &Snapshot) -> Result<Changes, WorkspaceError> {
    let empty = || {
        git.call(&[&"hash-object", &"-t", &"tree", &"/dev/null"])
            .map(text)
    };
    let head_tree = match &now.head {
        Some(head) => tree_of(git, head)?,
        None => empty()?,
    };
    let found = match before.found.as_ref().or(before.head.as_ref()) {
        Some(found) => tree_of(git, found)?,
        None => empty()?,
    };
    let commits = match (&before.head, &now.head) {
        (_, None) => 0,
        (Some(before), Some(head)) => number(git, &[head, &format!("^{before}")])?,
        (None, Some(head)) => number(git, &[head])?,
    };
    let has_remote = !git.call(&[&"remote"])?.is_empty();
    let unpushed = match &now.head {
        Some(head) if has_remote => Some(number(git, &[head, "--not", "--remotes"])?),
        Some(_) | None => None,
    };
    let left_out: Vec<&str> = now.left_out.iter().map(|left| left.what.as_str()).collect();
    Ok(Changes {
        head: now.head.clone(),
        commits,
        files: differing(git, &found, &now.tree)?,
        uncommitted: differing(git, &head_tree, &now.tree)?,
        unpushed,
        conflicts: now.conflicts,
        recorded: None,
        left_out: clip(
            &left_out.join("; ").replace(char::is_control, " "),
            MAX_MESSAGE,
        ),
    })
}

/// Commits, as `git rev-list` counts them.
fn number(git: &Git<'_>, which: &[&str]) -> Result<u32, GitError> {
    let mut words: Vec<&dyn AsRef<OsStr>> = vec![&"rev-list", &"--count"];
    words.extend(which.iter().map(|word| word as &dyn AsRef<OsStr>));
    let number = text(git.call(&words)?);
    Ok(number.parse().unwrap_or(u32::MAX))
}

/// Files that are not the same in two trees.
fn differing(git: &Git<'_>, before: &str, now: &str) -> Result<u32, GitError> {
    if before == now {
        return Ok(0);
    }
    let words: [&dyn AsRef<OsStr>; 7] = [
        &"diff-tree",
        &"-r",
        &"-z",
        &"--name-only",
        &"--no-renames",
        &before,
        &now,
    ];
    let differing = git.at_length().call(&words)?;
    Ok(u32::try_from(names(&differing).count()).unwrap_or(u32::MAX))
}
