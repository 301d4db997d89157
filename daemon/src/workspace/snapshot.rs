//! Records everything uncommitted of a checkout as a commit, and touches
//! neither its index, nor its files, nor its branch.
//!
//! The checkout's index is copied, so that files which have not changed are
//! not read again; everything is added to the copy, and the tree of that is
//! committed. The bytes are those of the files: see `raw.rs`.
//!
//! What cannot be recorded is named ([`LeftOut`]): a file that cannot be read
//! or is very large, and what belongs to a repository inside the checkout.
//! Ignored files are not recorded, unless a commit that the checkout is to be
//! set to holds something in their place. Empty directories are not.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    WorkspaceError,
    git::{Git, GitError},
    raw::Raw,
    worktree::rev_parse,
};
use crate::{file, process::Cage};

mod add;
mod index;

use self::index::{CopiedIndex, Listed};

/// A larger file is not recorded, bytes.
const MAX_FILE: u64 = 256 * 1024 * 1024;
/// Changed and new files that are recorded, bytes.
const MAX_ALL: u64 = 4 * 1024 * 1024 * 1024;
/// How long reading all changed files may take.
const ADD_LIMIT: Duration = Duration::from_secs(600);
/// How often it is tried when files vanish or change meanwhile.
const TRIES: u32 = 3;
/// How long it is tried again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Repositories inside that are looked into.
const MAX_INSIDE: usize = 100;
/// Commits of an operation in progress, in files of git's own directory.
const IN_PROGRESS: [&str; 8] = [
    "MERGE_HEAD",
    "MERGE_AUTOSTASH",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    "rebase-merge/autostash",
    "rebase-apply/autostash",
    "BISECT_HEAD",
];

/// Something that is not in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// What, and why, for a person.
    pub(super) what: String,
    /// Setting the checkout to a commit, or cleaning it, would destroy it.
    pub(super) at_risk: bool,
}

/// A checkout at one moment, as objects of its repository. Until it is given a
/// name ([`super::refs::keep`]) they may be collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The commit that is checked out; `None`: there is none yet.
    pub(super) head: Option<String>,
    /// The commit that holds what is uncommitted; `None` if nothing is.
    pub(super) commit: Option<String>,
    /// All files as they are.
    pub(super) tree: String,
    /// The parents of the commit.
    pub(super) parents: Vec<String>,
    /// Paths with a conflict.
    pub(super) conflicts: u32,
    pub(super) left_out: Vec<LeftOut>,
}

/// A checkout that is looked at. Nobody else may look at it so at the same
/// time: whoever does has the lock of the repository's worktrees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checkout<'a> {
    /// The top of its files.
    pub(super) path: &'a Path,
    pub(super) lock: &'a File,
    /// What holds git there.
    pub(super) held: Option<&'a Cage>,
}

impl<'a> Checkout<'a> {
    /// Git in it.
    pub(super) fn git(&self) -> Git<'a> {
        Git::at(self.path).holding(self.lock).held(self.held)
    }

    /// Records the checkout. `targets` are commits that it may be set to next:
    /// what is in the place of their files is recorded even if it is ignored.
    /// `message` is that of the commit.
    pub(super) fn record(
        &self,
        targets: &[String],
        message: &str,
    ) -> Result<Snapshot, WorkspaceError> {
        let plain = self.git();
        let own = rev_parse(&plain, "--absolute-git-dir")?;
        let raw = Raw::of(&plain)?;
        let head = commit_of(&plain, "HEAD")?;
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            let index = CopiedIndex::of(&own, &raw, self, head.as_deref())?;
            let recorded = self.record_once(&own, &index, head.as_ref(), targets, message);
            tries += 1;
            match recorded {
                // A file that was there when it was listed, and not when it
                // was read.
                Err(err) if tries < TRIES && begun.elapsed() < PATIENCE => {
                    tracing::debug!(%err, "taking the snapshot again")
                }
                recorded => return recorded,
            }
        }
    }

    /// Has git look at all files, in the checkout's own index: of one that it
    /// was told not to look at, it refuses to replace what has changed, even
    /// with `--hard`, or leaves it as it is.
    pub(super) fn show_all(&self) -> Result<(), WorkspaceError> {
        let git = self.git().at_length();
        Listed::of(&git)?.show_all(&git, self.path)
    }

    fn record_once(
        &self,
        own: &Path,
        index: &CopiedIndex,
        head: Option<&String>,
        targets: &[String],
        message: &str,
    ) -> Result<Snapshot, WorkspaceError> {
        let git = index.git(self);
        let head_tree = match head {
            Some(head) => tree_of(&git, head)?,
            None => index.empty_tree().to_owned(),
        };
        let staged = index.staged(self)?;
        let listed = Listed::of(&git)?;
        listed.show_all(&git, self.path)?;
        let mut left_out = self.inside(&listed, index)?;
        add::everything(self, index, &mut left_out)?;
        for target in targets.iter().chain(head) {
            add::in_the_way(self, index, target, &mut left_out)?;
        }
        let tree = text(git.call(&[&"write-tree"])?);
        let mut parents: Vec<String> = head.into_iter().cloned().collect();
        let known = [&tree, &head_tree];
        for other in &staged.trees {
            if !known.contains(&other) {
                parents.push(index.commit_always_the_same(self, other)?);
            }
        }
        let in_progress = in_progress(&git, own)?;
        let changed = tree != head_tree
            || parents.len() > usize::from(head.is_some())
            || !in_progress.is_empty();
        for commit in in_progress {
            if !parents.contains(&commit) {
                parents.push(commit);
            }
        }
        let commit = match changed {
            true => Some(commit_tree(&git, &tree, &parents, message)?),
            false => None,
        };
        Ok(Snapshot {
            head: head.cloned(),
            commit,
            tree,
            parents,
            conflicts: staged.conflicts,
            left_out,
        })
    }

    /// What is uncommitted in submodules: it is in their own repositories, and
    /// nothing here touches it.
    fn inside(&self, listed: &Listed, index: &CopiedIndex) -> Result<Vec<LeftOut>, WorkspaceError> {
        let mut found = Vec::new();
        for name in listed.submodules.iter().take(MAX_INSIDE) {
            let path = self.path.join(name);
            if path.join(".git").symlink_metadata().is_err() {
                // Git looks at nothing there.
                if fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) {
                    found.push(LeftOut {
                        what: format!("what is in the place of submodule {}", name.display()),
                        at_risk: true,
                    });
                }
                continue;
            }
            let git = Git::at(&path).held(self.held).env(index.plain_vars());
            let dirty = match is_dirty(&git) {
                Ok(dirty) => dirty,
                Err(GitError::Failed { .. }) => true,
                Err(err) => return Err(err.into()),
            };
            if dirty {
                found.push(LeftOut {
                    what: format!("what is uncommitted in submodule {}", name.display()),
                    at_risk: false,
                });
            }
        }
        Ok(found)
    }
}

