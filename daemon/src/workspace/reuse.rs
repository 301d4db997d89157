//! A workspace that an earlier attempt had is given to the next one.
//!
//! Whatever mode is asked for, what is uncommitted there is recorded first, so
//! that nothing depends on whether the end of the attempt before it was seen.
//! With `reset` and `fresh` the checkout is then set to a commit; where
//! something that would be destroyed could not be recorded, nothing is done.

use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt as _, path::Path};

use super::{
    WorkspaceError,
    git::Git,
    records::Records,
    refs::{self, Moment},
    snapshot::{Checkout, LeftOut, Snapshot, commit_of},
    worktree::rev_parse,
};
use crate::task::{attempt::Workspace, id::AttemptId, spec::WorkspaceReuse};

/// Who gets the workspace, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Next<'a> {
    /// The attempt that is to work there.
    pub(super) attempt: AttemptId,
    /// What is to become of what is there.
    pub(super) reuse: WorkspaceReuse,
    /// The name of the workspace, for the message of a snapshot.
    pub(super) name: &'a str,
    pub(super) wanted: Wanted<'a>,
    /// What is written down of it.
    pub(super) records: &'a Records,
}

/// Whether somebody still waits for a workspace. Whoever was given it since has it to
/// himself.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a>(pub(super) &'a dyn Fn() -> bool);

impl Wanted<'_> {
    /// To be asked while the lock of the repository's worktrees is held, before each step
    /// that changes one.
    pub(super) fn check(self) -> Result<(), WorkspaceError> {
        match (self.0)() {
            true => Ok(()),
            false => Err(WorkspaceError::failed(
                "stopped before its workspace was ready",
            )),
        }
    }
}

impl fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wanted")
    }
}

impl Next<'_> {
    fn message(&self) -> String {
        format!(
            "agentd: what was there before attempt {}\n\nWorktree: {}\n",
            self.attempt, self.name
        )
    }
}

/// Records the checkout and says in `workspace` what the attempt finds there.
/// A checkout that stays as it is may be used even if it cannot be recorded.
pub(super) fn keep(checkout: &Checkout<'_>, next: &Next<'_>, workspace: &mut Workspace) {
    match record(checkout, next, &[]) {
        Ok((snapshot, found)) => {
            for left in &snapshot.left_out {
                tracing::info!(task = %next.attempt.task, attempt = next.attempt.number, left = left.what, "not in the snapshot");
            }
            workspace.head = snapshot.head;
            workspace.found = found;
        }
        Err(err) => {
            tracing::warn!(task = %next.attempt.task, attempt = next.attempt.number, %err, "what was in the workspace is not recorded");
            let git = checkout.git();
            workspace.head = commit_of(&git, "HEAD").ok().flatten();
        }
    }
}

/// Sets the checkout to its own commit, without anything that is not committed.
/// Ignored files stay.
pub(super) fn reset(checkout: &Checkout<'_>, next: &Next<'_>) -> Result<(), WorkspaceError> {
    let (snapshot, found) = record(checkout, next, &[])?;
    refuse_loss(checkout.path, &snapshot)?;
    let Some(head) = &snapshot.head else {
        let path = checkout.path.display();
        return Err(WorkspaceError::failed(format!(
            "{path} has no commit to be reset to; rerun it with --workspace fresh or keep"
        )));
    };
    rehearse(checkout, head)?;
    next.wanted.check()?;
    set_back(checkout, &[&"reset", &"--quiet", &"--hard"])
        .map_err(|err| half_done(checkout, next, found, &err))
}

/// Puts the branch back to the commit at which a new one would begin, and
/// checks it out. Where it was is kept.
pub(super) fn fresh(
    checkout: &Checkout<'_>,
    next: &Next<'_>,
    branch: &str,
    base: &str,
) -> Result<(), WorkspaceError> {
    let git = checkout.git();
    refuse_taken(checkout, branch)?;
    let (snapshot, found) = record(checkout, next, &[base.to_owned()])?;
    refuse_loss(checkout.path, &snapshot)?;
    next.wanted.check()?;
    if let Some(head) = snapshot.head.filter(|head| head != base) {
        refs::keep(&git, next.attempt, Moment::Head, &head)?;
    }
    keep_branch(&git, next, branch, base)?;
    rehearse(checkout, base)?;
    next.wanted.check()?;
    let switch: [&dyn AsRef<OsStr>; 7] = [
        &"checkout",
        &"--quiet",
        &"--force",
        &"--no-track",
        &"-B",
        &branch,
        &base,
    ];
    set_back(checkout, &switch).map_err(|err| half_done(checkout, next, found, &err))
}

