//! The worktrees that there are: what is in them, and why they stay.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    WorkspaceError,
    git::{Git, GitError},
    held::Held,
    list::lists,
    lock_of_dir,
    records::Records,
    refs::{self, Moment},
    setup::Teardown,
    snapshot::{Checkout, commit_of, names, text},
    worktree::rev_parse,
};
use crate::task::id::{AttemptId, Timestamp};

/// How the branches begin that we make.
const OWN_BRANCHES: &str = "agent/";

/// One worktree below the daemon's directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// The branch that is checked out there.
    pub branch: Option<String>,
    /// The attempt that was given it last.
    pub attempt: Option<AttemptId>,
    /// When it was, by the wall clock.
    pub given_at: Option<Timestamp>,
    /// Files that are not as they were committed, new ones included.
    pub uncommitted: u32,
    /// Commits that no other branch and no remote is known to have.
    pub unmerged: u32,
    /// Repositories inside, submodules included.
    pub inside: u32,
    /// Snapshots of the task that had it last.
    pub snapshots: Vec<String>,
    /// Why git cannot say more.
    pub broken: Option<String>,
}

impl Found {
    /// What is in it could be recorded, so that it may go.
    fn can_be_recorded(&self) -> bool {
        self.broken.is_none() && self.inside == 0 && self.attempt.is_some()
    }

    /// Why it is not simply removed; empty if it can be.
    #[must_use]
    pub fn stays_for(&self) -> Vec<String> {
        if let Some(broken) = &self.broken {
            return vec![broken.clone()];
        }
        let mut reasons = Vec::new();
        for (number, one, many) in [
            (
                self.uncommitted,
                "file is not committed",
                "files are not committed",
            ),
            (
                self.unmerged,
                "commit is on no other branch and not pushed",
                "commits are on no other branch and not pushed",
            ),
            (
                self.inside,
                "repository is inside",
                "repositories are inside",
            ),
        ] {
            match number {
                0 => {}
                1 => reasons.push(format!("1 {one}")),
                number => reasons.push(format!("{number} {many}")),
            }
        }
        reasons
    }
}

/// Why a worktree was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It is needed, or something in it is.
    #[error("{} stays: {}", path.display(), reasons.join("; "))]
    Stays {
        /// The worktree.
        path: PathBuf,
        /// Why.
        reasons: Vec<String>,
        /// It would go if what is in it were recorded first.
        can_be_forced: bool,
    },
    /// What undoes its setup did not do so.
    #[error("{message}")]
    Teardown {
        /// Which command, how it ended, and its last lines.
        message: String,
    },
    /// It is none of the daemon's worktrees, or git fails.
    #[error(transparent)]
    Failed(#[from] WorkspaceError),
}

impl From<GitError> for RemoveError {
    fn from(err: GitError) -> Self {
        Self::Failed(err.into())
    }
}