/// Whether anything in a checkout is not as it was committed, whatever its owner
/// has git leave out by its settings.
pub(super) fn is_dirty(git: &Git<'_>) -> Result<bool, GitError> {
    let words: [&dyn AsRef<OsStr>; 5] = [
        &"status",
        &"--porcelain",
        &"--untracked-files=normal",
        &"--ignore-submodules=none",
        &"-z",
    ];
    Ok(!git.call(&words)?.is_empty())
}

/// The commit that a name leads to, if there is one.
pub(super) fn commit_of(git: &Git<'_>, name: &str) -> Result<Option<String>, GitError> {
    let name = format!("{name}^{{commit}}");
    let verify: [&dyn AsRef<OsStr>; 5] = [
        &"rev-parse",
        &"--verify",
        &"--quiet",
        &"--end-of-options",
        &name,
    ];
    match git.call(&verify) {
        Ok(id) => Ok(Some(text(id))),
        Err(GitError::Failed { .. }) => Ok(None),
        Err(err) => Err(err),
    }
}

pub(super) fn tree_of(git: &Git<'_>, commit: &str) -> Result<String, GitError> {
    let tree = format!("{commit}^{{tree}}");
    Ok(text(git.call(&[&"rev-parse", &"--verify", &tree])?))
}

fn commit_tree(
    git: &Git<'_>,
    tree: &str,
    parents: &[String],
    message: &str,
) -> Result<String, GitError> {
    let mut words: Vec<&dyn AsRef<OsStr>> = vec![&"commit-tree", &"-m", &message];
    for parent in parents {
        words.push(&"-p");
        words.push(parent);
    }
    words.push(&tree);
    Ok(text(git.call(&words)?))
}

/// The commits of a merge, a rebase or the like that is not done.
fn in_progress(git: &Git<'_>, own: &Path) -> Result<Vec<String>, WorkspaceError> {
    let mut commits = Vec::new();
    for name in IN_PROGRESS {
        let path = own.join(name);
        let lines = match file::read(&path, file::SMALL) {
            Ok(lines) => String::from_utf8_lossy(&lines).into_owned(),
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            Err(err) if err.kind() == io::ErrorKind::NotADirectory => continue,
            Err(err) => return Err(WorkspaceError::io(&path, &err)),
        };
        for id in lines.lines().map(str::trim) {
            let is_id = id.len() >= 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_id && let Some(commit) = commit_of(git, id)? {
                commits.push(commit);
            }
        }
    }
    commits.dedup();
    Ok(commits)
}

pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Names that git separates with NUL.
pub(super) fn names(bytes: &[u8]) -> impl Iterator<Item = PathBuf> {
    let names = bytes.split(|byte| *byte == 0);
    names
        .filter(|name| !name.is_empty())
        .map(|name| PathBuf::from(OsStr::from_bytes(name)))
}

/// A pathspec, or an argument that ends with a path.
fn pathspec(magic: &str, path: &Path) -> OsString {
    let mut spec = OsString::from(magic);
    spec.push(path);
    spec
}
