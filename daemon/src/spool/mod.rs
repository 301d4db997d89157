//! The files that the daemon and a runner share: one directory an attempt.
//!
//! ```text
//! attempts/42.1/            0700
//!   launch                  what to run; written by the daemon before the runner (0600)
//!   prompt                  the agent's standard input (0600)
//!   prompt.fresh            the same for its fallback, if it has one (0600)
//!   runner.lock             locked for as long as the runner lives; says who it is
//!   result                  how it ended; written by the runner, synced, renamed into place
//!   stopped                 there if the service manager ended it: then there is no result
//!   runner.log              the runner's own messages
//!   transcript/             see [`crate::transcript`]
//! ```
//!
//! The lock is taken by the daemon before it spawns the runner and handed over
//! as the runner's standard input: the lock belongs to the open file, so there
//! is no moment in which the runner lives and the lock is free. It is the
//! proof of death: the kernel frees it when, and only when, the last process
//! that holds the file is gone.
//!
//! Every file begins with its format's version. An unknown version or a torn
//! file is an error of its own and is never mistaken for absence.

mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod layout;
mod lock;
mod sandbox;
mod scope;
mod setup;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

pub use self::{
    format::{Fallback, FormatError, Launch, Reads, Stdin},
    layout::{StateDir, make_private},
    lock::{LockState, RunnerLock},
    sandbox::Sandbox,
    scope::Scope,
    setup::Setup,
};
use crate::{
    file,
    task::{
        attempt::{ProcessIdentity, RunResult},
        id::{AttemptId, Nonce},
    },
};

/// The directory of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptDir(PathBuf);

impl AttemptDir {
    /// The directory of `attempt` below `attempts/`.
    #[must_use]
    pub fn of(attempts: &Path, attempt: AttemptId) -> Self {
        Self(attempts.join(attempt.to_string()))
    }

    /// A directory that is an attempt's by its caller's word.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory of the transcript's segments.
    #[must_use]
    pub fn transcript(&self) -> PathBuf {
        self.0.join("transcript")
    }

    /// The agent's standard input.
    #[must_use]
    pub fn prompt(&self) -> PathBuf {
        self.0.join("prompt")
    }

    /// The standard input of its [`Fallback`].
    #[must_use]
    pub fn fresh_prompt(&self) -> PathBuf {
        self.0.join("prompt.fresh")
    }

    /// The runner's own messages.
    #[must_use]
    pub fn runner_log(&self) -> PathBuf {
        self.0.join("runner.log")
    }

    fn launch(&self) -> PathBuf {
        self.0.join("launch")
    }

    fn lock(&self) -> PathBuf {
        self.0.join("runner.lock")
    }

    fn result(&self) -> PathBuf {
        self.0.join("result")
    }

    fn stopped(&self) -> PathBuf {
        self.0.join("stopped")
    }

    /// Makes the directory (0700); its parent must be there.
    ///
    /// # Errors
    /// If it cannot be made. That it exists already is no error.
    pub fn create(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Writes the standard input of the fallback. Before the launch file: who
    /// finds that finds all of it. As with [`AttemptDir::write_launch`], it is
    /// not synced.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_fresh_prompt(&self, prompt: &str) -> io::Result<()> {
        write_private(&self.fresh_prompt(), prompt.as_bytes())
    }

    /// Writes what to run and, if it has one, the agent's standard input.
    ///
    /// They need not survive a power cut, which ends the runner too, and are
    /// therefore not synced.
    ///
    /// # Errors
    /// If a file cannot be written, or a path in it is not UTF-8.
    pub fn write_launch(&self, launch: &Launch, prompt: &str) -> io::Result<()> {
        if launch.stdin == Stdin::Prompt {
            write_private(&self.prompt(), prompt.as_bytes())?;
        }
        write_private(&self.launch(), &format::encode_launch(launch)?)
    }

    /// What to run.
    ///
    /// # Errors
    /// If the file cannot be read or is not a launch file of a known version.
    pub fn read_launch(&self) -> Result<Launch, FormatError> {
        format::decode_launch(&format::read(&self.launch())?)
    }

    /// Locks `runner.lock` for a runner that is about to be spawned.
    ///
    /// # Errors
    /// If the file cannot be opened, or a runner of this attempt lives.
    pub fn lock_for_runner(&self) -> io::Result<RunnerLock> {
        RunnerLock::take(&self.lock())
    }

    /// Takes over, in the runner, the lock that it was given as its standard
    /// input. The runner's copy does not pass to the agent.
    ///
    /// # Errors
    /// If that is not this attempt's lock, or another runner holds it.
    pub fn adopt_lock(&self, stdin: impl AsFd) -> io::Result<RunnerLock> {
        RunnerLock::adopt(&self.lock(), stdin)
    }

    /// Whether a runner of this attempt lives.
    ///
    /// # Errors
    /// If the lock cannot be asked; the answer is then unknown.
    pub fn probe_lock(&self) -> io::Result<LockState> {
        lock::probe(&self.lock())
    }

    /// Who said last that it holds the lock; `None` if nobody did.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_identity(&self) -> io::Result<Option<ProcessIdentity>> {
        match format::read(&self.lock()) {
            Ok(bytes) => Ok(format::decode_identity(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where the daemon of this state directory listens now; `None` if it
    /// never said.
    #[must_use]
    pub fn daemon_socket(&self) -> Option<PathBuf> {
        let state = self.0.parent()?.parent()?;
        fs::read_link(state.join(layout::SOCKET)).ok()
    }

    /// Whether a result is in place, of whatever form.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn has_result(&self) -> io::Result<bool> {
        self.result().try_exists()
    }

    /// Puts the result in place so that it survives a power cut: written
    /// beside, synced, renamed, directory synced.
    ///
    /// # Errors
    /// If any of these fails; the result is then not in place or not durable.
    pub fn write_result(&self, nonce: Nonce, result: &RunResult) -> io::Result<()> {
        failpoint!("spool.result.before")?;
        let bytes = format::encode_result(nonce, result);
        let beside = file::write_beside(&self.result(), &bytes)?;
        failpoint!("spool.result.written")?;
        beside.put()?;
        crashpoint!("spool.result.renamed");
        Ok(())
    }

    /// The result of the attempt with this nonce; `None` if there is none.
    ///
    /// # Errors
    /// If the file cannot be read, is torn, or belongs to another nonce.
    pub fn read_result(&self, nonce: Nonce) -> Result<Option<RunResult>, FormatError> {
        match format::read(&self.result()) {
            Ok(bytes) => format::decode_result(&bytes, nonce).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Says that it was the service manager that ended the attempt. Not synced: a
    /// machine that goes down tells more.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn write_stopped(&self) -> io::Result<()> {
        private(&self.stopped()).map(drop)
    }

    /// Whether it was the service manager that ended the attempt; false if nobody
    /// can tell.
    #[must_use]
    pub fn was_stopped(&self) -> bool {
        self.stopped().exists()
    }

    /// Removes what only a live attempt needs: the launch file (it holds the
    /// environment), the prompts, the lock and the result. The transcript and
    /// the runner's messages stay. What is not there is no error.
    ///
    /// # Errors
    /// If a file that is there cannot be removed.
    pub fn remove_spool(&self) -> io::Result<()> {
        let prompts = [self.prompt(), self.fresh_prompt()];
        let others = [self.launch(), self.result(), self.stopped(), self.lock()];
        for path in prompts.into_iter().chain(others) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match fs::metadata(self.runner_log()) {
            Ok(meta) if meta.len() == 0 => fs::remove_file(self.runner_log()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    private(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests;
