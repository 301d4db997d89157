//! A copy of a checkout's index: what is done to it nobody sees.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{Checkout, commit_tree, text};
use crate::{
    file,
    workspace::{
        WorkspaceError,
        git::{Git, GitError},
        raw::Raw,
    },
};

/// Names of copies begin so. They lie beside the index.
const NAME: &str = "agentd-index";
/// A longer index is not copied, bytes: it has entries of some ten million files.
const MAX_INDEX: u64 = 1024 * 1024 * 1024;
/// The sides of a conflict: base, ours, theirs.
const SIDES: [u8; 3] = [1, 2, 3];

/// The copy; removed when it is dropped.
pub(super) struct CopiedIndex {
    path: PathBuf,
    vars: Vec<(OsString, OsString)>,
    plain: Vec<(OsString, OsString)>,
    empty_tree: String,
}

/// What was staged.
pub(super) struct Staged {
    /// The tree of the index, and in a conflict one of each side.
    pub(super) trees: Vec<String>,
    /// Paths with a conflict.
    pub(super) conflicts: u32,
}

/// Entries of the index that are not simply files.
pub(super) struct Listed {
    /// Git is told not to look whether they have changed.
    masked: Vec<PathBuf>,
    /// Repositories of their own.
    pub(super) submodules: Vec<PathBuf>,
}

impl CopiedIndex {
    /// Copies the index in git's `own` directory; if there is none, one is made
    /// of the commit.
    pub(super) fn of(
        own: &Path,
        raw: &Raw,
        checkout: &Checkout<'_>,
        head: Option<&str>,
    ) -> Result<Self, WorkspaceError> {
        clear(own)?;
        let path = own.join(format!("{NAME}-{}", std::process::id()));
        let mut copied = Self {
            vars: raw.with_index(&path),
            plain: raw.vars().to_vec(),
            path,
            empty_tree: String::new(),
        };
        let git = checkout.git();
        let empty = git.call(&[&"hash-object", &"-t", &"tree", &"/dev/null"])?;
        copied.empty_tree = text(empty);
        let index = own.join("index");
        match copy(&index, &copied.path) {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                let from = head.unwrap_or("--empty");
                copied.git(checkout).call(&[&"read-tree", &from])?;
            }
            Err(err) => return Err(WorkspaceError::io(&index, &err)),
        }
        Ok(copied)
    }

    /// Git with this index, in the checkout.
    pub(super) fn git<'a>(&'a self, checkout: &Checkout<'a>) -> Git<'a> {
        checkout.git().env(&self.vars)
    }

    /// Variables for a git that has nothing to do with this index.
    pub(super) fn plain_vars(&self) -> &[(OsString, OsString)] {
        &self.plain
    }

    pub(super) fn empty_tree(&self) -> &str {
        &self.empty_tree
    }

    /// A file beside it, for a list of paths.
    pub(super) fn beside(&self) -> PathBuf {
        self.path.with_extension("paths")
    }

    /// What is staged, as trees.
    pub(super) fn staged(&self, checkout: &Checkout<'_>) -> Result<Staged, WorkspaceError> {
        let git = self.git(checkout).at_length();
        let unmerged = git.call(&[&"ls-files", &"-u", &"-z"])?;
        if unmerged.is_empty() {
            return Ok(Staged {
                trees: vec![text(git.call(&[&"write-tree"])?)],
                conflicts: 0,
            });
        }
        let mut sides = SIDES.map(|_| Vec::new());
        let mut others = Vec::new();
        let mut paths: Vec<&[u8]> = Vec::new();
        for entry in unmerged.split(|byte| *byte == 0) {
            let Some((mode_and_id, stage, path)) = parse_unmerged(entry) else {
                continue;
            };
            let side = usize::from(stage.saturating_sub(SIDES[0]));
            if let Some(side) = sides.get_mut(side) {
                side.extend([mode_and_id, b" 0\t", path, b"\0"].concat());
            }
            if paths.last() != Some(&path) {
                // Mode 0 takes the path out, all its sides.
                let zeros = vec![b'0'; self.empty_tree.len()];
                others.extend([b"0 ", &zeros[..], b"\t", path, b"\0"].concat());
                paths.push(path);
            }
        }
        let second = self.path.with_extension("side");
        let mut trees = Vec::new();
        let whole = [(Some(&self.path), &others)];
        let rest = sides.iter().filter(|side| !side.is_empty());
        for (from, entries) in whole.into_iter().chain(rest.map(|side| (None, side))) {
            let tree = self.tree_of_side(checkout, &second, from, entries);
            remove(&second)?;
            trees.push(tree?);
        }
        Ok(Staged {
            trees,
            conflicts: u32::try_from(paths.len()).unwrap_or(u32::MAX),
        })
    }

    fn tree_of_side(
        &self,
        checkout: &Checkout<'_>,
        index: &Path,
        from: Option<&PathBuf>,
        entries: &[u8],
    ) -> Result<String, WorkspaceError> {
        let mut vars = self.vars.clone();
        vars.push(("GIT_INDEX_FILE".into(), index.into()));
        let git = checkout.git().env(&vars);
        match from {
            Some(from) => copy(from, index).map_err(|err| WorkspaceError::io(from, &err))?,
            None => {
                git.call(&[&"read-tree", &"--empty"])?;
            }
        }
        let update: [&dyn AsRef<OsStr>; 3] = [&"update-index", &"-z", &"--index-info"];
        git.call_with(&update, entries)?;
        Ok(text(git.call(&[&"write-tree"])?))
    }

    /// A commit of a tree that is the same whenever it is made.
    pub(super) fn commit_always_the_same(
        &self,
        checkout: &Checkout<'_>,
        tree: &str,
    ) -> Result<String, GitError> {
        let vars = Raw::without_dates(&self.vars);
        let git = checkout.git().env(&vars);
        commit_tree(&git, tree, &[], "agentd: what was staged")
    }
}

