//! What is under `refs/agentd`, for people: shown, and put into a directory.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::{
    WorkspaceError, dir_of,
    git::{Git, GitError},
    held::Held,
    lock_of, make_dir, not_made, places,
    raw::Raw,
    refs::{self, Kept, Moment},
    repository_at,
    snapshot::{Checkout, commit_of, text},
};
use crate::task::{attempt::Attempt, id::AttemptId};

/// One side of a comparison is at most so long, as text, bytes.
const MAX_DIFF: usize = 64 * 1024 * 1024;

/// The workspace of an attempt at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where its files are now.
    pub path: PathBuf,
    /// The commit that holds them.
    pub commit: String,
}

/// What an attempt changed, as text: from how it found its workspace to how it
/// left it, or, while it is under way, to how that is now. Blocks.
///
/// # Errors
/// If that is not known, or git fails.
pub fn diff(
    state_dir: &Path,
    repo: &Path,
    attempt: &Attempt,
    only_names: bool,
) -> Result<Vec<u8>, WorkspaceError> {
    repository_at(repo)?;
    let held = Held::at_repo(&dir_of(state_dir, repo), repo, None)?;
    let git = Git::at(repo).held(held.repo());
    let Some(workspace) = &attempt.workspace else {
        return Err(not_known(attempt.id, "has had no workspace"));
    };
    let empty = text(git.call(&[&"hash-object", &"-t", &"tree", &"/dev/null"])?);
    let from = workspace.found.as_ref().or(workspace.head.as_ref());
    let from = from.unwrap_or(&empty);
    let to = match &attempt.changes {
        Some(changes) => changes.recorded.as_ref().or(changes.head.as_ref()).cloned(),
        None if attempt.ending.is_some() => {
            return Err(not_known(attempt.id, "has left nothing that was recorded"));
        }
        None => {
            let (dir, lock) = lock_of(state_dir, repo)?;
            let own = places::of_repo(repo, &workspace.path)?;
            let held = Held::at(&dir, repo, &workspace.path, &own)?;
            let checkout = Checkout {
                path: &workspace.path,
                lock: &lock,
                held: held.inside(),
            };
            let message = format!("agentd: attempt {} under way", attempt.id);
            Some(checkout.record(&[], &message)?.tree)
        }
    };
    let to = to.unwrap_or(empty.clone());
    let how = if only_names { "--stat" } else { "--patch" };
    let words: [&dyn AsRef<OsStr>; 8] = [
        &"diff-tree",
        &"-r",
        &how,
        &"--no-color",
        &"--no-ext-diff",
        &"--no-textconv",
        from,
        &to,
    ];
    git.keeping(MAX_DIFF).call(&words).map_err(|err| match err {
        GitError::TooLong { .. } => WorkspaceError::failed(format!(
            "what attempt {} changed is more than {} MiB of text; \
             see it with: git -C {} diff {from} {to}",
            attempt.id,
            MAX_DIFF >> 20,
            repo.display()
        )),
        err @ (GitError::Spawn(_) | GitError::TimedOut { .. } | GitError::Failed { .. }) => {
            err.into()
        }
    })
}

/// Puts the files of a workspace as an attempt left it, or with `before` as it
/// found it, into a worktree of their own at `to`, which must not exist or be
/// empty. Byte by byte as they were; those that were as committed come as they
/// are in the commit. Blocks.
///
/// # Errors
/// If nothing is known of it, `to` is not empty, or git fails.
pub fn restore(
    state_dir: &Path,
    repo: &Path,
    attempt: &Attempt,
    before: bool,
    to: &Path,
) -> Result<Restored, WorkspaceError> {
    repository_at(repo)?;
    let (dir, lock) = lock_of(state_dir, repo)?;
    let held = Held::at_repo(&dir, repo, None)?;
    let git = Git::at(repo).holding(&lock).held(held.repo());
    let kept = refs::list(&git, attempt.id.task)?;
    let name = match before {
        true => as_found(attempt, &kept),
        false => as_left(attempt, &kept),
    };
    let Some(name) = name else {
        let what = match before {
            true => "was given nothing that was recorded",
            false => "has left nothing that was recorded",
        };
        return Err(not_known(attempt.id, what));
    };
    let Some(commit) = commit_of(&git, &name)? else {
        return Err(WorkspaceError::failed(format!(
            "{name} is not in {} any more",
            repo.display()
        )));
    };
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some())
        || to.symlink_metadata().is_ok_and(|found| !found.is_dir())
    {
        return Err(WorkspaceError::failed(format!(
            "{} is there already: files are restored into a new directory only; \
             name another one with --to",
            to.display()
        )));
    }
    let raw = Raw::of(&git)?;
    let held = match held.repo() {
        // Rules are of what is there.
        Some(_) => {
            make_dir(to)?;
            Held::at_repo(&dir, repo, Some(to))?
        }
        None => held.clone(),
    };
    let add: [&dyn AsRef<OsStr>; 5] = [&"worktree", &"add", &"--detach", &to, &commit];
    let added = git.held(held.repo()).env(raw.vars()).call(&add);
    added.map_err(|err| not_made(err, to))?;
    Ok(Restored {
        path: to.to_owned(),
        commit,
    })
}

fn newest(kept: &[Kept], attempt: AttemptId, moment: Moment) -> Option<String> {
    let same = kept
        .iter()
        .filter(|kept| kept.attempt == attempt && kept.moment == moment);
    let newest = same.max_by_key(|kept| kept.number);
    newest.map(|kept| kept.commit.clone())
}

fn as_left(attempt: &Attempt, kept: &[Kept]) -> Option<String> {
    let changes = attempt.changes.as_ref();
    changes
        .and_then(|changes| changes.recorded.clone().or(changes.head.clone()))
        .or_else(|| newest(kept, attempt.id, Moment::End))
}

/// What a reset or a fresh start took away comes before what it left.
fn as_found(attempt: &Attempt, kept: &[Kept]) -> Option<String> {
    let of = |moment| newest(kept, attempt.id, moment);
    let workspace = attempt.workspace.as_ref();
    of(Moment::Before)
        .or_else(|| of(Moment::Head))
        .or_else(|| of(Moment::Branch))
        .or_else(|| workspace.and_then(|w| w.found.clone().or(w.head.clone())))
}

fn not_known(attempt: AttemptId, what: &str) -> WorkspaceError {
    WorkspaceError::failed(format!(
        "attempt {attempt} {what}; agentctl show {} tells what is known of it",
        attempt.task
    ))
}
