//! Where an agent works: a git worktree of its own, the repository's checkout,
//! or a private directory.
//!
//! ```text
//! worktrees/app-1f3a9c20/       one directory a repository
//!   .lock                       held while one of them is prepared
//!   claude-42/                  the key (claude, app, 42), on branch agent/claude-42
//!   .claude-42/                 what is written down of it
//!   task-7/                     a task without an issue
//! workspaces/8/                 the private directory of task 8
//! ```
//!
//! A worktree is made once and then kept: retries and later tasks of its key
//! find it as the agent left it, with whatever branch it is on. One that a
//! killed git left half-made is made again, because no agent has been in it;
//! one that is damaged in another way is reported.
//!
//! What is uncommitted in a checkout is recorded under `refs/agentd` before an
//! attempt is given it ([`prepare`]) and when an attempt has ended
//! ([`conclude`]); people see and restore it ([`diff`], [`restore()`]), and
//! remove worktrees that hold nothing else ([`remove`]).
//!
//! Before a branch is begun, what its remote has is fetched. What sets a worktree
//! up is run by the runner; that it was is written down beside the worktree. What
//! undoes it is run before a worktree is removed.
//!
//! Where an agent in a sandbox has worked, git is held as the agent was (`held.rs`).
//!
//! Not here: when worktrees are collected. Everything blocks, up to the time
//! limits of git commands.
//!
//! Invariants: no file that git does not know to be its own unfinished checkout
//! is deleted or overwritten unless a ref holds it. No path is removed but by
//! git, and only if git lists it. No text of a task reaches a path, a ref or a
//! command line unchecked, and no shell is used. Nothing is written in a place where an agent
//! writes but by git, and what is read there may be anything.

mod changes;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod git;
mod held;
mod leftover;
mod list;
mod lock;
mod moved;
mod name;
mod places;
mod raw;
mod records;
mod refs;
mod repo;
mod restore;
mod reuse;
mod setup;
mod shelf;
mod snapshot;
mod worktree;

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use self::git::Git;
pub use self::{
    changes::{Ended, conclude},
    git::GitError,
    places::git_places,
    repo::{RepoError, locate_repo},
    restore::{Restored, diff, restore},
    setup::{Teardown, setup_record},
    shelf::{Found, RemoveError, Removed, Terms, inspect, remove, worktrees},
};
use self::{
    fetch::Base,
    held::Held,
    records::Records,
    reuse::{Next, Wanted},
    snapshot::Checkout,
    worktree::{Begin, rev_parse},
};
use crate::task::{
    attempt::Workspace,
    id::{AttemptId, TaskId},
    limits::{MAX_MESSAGE, clip},
    reason::FailureReason,
    spec::{Fetch, WorkspaceMode, WorkspaceReuse},
};

/// How long a preparation waits for others of its repository.
const LOCK_LIMIT: Duration = Duration::from_secs(600);

/// Where git cannot write and less is free, the disk is full, bytes. What git
/// has begun and could not write it has removed by then.
const LITTLE_ROOM: u64 = 64 * 1024 * 1024;

/// What a workspace is needed for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which kind.
    pub mode: WorkspaceMode,
    /// The repository's canonical path, as [`locate_repo`] found it.
    pub repo: Option<PathBuf>,
    /// The agent's name.
    pub agent: String,
    /// The issue's number or text.
    pub issue: Option<String>,
    /// The task; of a rerun the first of its lineage, whose workspace it has.
    pub task: TaskId,
    /// The workspace may exist already: an earlier attempt or task had it. If
    /// not, a branch that has its name by chance is left alone.
    pub reused: bool,
    /// The branch that an earlier attempt had, if it is known.
    pub branch: Option<String>,
    /// Where a new branch begins; `None`: at what is checked out.
    pub base: Option<String>,
    /// Whether what its remote has is asked for first.
    pub fetch: Fetch,
    /// The daemon's directory.
    pub state_dir: PathBuf,
    /// Who is to work there.
    pub attempt: AttemptId,
    /// What is to become of what an earlier task has left there.
    pub reuse: WorkspaceReuse,
}

/// A workspace that could not be made ready. Nothing was destroyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WorkspaceError {
    /// `WorkspaceFailed` or `RepoMissing`.
    pub reason: FailureReason,
    /// One line, with the words of git or the system and what to do.
    pub message: String,
}

impl WorkspaceError {
    fn failed(message: impl AsRef<str>) -> Self {
        Self::new(FailureReason::WorkspaceFailed, message.as_ref())
    }

    fn repo_missing(message: impl AsRef<str>) -> Self {
        Self::new(FailureReason::RepoMissing, message.as_ref())
    }

    fn io(path: &Path, err: &io::Error) -> Self {
        Self::failed(format!("{}: {err}", path.display()))
    }

