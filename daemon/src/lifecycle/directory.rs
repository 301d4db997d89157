//! The state directory, for one process at a time, and the store in it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::event::{Timespec, poll};

use crate::{
    backup,
    spool::StateDir,
    store::{OpenError, Store},
};

/// How often, and at what distance, the store must be in use to be believed
/// another's.
const LOOKS: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// How often the lock must be held to be believed another daemon's; on a busy
/// machine a child may take long to become what it is to be.
const LOCK_LOOKS: u32 = 80;

/// The state directory, for this process alone for as long as the file is open.
pub(crate) fn take_state(path: &Path) -> anyhow::Result<(StateDir, File)> {
    let state = StateDir::open(path)
        .with_context(|| format!("cannot use the state directory {}", path.display()))?;
    let lock = lock(&state)?;
    Ok((state, lock))
}

/// Opens the store. The state directory is ours: whoever else has the file open
/// is a child of an earlier life that is about to begin its own program.
pub(crate) fn open_store(state: &StateDir, cache: u64) -> anyhow::Result<Store> {
    let mut looks = 0;
    loop {
        match Store::open(&state.store(), &state.backups(), cache) {
            Err(OpenError::Io { source, .. })
                if source.kind() == io::ErrorKind::ResourceBusy && looks < LOOKS =>
            {
                looks += 1;
                poll(&mut [], Some(&Timespec::try_from(LOOK_AGAIN)?))?;
            }
            opened => return opened.map_err(|error| advise(error, state)),
        }
    }
}

/// What to do about a store that cannot be opened. Nothing is done about it
/// here: an empty one in its place would be the loss of every task.
fn advise(error: OpenError, state: &StateDir) -> anyhow::Error {
    let hint = match &error {
        OpenError::Damaged { path, .. } => match backup::newest(state) {
            Some(copy) => format!(
                "put the newest copy, {}, in its place, or move {} away to begin anew",
                copy.path.display(),
                path.display()
            ),
            None => format!(
                "there is no copy in {}: put one of your own in its place, or move it away to begin anew",
                state.backups().display()
            ),
        },
        OpenError::Newer { .. } => "use the agentd that wrote it, or a newer one".to_owned(),
        OpenError::Io { .. } => return error.into(),
    };
    let error = anyhow::Error::new(error);
    anyhow::anyhow!("{error:#}\nhint: {hint}")
}

/// Takes the state directory for this process, for as long as the file is open.
fn lock(state: &StateDir) -> anyhow::Result<File> {
    let path = state.lock();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    // A child that an earlier life was about to start when it was killed may
    // hold the lock until its own program begins.
    for look in 0..=LOCK_LOOKS {
        match file.try_lock() {
            Ok(()) => {
                sign(&file);
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) if look < LOCK_LOOKS => {
                poll(&mut [], Some(&Timespec::try_from(LOOK_AGAIN)?))?;
            }
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    let holder = fs::read_to_string(&path).unwrap_or_default();
    let holder = holder.trim().parse::<u32>().ok();
    let process = holder.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let used = format!("another agentd{process} uses {}", state.path().display());
    if let Some(socket) = state.socket_that_answers() {
        let at = socket.display();
        bail!(
            "{used} and listens at {at}: agentctl --socket {at} shutdown ends it (agents go on), or name another --state-dir"
        )
    }
    // Its socket may have been taken from it, so that only its pid reaches it.
    let kill = holder.map_or_else(String::new, |pid| {
        format!(": kill {pid} ends it, agents go on")
    });
    bail!("{used} and does not answer{kill}; or name another --state-dir")
}

/// Says in the lock file whose it is, for people. That it cannot (a full disk) is
/// no reason not to start.
fn sign(mut file: &File) {
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = written {
        tracing::warn!(%error, "cannot write into the lock file");
    }
}
