//! Where git's directories of a workspace are, and that they are the repository's.
//!
//! An agent can lead its workspace to another repository, by a line in a file. So
//! what it belongs to is not asked of the workspace: whoever has an attempt knows
//! the repository, and for others it is written down beside the worktrees, where no
//! agent in a sandbox can write.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{WorkspaceError, git::Git, worktree::rev_parse};
use crate::{file, task::attempt::Workspace};

/// What a commit writes in the directory that all worktrees share. Not what runs
/// programs for whoever works there next: its configuration and its hooks.
const SHARED: [&str; 4] = ["objects", "refs", "logs", "reftable"];

/// Where git has to write for commits in this workspace of `repo`.
///
/// # Errors
/// If it is not a workspace of `repo` any more, or git does not say.
pub fn git_places(repo: &Path, workspace: &Workspace) -> Result<Vec<PathBuf>, WorkspaceError> {
    of_repo(repo, &workspace.path)?.places()
}

/// The file beside the worktrees of a repository that says which one that is.
const REPO: &str = ".repo";

/// Writes down whose worktrees a directory has. Without it, and where that
/// repository is gone, they are taken for what they say.
pub(super) fn note_repo(dir: &Path, repo: &Path) {
    let file = dir.join(REPO);
    let path = repo.as_os_str().as_bytes();
    if file::read(&file, file::SMALL).is_ok_and(|noted| noted == path) {
        return;
    }
    if let Err(error) = file::replace(&file, path) {
        tracing::warn!(file = %file.display(), %error, "cannot write down whose worktrees these are");
    }
}

/// As [`of_repo`], of a worktree of which only the path is known, with the repository.
pub(super) fn of_noted_repo(worktree: &Path) -> Result<Option<(PathBuf, Own)>, WorkspaceError> {
    let noted = worktree
        .parent()
        .map(|dir| file::read(&dir.join(REPO), file::SMALL));
    let Some(Ok(noted)) = noted else {
        return Ok(None);
    };
    let repo = Path::new(OsStr::from_bytes(&noted));
    match repo.exists() {
        true => Ok(Some((repo.to_owned(), of_repo(repo, worktree)?))),
        false => Ok(None),
    }
}

/// Git's directories of a workspace.
pub(super) struct Own {
    own: PathBuf,
    common: PathBuf,
}

impl Own {
    /// Where git has to write for commits.
    ///
    /// # Errors
    /// If one of them is a link, which an agent may have laid where it worked in place.
    pub(super) fn places(&self) -> Result<Vec<PathBuf>, WorkspaceError> {
        let mut places = vec![self.own.clone()];
        for name in SHARED {
            let place = self.common.join(name);
            if place.is_symlink() {
                return Err(WorkspaceError::failed(format!(
                    "{} is a link: an agent in a sandbox could write to where it leads;                      put the directory itself there",
                    place.display()
                )));
            }
            places.push(place);
        }
        Ok(places)
    }
}

/// Makes sure that a workspace is one of `repo`, before anything but the place of
/// git's directories is asked of it: what an agent has left there may lead to
/// another repository, whose configuration names programs of the agent's choice.
///
/// # Errors
/// If it is not, or git does not say.
pub(super) fn of_repo(repo: &Path, path: &Path) -> Result<Own, WorkspaceError> {
    let common = rev_parse(&Git::at(repo), "--git-common-dir")?;
    let inside = Git::at(path);
    let own = rev_parse(&inside, "--absolute-git-dir")?;
    let worktree = own.parent() == Some(&*common.join("worktrees"));
    if rev_parse(&inside, "--git-common-dir")? != common || !worktree && own != common {
        let (path, repo) = (path.display(), repo.display());
        return Err(WorkspaceError::failed(format!(
            "{path} is not of {repo} any more: its .git leads to {}",
            own.display()
        )));
    }
    Ok(Own { own, common })
}