    fn new(reason: FailureReason, message: &str) -> Self {
        // Paths and the output of hooks may hold anything.
        let line: String = message
            .chars()
            .map(|char| if char.is_control() { ' ' } else { char })
            .collect();
        Self {
            reason,
            message: clip(&line, MAX_MESSAGE),
        }
    }
}

impl From<GitError> for WorkspaceError {
    fn from(err: GitError) -> Self {
        let words = err.to_string();
        if words.contains("No space left on device") {
            return Self::failed(format!("{words}; make room on the repository's disk"));
        }
        Self::failed(words)
    }
}

/// Why a worktree was not made at `path`. Of a full disk git says only that it
/// cannot write.
fn not_made(err: GitError, path: &Path) -> WorkspaceError {
    let above = path.ancestors().find(|dir| dir.is_dir()).unwrap_or(path);
    let room = rustix::fs::statvfs(above);
    let free = room.map_or(u64::MAX, |room| room.f_frsize.saturating_mul(room.f_bavail));
    let written = err.to_string().contains("unable to write");
    if !written || free > LITTLE_ROOM {
        return err.into();
    }
    WorkspaceError::failed(format!(
        "{err}; its disk is full ({} KiB are free): make room there",
        free >> 10
    ))
}

/// Makes the workspace of a task ready, or finds it as it was left. `notes` gets
/// what whoever works there should know of how it was made.
///
/// `is_wanted` is asked once nobody else works on the repository's worktrees, and before
/// each step that changes one: if it says no, nothing more is done.
///
/// Blocks: for as long as git takes, and while another workspace of the same
/// repository is prepared.
///
/// # Errors
/// `RepoMissing` if the repository is not there any more, else
/// `WorkspaceFailed`.
pub fn prepare(
    request: &Request,
    is_wanted: &dyn Fn() -> bool,
    notes: &mut Vec<String>,
) -> Result<Workspace, WorkspaceError> {
    let wanted = Wanted(is_wanted);
    match request.mode {
        WorkspaceMode::None => private(request),
        WorkspaceMode::InPlace => in_place(request, wanted),
        WorkspaceMode::Worktree => worktree(request, wanted, notes),
    }
}

/// Writes down that an agent in a sandbox is about to work in this workspace of `repo`,
/// and what is `hidden` from it: from then on git is held there. Blocks.
///
/// # Errors
/// If it cannot be written; the agent is not to be started then.
pub fn note_sandbox(
    state_dir: &Path,
    repo: &Path,
    workspace: &Workspace,
    hidden: &[PathBuf],
) -> Result<(), WorkspaceError> {
    let records = Records::at(&dir_of(state_dir, repo), repo, &workspace.path);
    records.note_sandbox(hidden)
}

/// Whether a checkout of `repo` holds work that is not committed; `None`: it is none,
/// or git does not say. Blocks.
#[must_use]
pub fn uncommitted(state_dir: &Path, repo: &Path, workspace: &Workspace) -> Option<bool> {
    let path = &workspace.path;
    let own = places::of_repo(repo, path).ok()?;
    let held = Held::at(&dir_of(state_dir, repo), repo, path, &own).ok()?;
    snapshot::is_dirty(&Git::at(path).held(held.inside())).ok()
}

fn private(request: &Request) -> Result<Workspace, WorkspaceError> {
    let path = request
        .state_dir
        .join("workspaces")
        .join(request.task.to_string());
    make_dir(&path)?;
    Ok(Workspace::at(path, None))
}

fn in_place(request: &Request, wanted: Wanted<'_>) -> Result<Workspace, WorkspaceError> {
    let repository = repository(request)?;
    if repository.bare {
        let path = repository.path.display();
        return Err(WorkspaceError::failed(format!(
            "{path} is a bare repository: it has no checkout to work in; use a worktree"
        )));
    }
    let (dir, lock) = lock_of(&request.state_dir, &repository.path)?;
    wanted.check()?;
    clear_locks(&repository.path, &lock)?;
    let held = Held::at_repo(&dir, &repository.path, None)?;
    let mut workspace = Workspace::at(repository.path, None);
    let checkout = Checkout {
        path: &workspace.path.clone(),
        lock: &lock,
        held: held.inside(),
    };
    let records = Records::of_checkout(&dir);
    let next = Next {
        attempt: request.attempt,
        reuse: WorkspaceReuse::Keep,
        name: "in-place",
        wanted,
        records: &records,
    };
    reuse::keep(&checkout, &next, &mut workspace);
    Ok(workspace)
}

