//! What git writes outside of a checkout when something is committed there.

use std::path::{Path, PathBuf};

use super::{WorkspaceError, git::Git, worktree::rev_parse};
use crate::task::attempt::Workspace;

/// What a commit writes in the directory that all worktrees share. Not what runs
/// programs for whoever works there next: its configuration and its hooks.
const SHARED: [&str; 3] = ["objects", "refs", "logs"];

/// Where git has to write for commits in this workspace of `repo`.
///
/// What an agent has left there may say that it is another repository's: then it
/// is told, and nothing of that is handed out.
///
/// # Errors
/// If git does not say where its directories are, or they are not of `repo`.
pub fn git_places(repo: &Path, workspace: &Workspace) -> Result<Vec<PathBuf>, WorkspaceError> {
    let common = rev_parse(&Git::at(repo), "--git-common-dir")?;
    let inside = Git::at(&workspace.path);
    let own = rev_parse(&inside, "--absolute-git-dir")?;
    let worktree = own.parent() == Some(&*common.join("worktrees"));
    if rev_parse(&inside, "--git-common-dir")? != common || !worktree && own != common {
        let (path, repo) = (workspace.path.display(), repo.display());
        return Err(WorkspaceError::failed(format!(
            "{path} is not of {repo} any more: its .git leads to {}",
            own.display()
        )));
    }
    let shared = SHARED.map(|name| common.join(name));
    Ok([own].into_iter().chain(shared).collect())
}
