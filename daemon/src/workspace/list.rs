//! Git's list of a repository's checkouts.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::git::{Git, GitError};

/// How git locks a worktree that it is making, and only then.
const INITIALIZING: &[u8] = b"initializing";

/// One worktree in git's list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// The reason, if it is locked.
    pub(super) locked: Option<Vec<u8>>,
}

impl Entry {
    /// Git is or was making it.
    pub(super) fn is_half_made(&self) -> bool {
        self.locked.as_deref() == Some(INITIALIZING)
    }
}

/// The checkouts that git knows of, the repository's own first.
pub(super) fn entries(git: &Git<'_>) -> Result<Vec<Entry>, GitError> {
    let list = git.call(&[&"worktree", &"list", &"--porcelain"])?;
    Ok(parse(&list))
}

/// Where the repository's checkouts are, as git lists them.
pub(super) fn places(git: &Git<'_>) -> Result<Vec<PathBuf>, GitError> {
    let entries = entries(git)?.into_iter();
    Ok(entries.map(|entry| entry.path).collect())
}

/// Whether git knows of a worktree at this canonical path.
pub(super) fn lists(git: &Git<'_>, path: &Path) -> Result<bool, GitError> {
    Ok(places(git)?.iter().any(|place| place == path))
}

/// The paragraphs of `git worktree list --porcelain`. A path with an end of
/// line in it is not understood, and so is not found.
pub(super) fn parse(list: &[u8]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in list.split(|byte| *byte == b'\n') {
        let (word, rest) = match line.iter().position(|byte| *byte == b' ') {
            Some(space) => (&line[..space], &line[space + 1..]),
            None => (line, &[][..]),
        };
        match (word, entries.last_mut()) {
            (b"worktree", _) => entries.push(Entry {
                path: PathBuf::from(OsStr::from_bytes(rest)),
                locked: None,
            }),
            (b"locked", Some(entry)) => entry.locked = Some(rest.to_vec()),
            _ => {}
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() {
        let list = b"worktree /r\nHEAD 1\nbranch refs/heads/main\n\n\
            worktree /w/a b\nHEAD 1\ndetached\nlocked\n\n\
            worktree /w/c\nHEAD 0\nbranch refs/heads/agent/c\nlocked initializing\n";
        let entries = parse(list);
        let paths: Vec<_> = entries.iter().map(|entry| entry.path.to_str()).collect();
        assert_eq!(paths, [Some("/r"), Some("/w/a b"), Some("/w/c")]);
        assert_eq!(entries[0].locked, None);
        assert_eq!(entries[1].locked.as_deref(), Some(&b""[..]));
        assert!(entries[2].is_half_made() && !entries[1].is_half_made());
    }
}
