//! One preparation a repository at a time, over all processes.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

/// Its name begins with a dot, so that no worktree can have it.
const NAME: &str = ".lock";

/// Takes the lock of a repository's worktrees, and waits for it if need be.
///
/// The lock belongs to the open file (flock(2)): git commands that inherit it
/// keep it when this process dies, so that no two of them work side by side.
///
/// # Errors
/// `TimedOut` if it was not free within `limit`.
pub(super) fn take(dir: &Path, limit: Duration) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join(NAME))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(err)) => return Err(err),
    }
    let (locked, waited) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("repo-lock".into())
        .spawn(move || {
            let answer = file.lock().map(|()| file);
            // Too late: the file is closed, and the lock with it.
            let _late = locked.send(answer);
        })?;
    waited
        .recv_timeout(limit)
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
