//! `runner.lock`: held for as long as the runner lives.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::Path,
    process::Stdio,
};

use super::format;
use crate::task::attempt::ProcessIdentity;

/// Whether a runner lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockState {
    /// A process holds the lock.
    Held,
    /// No process holds it, or there is no such file: no runner lives.
    Free,
}

/// The lock, taken for a runner that is about to be spawned.
///
/// The lock belongs to the open file (flock(2)): it passes to whoever inherits
/// the descriptor and is freed when the last copy is closed.
#[derive(Debug)]
pub struct RunnerLock(File);

impl RunnerLock {
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "a runner of this attempt is alive",
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes over, in the runner, the lock that it was given as this
    /// descriptor.
    pub(super) fn adopt(path: &Path, given: impl AsFd) -> io::Result<Self> {
        let file = File::from(given.as_fd().try_clone_to_owned()?);
        let (is, should_be) = (file.metadata()?, std::fs::metadata(path)?);
        if (is.dev(), is.ino()) != (should_be.dev(), should_be.ino()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "standard input is not the attempt's lock",
            ));
        }
        // No more than a question if it is ours already, which is the rule.
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another runner of this attempt is alive",
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Writes into the file who holds it, for whoever finds it locked.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn sign(&self, runner: &ProcessIdentity) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.write_all_at(&format::encode_identity(runner), 0)
    }

    /// Hands the lock to a child as its standard input.
    #[must_use]
    pub fn into_stdin(self) -> Stdio {
        Stdio::from(OwnedFd::from(self.0))
    }
}

pub(super) fn probe(path: &Path) -> io::Result<LockState> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockState::Free),
        Err(error) => return Err(error),
    };
    // Shared, so that two probes at once do not take each other for a runner.
    match file.try_lock_shared() {
        Ok(()) => Ok(LockState::Free),
        Err(TryLockError::WouldBlock) => Ok(LockState::Held),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