/// Keeps the tip of a branch that is about to be put elsewhere.
pub(super) fn keep_branch(
    git: &Git<'_>,
    next: &Next<'_>,
    branch: &str,
    base: &str,
) -> Result<(), WorkspaceError> {
    match commit_of(git, &format!("refs/heads/{branch}"))? {
        Some(tip) if tip != base => refs::keep(git, next.attempt, Moment::Branch, &tip).map(drop),
        Some(_) | None => Ok(()),
    }
}

/// Records the checkout, and says in which commit.
fn record(
    checkout: &Checkout<'_>,
    next: &Next<'_>,
    targets: &[String],
) -> Result<(Snapshot, Option<String>), WorkspaceError> {
    let snapshot = checkout.record(targets, &next.message())?;
    let git = checkout.git();
    let kept = refs::keep_snapshot(&git, next.records, next.attempt, Moment::Before, &snapshot)?;
    let found = kept.map(|(_, commit)| commit);
    // What is taken away is to be found by the name of who had it done.
    if let (Some(found), WorkspaceReuse::Reset | WorkspaceReuse::Fresh) = (&found, next.reuse) {
        refs::keep(&git, next.attempt, Moment::Before, found)?;
    }
    Ok((snapshot, found))
}

fn refuse_loss(path: &Path, snapshot: &Snapshot) -> Result<(), WorkspaceError> {
    let lost: Vec<&str> = snapshot
        .left_out
        .iter()
        .filter(|left| left.at_risk)
        .map(|left: &LeftOut| left.what.as_str())
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(WorkspaceError::failed(format!(
        "{} is left as it is, because this could not be recorded: {}; \
         move it away, or rerun the task with --workspace keep",
        path.display(),
        lost.join("; ")
    )))
}

/// Git puts no branch elsewhere that is checked out in another worktree.
fn refuse_taken(checkout: &Checkout<'_>, branch: &str) -> Result<(), WorkspaceError> {
    let name = format!("refs/heads/{branch}");
    let format = "--format=%(refname) %(worktreepath)";
    let git = checkout.git();
    let listed = git.call(&[&"for-each-ref", &format, &name])?;
    let place = listed
        .strip_prefix(name.as_bytes())
        .and_then(|rest| rest.strip_prefix(b" "));
    match place {
        None | Some(b"") => Ok(()),
        Some(place) if place == checkout.path.as_os_str().as_bytes() => Ok(()),
        Some(place) => Err(WorkspaceError::failed(format!(
            "{} is left as it is: branch {branch} is checked out at {}; \
             switch that to another branch, or rerun the task with --workspace keep",
            checkout.path.display(),
            String::from_utf8_lossy(place)
        ))),
    }
}

/// Has git say whether it would set the checkout to a commit: once files have
/// been removed it is too late to refuse.
fn rehearse(checkout: &Checkout<'_>, commit: &str) -> Result<(), WorkspaceError> {
    checkout.show_all()?;
    let git = checkout.git();
    git.call(&[&"read-tree", &"--dry-run", &"--reset", &"-u", &commit])?;
    Ok(())
}

/// Cleans the checkout, and has a command set it to a commit.
fn set_back(checkout: &Checkout<'_>, how: &[&dyn AsRef<OsStr>]) -> Result<(), WorkspaceError> {
    clean(checkout)?;
    let git = checkout.git();
    git.call(how)?;
    Ok(())
}

/// The error of a checkout of which a part may be gone: says where it is.
fn half_done(
    checkout: &Checkout<'_>,
    next: &Next<'_>,
    found: Option<String>,
    err: &WorkspaceError,
) -> WorkspaceError {
    let path = checkout.path.display();
    let recorded = match found {
        Some(_) => format!(
            "what was uncommitted there is recorded, see it with: \
             agentctl workspace restore {} --before",
            next.attempt
        ),
        None => "nothing was uncommitted there".to_owned(),
    };
    WorkspaceError::failed(format!(
        "{path} may have been set back in part: {err}; {recorded}"
    ))
}

/// Ends what git was in the middle of, and removes new files. They go before
/// anything else, while the files that say what is ignored are those that the
/// snapshot went by. Repositories inside stay.
fn clean(checkout: &Checkout<'_>) -> Result<(), WorkspaceError> {
    let git = checkout.git();
    let own = rev_parse(&git, "--absolute-git-dir")?;
    let has = |name: &str| own.join(name).symlink_metadata().is_ok();
    git.call(&[&"clean", &"--quiet", &"--force", &"-d"])?;
    if has("rebase-apply/applying") {
        git.call(&[&"am", &"--quit"])?;
    } else if has("rebase-merge") || has("rebase-apply") {
        git.call(&[&"rebase", &"--quit"])?;
    }
    if has("sequencer") {
        git.call(&[&"cherry-pick", &"--quit"])?;
    }
    Ok(())
}