impl Drop for CopiedIndex {
    fn drop(&mut self) {
        // What stays is removed by the next one.
        for path in [self.path.clone(), self.beside()] {
            drop(file::remove(&path));
        }
    }
}

impl Listed {
    pub(super) fn of(git: &Git<'_>) -> Result<Self, WorkspaceError> {
        // The tag first, then mode, id, stage and path.
        let entries = git.call(&[&"ls-files", &"-s", &"-v", &"-z"]);
        let entries = entries?;
        let mut listed = Self {
            masked: Vec::new(),
            submodules: Vec::new(),
        };
        for entry in entries.split(|byte| *byte == 0) {
            let Some(tab) = entry.iter().position(|byte| *byte == b'\t') else {
                continue;
            };
            let path = || PathBuf::from(OsStr::from_bytes(&entry[tab + 1..]));
            // Small letters: assumed to be unchanged. S: not to be there.
            if entry[0].is_ascii_lowercase() || entry[0] == b'S' {
                listed.masked.push(path());
            }
            if entry[1..].starts_with(b" 160000 ") {
                listed.submodules.push(path());
            }
        }
        Ok(listed)
    }

    /// Has git look at files that it was told not to look at. Those of a sparse
    /// checkout that are not there are not missing.
    pub(super) fn show_all(&self, git: &Git<'_>, top: &Path) -> Result<(), WorkspaceError> {
        // Something else in the place of its directory is no absence.
        let there = |name: &&PathBuf| match top.join(name).symlink_metadata() {
            Ok(_) => true,
            Err(err) => err.kind() != io::ErrorKind::NotFound,
        };
        let mut paths = Vec::new();
        for name in self.masked.iter().filter(there) {
            paths.extend_from_slice(name.as_os_str().as_bytes());
            paths.push(0);
        }
        if paths.is_empty() {
            return Ok(());
        }
        for flag in ["--no-assume-unchanged", "--no-skip-worktree"] {
            let update: [&dyn AsRef<OsStr>; 4] = [&"update-index", &flag, &"-z", &"--stdin"];
            git.call_with(&update, &paths)?;
        }
        Ok(())
    }
}

/// `mode id stage<TAB>path`.
fn parse_unmerged(entry: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let tab = entry.iter().position(|byte| *byte == b'\t')?;
    let (fields, path) = (&entry[..tab], &entry[tab + 1..]);
    let (stage, rest) = fields.split_last()?;
    let mode_and_id = rest.strip_suffix(b" ")?;
    Some((mode_and_id, stage.checked_sub(b'0')?, path))
}

/// With its time: git takes files that are younger than their index for
/// changed until it has read them.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = file::open(from)?;
    let meta = from.metadata()?;
    if meta.len() > MAX_INDEX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut to = file::make(to)?;
    io::copy(&mut (&mut from).take(MAX_INDEX), &mut to)?;
    to.set_modified(meta.modified()?)
}

/// Removes copies that a killed daemon has left.
fn clear(own: &Path) -> Result<(), WorkspaceError> {
    let entries = fs::read_dir(own).map_err(|err| WorkspaceError::io(own, &err))?;
    for entry in entries.flatten() {
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(NAME.as_bytes())
        {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), WorkspaceError> {
    file::remove(path).map_err(|err| WorkspaceError::io(path, &err))
}
