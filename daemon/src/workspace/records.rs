//! What is written down of a worktree, where no agent can write.
//!
//! ```text
//! worktrees/app-1f3a9c20/
//!   .claude-42/         of the worktree claude-42
//!     attempt           who was given it last
//!     snapshot          the name of the last snapshot of it
//!     setup             that it is set up; see [`crate::spool::Setup`]
//!     sandbox           what the agents in a sandbox that had it may not read
//!   .checkout/          of the repository's own checkout
//!     snapshot, sandbox
//! ```
//!
//! The `sandbox` of a worktree is there before an agent in a sandbox is, and for as
//! long as the worktree: whoever has git look at it later has to know, whatever the
//! configuration says by then. That of a repository's own checkout stays for ever, since
//! nobody can say when its configuration is no agent's any more.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::{WorkspaceError, make_dir, refs};
use crate::{
    file,
    task::id::{AttemptId, TaskId, Timestamp},
};

/// Names begin with a dot, so that no worktree can have them, and this one with no
/// worktree's: those have a dash.
const CHECKOUT: &str = ".checkout";
const ATTEMPT: &str = "attempt";
const SNAPSHOT: &str = "snapshot";
const SETUP: &str = "setup";
const SANDBOX: &str = "sandbox";

/// The directory of one worktree's records; it need not be there.
#[derive(Debug, Clone)]
pub(super) struct Records(PathBuf);

impl Records {
    /// Those of a worktree at this canonical path.
    pub(super) fn of(worktree: &Path) -> Self {
        let mut name = OsString::from(".");
        name.push(worktree.file_name().unwrap_or_default());
        Self(worktree.with_file_name(name))
    }

    /// Those of a workspace of `repo`, whichever it is.
    pub(super) fn at(dir: &Path, repo: &Path, path: &Path) -> Self {
        match path == repo {
            true => Self::of_checkout(dir),
            false => Self::of(path),
        }
    }

    /// Those of a repository's own checkout; `dir` is that of its worktrees.
    pub(super) fn of_checkout(dir: &Path) -> Self {
        Self(dir.join(CHECKOUT))
    }

    /// Writes down who is given a worktree. Only what is shown depends on it.
    pub(super) fn note_attempt(&self, attempt: AttemptId) {
        if let Err(error) = self.write(ATTEMPT, format!("{attempt}\n").as_bytes()) {
            tracing::warn!(path = %self.0.display(), %error, "cannot write down who has a worktree");
        }
    }

    /// Who was given it last.
    pub(super) fn had_by(&self) -> Option<AttemptId> {
        let text = file::read(&self.0.join(ATTEMPT), file::SMALL).ok()?;
        let (task, number) = std::str::from_utf8(&text).ok()?.trim().split_once('.')?;
        Some(AttemptId {
            task: TaskId::new(task.parse().ok()?)?,
            number: number.parse().ok()?,
        })
    }

    /// When that was.
    pub(super) fn given_at(&self) -> Option<Timestamp> {
        let at = self.0.join(ATTEMPT).symlink_metadata().ok()?.mtime();
        Some(Timestamp(at.saturating_mul(1000)))
    }

    /// Writes down how the last snapshot of it is called. Without that the next one may
    /// have another name for the same.
    pub(super) fn note_snapshot(&self, name: &str) {
        if self.snapshot().as_deref() == Some(name) {
            return;
        }
        if let Err(error) = self.write(SNAPSHOT, name.as_bytes()) {
            tracing::warn!(path = %self.0.display(), %error, "cannot write down the name of a snapshot");
        }
    }

    /// The name of the last snapshot of it.
    pub(super) fn snapshot(&self) -> Option<String> {
        let name = file::read(&self.0.join(SNAPSHOT), file::SMALL).ok()?;
        String::from_utf8(name)
            .ok()
            .filter(|name| name.starts_with(refs::PREFIX))
    }

    /// The file that says that it is set up.
    pub(super) fn setup(&self) -> PathBuf {
        self.0.join(SETUP)
    }

    /// Forgets that it is set up, so that no power cut brings it back.
    pub(super) fn forget_setup(&self) -> Result<(), WorkspaceError> {
        let record = self.setup();
        if record.symlink_metadata().is_err() {
            return Ok(());
        }
        file::remove(&record)
            .and_then(|()| file::sync_dir_of(&record))
            .map_err(|err| WorkspaceError::io(&record, &err))
    }

    /// Writes down that an agent in a sandbox has it from now on, and what is hidden
    /// from that.
    pub(super) fn note_sandbox(&self, hidden: &[PathBuf]) -> Result<(), WorkspaceError> {
        let paths: Vec<&[u8]> = hidden
            .iter()
            .map(|path| path.as_os_str().as_bytes())
            .collect();
        self.write(SANDBOX, &paths.join(&0))
            .map_err(|err| WorkspaceError::io(&self.0.join(SANDBOX), &err))
    }

    /// What agents in a sandbox that had it may not read; `None`: there was none.
    pub(super) fn sandbox(&self) -> Result<Option<Vec<PathBuf>>, WorkspaceError> {
        let record = self.0.join(SANDBOX);
        let paths = match file::read(&record, file::SMALL) {
            Ok(paths) => paths,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(WorkspaceError::io(&record, &err)),
        };
        let paths = paths.split(|byte| *byte == 0);
        let paths = paths.filter(|path| !path.is_empty()).map(OsStr::from_bytes);
        Ok(Some(paths.map(PathBuf::from).collect()))
    }

    /// Forgets everything: there is no worktree, or is about to be another one.
    pub(super) fn forget(&self) -> Result<(), WorkspaceError> {
        match fs::remove_dir_all(&self.0) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed,
        }
        .and_then(|()| file::sync_dir_of(&self.0))
        .map_err(|err| WorkspaceError::io(&self.0, &err))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if !self.0.is_dir() {
            make_dir(&self.0).map_err(|err| io::Error::other(err.message))?;
            file::sync_dir_of(&self.0)?;
        }
        file::replace(&self.0.join(name), bytes)
    }
}
