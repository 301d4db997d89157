//! Which repository a path belongs to.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use super::git::{Git, GitError};

/// A path that is not in a repository that can be worked in.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// It does not exist.
    #[error("{path}: no such directory", path = .0.display())]
    Missing(PathBuf),
    /// It cannot be looked at.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// It is something else.
    #[error("{path}: not a directory", path = .0.display())]
    NotDirectory(PathBuf),
    /// No repository holds it.
    #[error("{path}: {words}", path = path.display())]
    NotRepository {
        /// The path.
        path: PathBuf,
        /// Git's own words.
        words: String,
    },
    /// It is inside the `.git` directory of a checkout.
    #[error("{path}: inside a repository's .git directory; name its checkout", path = .0.display())]
    Internals(PathBuf),
    /// Git cannot say.
    #[error("{path}: {source}", path = path.display())]
    Git {
        /// The path.
        path: PathBuf,
        /// What went wrong.
        source: GitError,
    },
}

/// A repository as it was found.
#[derive(Debug)]
pub(super) struct Repository {
    /// The top of its checkout; of a bare one, the repository itself.
    pub(super) path: PathBuf,
    /// It has no checkout.
    pub(super) bare: bool,
}

/// The canonical top of the checkout that holds `path`, or the canonical path
/// of the bare repository that it is in.
///
/// # Errors
/// A path that is not a directory, or that no repository holds.
pub fn locate_repo(path: &Path) -> Result<PathBuf, RepoError> {
    locate(path).map(|repository| repository.path)
}

pub(super) fn locate(path: &Path) -> Result<Repository, RepoError> {
    let canonical = fs::canonicalize(path).map_err(|source| {
        let path = path.to_path_buf();
        if source.kind() == io::ErrorKind::NotFound {
            RepoError::Missing(path)
        } else {
            RepoError::Unreadable { path, source }
        }
    })?;
    if !canonical.is_dir() {
        return Err(RepoError::NotDirectory(path.to_path_buf()));
    }
    let failed = |source| {
        let path = path.to_path_buf();
        if let GitError::Failed { words, .. } = &source
            && words.contains("not a git repository")
        {
            let words = words.clone();
            return RepoError::NotRepository { path, words };
        }
        RepoError::Git { path, source }
    };
    let git = Git::at(&canonical);
    let kind: [&dyn AsRef<_>; 3] = [
        &"rev-parse",
        &"--is-inside-work-tree",
        &"--is-bare-repository",
    ];
    let (ask, bare) = match git.call(&kind).map_err(failed)?.as_slice() {
        b"true\nfalse" | b"true\ntrue" => ("--show-toplevel", false),
        b"false\ntrue" => ("--absolute-git-dir", true),
        _ => return Err(RepoError::Internals(path.to_path_buf())),
    };
    let answer = git.call(&[&"rev-parse", &ask]).map_err(failed)?;
    let top = PathBuf::from(OsString::from_vec(answer));
    let path =
        fs::canonicalize(&top).map_err(|source| RepoError::Unreadable { path: top, source })?;
    Ok(Repository { path, bare })
}