/// The worktrees below the daemon's directory, in the order of their paths.
///
/// # Errors
/// If the directory cannot be read.
pub fn worktrees(state_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for repo in entries(&state_dir.join("worktrees"))? {
        found.extend(entries(&repo)?);
    }
    found.sort();
    Ok(found)
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Locks begin with a dot.
        if !entry.file_name().as_encoded_bytes().starts_with(b".") && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Looks at a worktree. Blocks.
#[must_use]
pub fn inspect(path: &Path) -> Found {
    let found = Found {
        path: path.to_owned(),
        ..Found::default()
    };
    match look(path) {
        Ok(seen) => seen,
        Err(err) => Found {
            broken: Some(err.message),
            ..found
        },
    }
}

fn look(path: &Path) -> Result<Found, WorkspaceError> {
    let git = Git::at(path).at_length();
    let canonical = fs::canonicalize(path).map_err(|err| WorkspaceError::io(path, &err))?;
    if rev_parse(&git, "--show-toplevel")? != canonical {
        let path = path.display();
        return Err(WorkspaceError::failed(format!("{path} is not a worktree")));
    }
    let held = Held::at_noted(&canonical)?;
    let git = git.held(held.inside());
    let records = Records::of(&canonical);
    let branch = match git.call(&[&"symbolic-ref", &"--quiet", &"--short", &"HEAD"]) {
        Ok(name) => Some(text(name)),
        Err(GitError::Failed { .. }) => None,
        Err(err) => return Err(err.into()),
    };
    let status = status(&git)?;
    let (inside, uncommitted): (Vec<_>, Vec<_>) =
        names(&status).partition(|name| name.as_os_str().as_encoded_bytes().ends_with(b"/"));
    let attempt = records.had_by();
    let snapshots = match attempt {
        Some(attempt) => refs::list(&git, attempt.task)?,
        None => Vec::new(),
    };
    Ok(Found {
        path: path.to_owned(),
        unmerged: unmerged(&git, "HEAD", branch.as_deref())?,
        branch,
        attempt,
        given_at: records.given_at(),
        uncommitted: count(uncommitted.len()),
        inside: count(inside.len() + submodules(&git, path)?),
        snapshots: snapshots.into_iter().map(|kept| kept.name).collect(),
        broken: None,
    })
}

/// What is not as it was committed, submodules included.
fn status(git: &Git<'_>) -> Result<Vec<u8>, GitError> {
    let words: [&dyn AsRef<OsStr>; 6] = [
        &"status",
        &"--porcelain",
        &"--no-renames",
        &"--untracked-files=all",
        &"-z",
        &"--ignore-submodules=none",
    ];
    git.call(&words)
}

/// Commits up to `tip` that would be found nowhere but by a worktree and its
/// branch.
fn unmerged(git: &Git<'_>, tip: &str, branch: Option<&str>) -> Result<u32, GitError> {
    let own = format!("--exclude={}", branch.unwrap_or_default());
    let words: [&dyn AsRef<OsStr>; 8] = [
        &"rev-list",
        &"--count",
        &"--max-count=1000000",
        &tip,
        &"--not",
        &own,
        &"--branches",
        &"--remotes",
    ];
    match git.call(&words) {
        Ok(number) => Ok(text(number).parse().unwrap_or(u32::MAX)),
        // No commit yet.
        Err(GitError::Failed { .. }) => Ok(0),
        Err(err) => Err(err),
    }
}

/// Submodules that are there, or something in their places, which git does not look at:
/// all of it would go with the worktree. So would the repositories of those that were
/// there once, in git's own directory.
fn submodules(git: &Git<'_>, path: &Path) -> Result<usize, GitError> {
    let entries = git.call(&[&"ls-files", &"-s", &"-z"])?;
    let modules = entries
        .split(|byte| *byte == 0)
        .filter(|entry| entry.starts_with(b"160000 "));
    let paths = modules.filter_map(|entry| entry.splitn(2, |byte| *byte == b'\t').nth(1));
    let holds_something = |dir: &Path| fs::read_dir(dir).map_or(0, Iterator::count) > 0;
    let there = paths.flat_map(names);
    let there = there.filter(|name| holds_something(&path.join(name)));
    let own = rev_parse(git, "--absolute-git-dir")?;
    let once = usize::from(holds_something(&own.join("modules")));
    Ok(there.count().max(once))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// How much of a worktree may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Also one with something that is nowhere else: it is recorded first.
    pub record: bool,
    /// With the branch that was made for it, if its commits are elsewhere, too.
    pub branch: bool,
    /// Also one whose teardown fails.
    pub forced: bool,
}

impl Terms {
    /// Why a worktree stays; empty: it goes.
    #[must_use]
    pub fn stays_for(self, found: &Found) -> Vec<String> {
        match self.record && found.can_be_recorded() {
            true => Vec::new(),
            false => found.stays_for(),
        }
    }
}

/// A worktree that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// What was there.
    pub found: Found,
    /// Its branch is gone, too.
    pub branch_went: bool,
}

