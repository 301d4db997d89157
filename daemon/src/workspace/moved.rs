//! A repository, or the daemon's directory, that was moved.
//!
//! A worktree and its repository lead to each other by paths: the worktree's
//! `.git` file to git's own directory of it (`REPO/.git/worktrees/ID`), and
//! `gitdir` in there back to that file. `git worktree repair` sets both right
//! once it is sure that they belong together:
//!
//! - one of them leads to the other, and
//! - the other leads back, or to where nothing is any more.
//!
//! Where both lead nowhere, the name that the daemon gave the worktree has to be
//! the same on both sides. It tells repositories of the same name apart.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{WorkspaceError, leftover, lock, records::Records, worktree::Place};
use crate::file;

/// How long a process that is about to end may still be at work in a worktree.
const PASSING: Duration = Duration::from_secs(5);

/// `app-1f3a9c20/claude-42/.git`: what the daemon gave a name to.
const NAMED: usize = 3;

impl Place<'_> {
    /// Has git find the worktree that lies at its place, if it was moved there.
    pub(super) fn repair(&self, common: &Path) -> Result<bool, WorkspaceError> {
        if !was_moved(&self.path, common) {
            return Ok(false);
        }
        self.git().call(&[&"worktree", &"repair", &self.path])?;
        tracing::warn!(path = %self.path.display(), "repaired a worktree that was moved");
        Ok(true)
    }

    /// Brings the worktree here that was made when the repository was at
    /// another place, if there is one and nobody works in it.
    pub(super) fn fetch_home(&self, common: &Path) -> Result<bool, WorkspaceError> {
        let Some(old) = self.elsewhere(common) else {
            return Ok(false);
        };
        let stays = |why: &str| {
            let (old, repo) = (old.display(), self.repo.display());
            WorkspaceError::failed(format!(
                "{old} is this worktree, from before {repo} was moved, and stays there: {why}"
            ))
        };
        let beside = old.parent().unwrap_or(&old);
        // Nobody is given it meanwhile.
        let _lock = lock::take(beside, Duration::ZERO)
            .map_err(|err| stays(&format!("{}/.lock: {err}; try again", beside.display())))?;
        if let Some(user) = leftover::at_work(&old, PASSING) {
            return Err(stays(&format!(
                "{user} works there; try again when that has ended"
            )));
        }
        // Before it is here: it is never without.
        if let Some(hidden) = Records::of(&old).sandbox()? {
            self.next.records.note_sandbox(&hidden)?;
        }
        let git = self.git();
        let repaired = git.call(&[&"worktree", &"repair", &old]);
        repaired
            .and_then(|_| git.call(&[&"worktree", &"move", &old, &self.path]))
            .map_err(|err| {
                stays(&format!(
                    "{err}; save what you need of it, then move it away"
                ))
            })?;
        tracing::warn!(from = %old.display(), to = %self.path.display(), "moved the worktree of a repository that was moved");
        Records::of(&old).forget()?;
        Ok(true)
    }

    /// The worktree of this name below the directory of another path that is
    /// one of this repository.
    fn elsewhere(&self, common: &Path) -> Option<PathBuf> {
        let (name, here) = (self.path.file_name()?, self.path.parent()?);
        let repos = fs::read_dir(here.parent()?).ok()?.flatten();
        let mut places = repos.map(|repo| repo.path()).filter(|repo| repo != here);
        places.find_map(|repo| Some(repo.join(name)).filter(|old| was_moved(old, common)))
    }
}

/// Whether a directory is a worktree of the repository with this common
/// directory, and one of the two is not where the other looks for it, or both
/// found each other again.
fn was_moved(worktree: &Path, common: &Path) -> bool {
    let link = worktree.join(".git");
    let Some(leads_to) = path_in(&link, b"gitdir: ") else {
        return false;
    };
    let Some(id) = leads_to.file_name() else {
        return false;
    };
    let own = common.join("worktrees").join(id);
    let Some(back) = path_in(&own.join("gitdir"), b"") else {
        return false;
    };
    let leads_back = back == link;
    if !leads_back && back.symlink_metadata().is_ok() {
        return false;
    }
    match fs::canonicalize(&leads_to) {
        Ok(leads_to) => fs::canonicalize(&own).is_ok_and(|own| own == leads_to),
        // Unreadable is not gone.
        Err(_) if leads_to.symlink_metadata().is_ok() => false,
        Err(_) => leads_back || named(&back).eq(named(&link)),
    }
}

/// The last parts of a path, which are names that the daemon gave.
fn named(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.iter().rev().take(NAMED)
}

/// The path in a small file of git's; relative ones begin at its directory.
fn path_in(path: &Path, head: &[u8]) -> Option<PathBuf> {
    // A checkout's own .git is a directory, and cannot be read.
    let text = file::read(path, file::SMALL).ok()?;
    let leads_to = text.strip_prefix(head)?.trim_ascii_end();
    Some(path.parent()?.join(OsStr::from_bytes(leads_to)))
}