/// Removes what killed gits left in a checkout that is the operator's: what may
/// be in use stays.
fn clear_locks(checkout: &Path, lock: &File) -> Result<(), WorkspaceError> {
    let git = Git::at(checkout).holding(lock);
    let own = rev_parse(&git, "--absolute-git-dir")?;
    let common = rev_parse(&git, "--git-common-dir")?;
    let mut locks = leftover::shared(&common);
    locks.extend([own.join("index.lock"), own.join("HEAD.lock")]);
    let places = list::places(&git)?;
    let mut dirs: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
    dirs.extend([checkout, &own, &common]);
    leftover::clear_idle(&locks, &dirs);
    Ok(())
}

fn worktree(
    request: &Request,
    wanted: Wanted<'_>,
    notes: &mut Vec<String>,
) -> Result<Workspace, WorkspaceError> {
    let repository = repository(request)?;
    let (dir, lock) = lock_of(&request.state_dir, &repository.path)?;
    wanted.check()?;
    let name = name::of_worktree(&request.agent, request.issue.as_deref(), request.task);
    let branch = request.branch.clone();
    let held = Held::at_repo(&dir, &repository.path, None)?;
    let path = dir.join(&name);
    let records = Records::of(&path);
    let place = worktree::Place {
        repo: &repository.path,
        path,
        branch: branch.unwrap_or_else(|| format!("agent/{name}")),
        reused: request.reused,
        lock: &lock,
        next: Next {
            attempt: request.attempt,
            reuse: request.reuse,
            name: &name,
            wanted,
            records: &records,
        },
        held: &held,
    };
    let base = Base {
        repo: &repository.path,
        name: request.base.as_deref(),
        fetch: request.fetch,
        held: held.repo(),
    };
    place.prepare(Begin { base, notes })
}

/// Where the worktree of a task is, below the daemon's directory.
#[must_use]
pub fn place_of(
    state_dir: &Path,
    repo: &Path,
    agent: &str,
    issue: Option<&str>,
    task: TaskId,
) -> PathBuf {
    dir_of(state_dir, repo).join(name::of_worktree(agent, issue, task))
}

/// Whether a worktree below the daemon's directory is one of this repository.
#[must_use]
pub fn is_of(state_dir: &Path, worktree: &Path, repo: &Path) -> bool {
    let dir = dir_of(state_dir, repo);
    let name = worktree.parent().and_then(Path::file_name);
    name.is_some() && name == dir.file_name()
}

/// Where a repository's worktrees are.
fn dir_of(state_dir: &Path, repo: &Path) -> PathBuf {
    state_dir.join("worktrees").join(name::of_repo(repo))
}

/// The canonical directory of a repository's worktrees, made if need be, and
/// the lock that whoever works on them has.
fn lock_of(state_dir: &Path, repo: &Path) -> Result<(PathBuf, File), WorkspaceError> {
    let dir = dir_of(state_dir, repo);
    make_dir(&dir)?;
    // Git lists its worktrees by their canonical paths.
    let dir = fs::canonicalize(&dir).map_err(|err| WorkspaceError::io(&dir, &err))?;
    let lock = lock_of_dir(&dir)?;
    places::note_repo(&dir, repo);
    Ok((dir, lock))
}

fn lock_of_dir(dir: &Path) -> Result<File, WorkspaceError> {
    lock::take(dir, LOCK_LIMIT).map_err(|err| {
        if err.kind() == io::ErrorKind::TimedOut {
            let limit = LOCK_LIMIT.as_secs();
            let shown = dir.display();
            WorkspaceError::failed(format!("{shown}/.lock: held by others for {limit} s"))
        } else {
            WorkspaceError::io(dir, &err)
        }
    })
}

/// The repository of the request, if it is still where it was.
fn repository(request: &Request) -> Result<repo::Repository, WorkspaceError> {
    let Some(path) = &request.repo else {
        return Err(WorkspaceError::repo_missing("the task names no repository"));
    };
    repository_at(path)
}

fn repository_at(path: &Path) -> Result<repo::Repository, WorkspaceError> {
    let found = repo::locate(path).map_err(|err| match err {
        RepoError::Missing(_)
        | RepoError::NotDirectory(_)
        | RepoError::NotRepository { .. }
        | RepoError::Internals(_) => WorkspaceError::repo_missing(err.to_string()),
        RepoError::Unreadable { .. } | RepoError::Git { .. } => {
            WorkspaceError::failed(err.to_string())
        }
    })?;
    // Where a repository was removed, git finds one that lies around it.
    if found.path != *path {
        return Err(WorkspaceError::repo_missing(format!(
            "{}: not a repository any more; it is now a part of {}",
            path.display(),
            found.path.display()
        )));
    }
    Ok(found)
}

/// A directory for this user alone, with those above it.
fn make_dir(path: &Path) -> Result<(), WorkspaceError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|err| WorkspaceError::io(path, &err))
}

#[cfg(test)]
mod tests;