/// Removes a worktree of which nothing is lost: everything is committed and
/// elsewhere, too, or recorded before. All snapshots stay. Every removal of a
/// worktree in which an agent has worked goes through here.
///
/// `in_use` says why it is needed, and is asked once nobody can be given it; then
/// `teardown` is asked for what undoes its setup. If that fails, the worktree
/// stays, unless it is `forced`. Blocks.
///
/// # Errors
/// If it stays, and why.
pub fn remove(
    state_dir: &Path,
    path: &Path,
    terms: Terms,
    in_use: impl FnOnce(&Found) -> Option<String>,
    teardown: impl FnOnce(&Found) -> Option<Teardown>,
) -> Result<Removed, RemoveError> {
    let dir = fs::canonicalize(state_dir.join("worktrees"))
        .map_err(|err| WorkspaceError::io(state_dir, &err))?;
    let path = fs::canonicalize(path).map_err(|err| WorkspaceError::io(path, &err))?;
    let Some(repo_dir) = path.parent().filter(|repo| repo.parent() == Some(&dir)) else {
        let (path, dir) = (path.display(), dir.display());
        let message = format!("{path} is not a worktree below {dir}");
        return Err(WorkspaceError::failed(message).into());
    };
    let lock = lock_of_dir(repo_dir)?;
    let found = inspect(&path);
    let stays = |reasons, can_be_forced| RemoveError::Stays {
        path: path.clone(),
        reasons,
        can_be_forced,
    };
    if let Some(reason) = in_use(&found) {
        return Err(stays(vec![reason], false));
    }
    may_go(terms, &found)?;
    let held = Held::at_noted(&path)?;
    let checkout = Checkout {
        path: &path,
        lock: &lock,
        held: held.inside(),
    };
    let records = Records::of(&path);
    let common = rev_parse(&checkout.git(), "--git-common-dir")?;
    let from = Git::at(&common).holding(&lock);
    if !lists(&from, &path)? {
        return Err(stays(
            vec!["git does not list it as a worktree".to_owned()],
            false,
        ));
    }
    record(&checkout, &found)?;
    let found = match teardown(&found).filter(|teardown| !teardown.argv.is_empty()) {
        None => found,
        Some(teardown) => {
            // Whatever becomes of it, it is not set up any more.
            records.forget_setup()?;
            match teardown.run(&path) {
                Err(error) if terms.forced => {
                    tracing::warn!(path = %path.display(), %error, "removed though its teardown failed");
                }
                Err(WorkspaceError { message, .. }) => {
                    return Err(RemoveError::Teardown { message });
                }
                Ok(()) => {}
            }
            // It may have left files, or the work of somebody else.
            let found = inspect(&path);
            may_go(terms, &found)?;
            record(&checkout, &found)?;
            found
        }
    };
    failpoint!("workspace.remove.before").map_err(|err| WorkspaceError::io(&path, &err))?;
    // Without force git looks once more; where it has to be held, we have it look.
    let is_clean = found.stays_for().is_empty();
    if is_clean && held.inside().is_none() {
        from.call(&[&"worktree", &"remove", &path])?;
    } else {
        if is_clean && !status(&checkout.git())?.is_empty() {
            return Err(stays(vec!["it has just been changed".to_owned()], true));
        }
        from.call(&[&"worktree", &"remove", &"--force", &path])?;
    }
    crashpoint!("workspace.remove.after");
    records.forget()?;
    let from = from.held(held.repo());
    let branch = found.branch.as_deref().filter(|_| terms.branch);
    let branch_went = match branch {
        Some(branch) => drop_branch(&from, branch)?,
        None => false,
    };
    Ok(Removed { found, branch_went })
}

/// Whether nothing of it is lost, or it is to go nevertheless.
fn may_go(terms: Terms, found: &Found) -> Result<(), RemoveError> {
    let reasons = terms.stays_for(found);
    if reasons.is_empty() {
        return Ok(());
    }
    Err(RemoveError::Stays {
        path: found.path.clone(),
        reasons,
        can_be_forced: found.can_be_recorded(),
    })
}

/// Deletes a branch that agentd has made, if every commit of it is on another
/// branch or pushed and nobody has it checked out. Whether it is gone.
fn drop_branch(git: &Git<'_>, branch: &str) -> Result<bool, WorkspaceError> {
    let name = format!("refs/heads/{branch}");
    let tip = commit_of(git, &name)?;
    let Some(tip) = tip.filter(|_| branch.starts_with(OWN_BRANCHES)) else {
        return Ok(false);
    };
    let format = "--format=%(worktreepath)";
    let is_elsewhere = unmerged(git, &tip, Some(branch))? == 0
        && git.call(&[&"for-each-ref", &format, &name])?.is_empty();
    if is_elsewhere {
        // Only if it is still there: somebody may have gone on with it.
        git.call(&[&"update-ref", &"-d", &name, &tip])?;
    }
    Ok(is_elsewhere)
}

/// Records what goes with the worktree, also if that looks clean: git may have
/// been told not to look at files. It stays if something cannot be recorded.
fn record(checkout: &Checkout<'_>, found: &Found) -> Result<(), RemoveError> {
    let Some(attempt) = found.attempt else {
        return Ok(());
    };
    let message = format!("agentd: what was in the worktree of {attempt} when it was removed");
    let snapshot = checkout.record(&[], &message)?;
    let git = checkout.git();
    let records = Records::of(checkout.path);
    refs::keep_snapshot(&git, &records, attempt, Moment::Removed, &snapshot)?;
    if let (None, Some(head)) = (&found.branch, &snapshot.head) {
        refs::keep(&git, attempt, Moment::Head, head)?;
    }
    let left = snapshot.left_out.into_iter();
    let lost: Vec<String> = left
        .map(|left| format!("this cannot be recorded: {}", left.what))
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(RemoveError::Stays {
        path: found.path.clone(),
        reasons: lost,
        can_be_forced: false,
    })
}
