//! Git where an agent in a sandbox may have worked.
//!
//! What such an agent leaves may name programs that git runs: in a repository inside,
//! which git looks into as a submodule, in the worktree's own configuration, or, if it
//! worked in place, in the repository's. So git is held there as the agent was: it
//! writes where the agent could, and reads nothing that was hidden from it.
//!
//! | git at | is held if |
//! |---|---|
//! | a worktree | an agent in a sandbox had it, or the repository's checkout |
//! | the repository | an agent in a sandbox had its checkout |
//!
//! Where it cannot be held it is not run. Without it go only commands that run no
//! program, whatever a configuration says: `rev-parse` of places, and of `worktree`
//! those that neither check out nor look at files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    WorkspaceError,
    places::{self, Own},
    records::Records,
};
use crate::process::Cage;

/// What holds git at a workspace and at its repository.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    cage: Option<Cage>,
    /// Also at the repository.
    everywhere: bool,
}

impl Held {
    /// At a workspace, whose git directories were found to be those of `repo`. `dir` is
    /// that of the repository's worktrees.
    pub(super) fn at(
        dir: &Path,
        repo: &Path,
        path: &Path,
        own: &Own,
    ) -> Result<Self, WorkspaceError> {
        let of_checkout = Records::of_checkout(dir).sandbox()?;
        let of_worktree = match path == repo {
            true => None,
            false => Records::of(path).sandbox()?,
        };
        let everywhere = of_checkout.is_some();
        let hidden = match (of_checkout, of_worktree) {
            (None, None) => return Ok(Self::default()),
            (one, other) => [one.unwrap_or_default(), other.unwrap_or_default()].concat(),
        };
        let mut writable = own.places()?;
        writable.push(path.to_owned());
        if everywhere {
            writable.extend(checkout(repo)?);
        }
        Self::within(path, &writable, hidden, everywhere)
    }

    /// At a worktree of which only the canonical path is known.
    pub(super) fn at_noted(worktree: &Path) -> Result<Self, WorkspaceError> {
        let dir = worktree.parent().unwrap_or(worktree);
        if let Some((repo, own)) = places::of_noted_repo(worktree)? {
            return Self::at(dir, &repo, worktree, &own);
        }
        let records = [Records::of(worktree), Records::of_checkout(dir)];
        for records in records {
            if records.sandbox()?.is_some() {
                return Err(not_run(
                    worktree,
                    "it is not known, or gone, whose worktree this is",
                ));
            }
        }
        Ok(Self::default())
    }

    /// At the repository, and at a directory that is to become a checkout of it.
    pub(super) fn at_repo(
        dir: &Path,
        repo: &Path,
        new: Option<&Path>,
    ) -> Result<Self, WorkspaceError> {
        let Some(hidden) = Records::of_checkout(dir).sandbox()? else {
            return Ok(Self::default());
        };
        let mut writable = checkout(repo)?;
        writable.extend(new.map(Path::to_owned));
        Self::within(repo, &writable, hidden, true)
    }

    fn within(
        path: &Path,
        writable: &[PathBuf],
        hidden: Vec<PathBuf>,
        everywhere: bool,
    ) -> Result<Self, WorkspaceError> {
        let hidden: Vec<PathBuf> = hidden
            .into_iter()
            .map(|path| fs::canonicalize(&path).unwrap_or(path))
            .collect();
        let cage = Cage::new(writable, &hidden);
        let cage = cage.map_err(|err| not_run(path, &err.to_string()))?;
        Ok(Self {
            cage: Some(cage),
            everywhere,
        })
    }

    /// What holds git at the workspace.
    pub(super) fn inside(&self) -> Option<&Cage> {
        self.cage.as_ref()
    }

    /// What holds git at its repository.
    pub(super) fn repo(&self) -> Option<&Cage> {
        self.cage.as_ref().filter(|_| self.everywhere)
    }
}

/// Where an agent in a repository's own checkout could write.
fn checkout(repo: &Path) -> Result<Vec<PathBuf>, WorkspaceError> {
    let mut writable = places::of_repo(repo, repo)?.places()?;
    writable.push(repo.to_owned());
    Ok(writable)
}

fn not_run(path: &Path, why: &str) -> WorkspaceError {
    WorkspaceError::failed(format!(
        "git is not run in {}, where an agent in a sandbox has worked: {why}",
        path.display()
    ))
}
