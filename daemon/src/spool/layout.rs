//! The state directory: where what is kept.
//!
//! ```text
//! state/                0700
//!   lock                locked by the daemon that owns the directory
//!   socket              a link to where that daemon listens
//!   agentd.redb         the store
//!   backups/            copies of it
//!   attempts/42.1/      attempts that are not concluded; see the parent module
//!   transcripts/0/42.1/ what remains of concluded ones, a thousand tasks a directory
//!   worktrees/          see the workspace room
//!   workspaces/42/      private directories
//! ```
//!
//! `attempts/` holds only what is under way, so that a start of the daemon
//! costs no more for a long history.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use super::AttemptDir;
use crate::{
    file,
    task::id::{AttemptId, TaskId, Timestamp},
};

/// Tasks whose transcripts share a directory.
const SHARD: u64 = 1000;

/// What is behind an attempt's name where its files were moved out of the way.
const ASIDE: &str = "before-";

/// The name of the link to the daemon's socket.
pub(super) const SOCKET: &str = "socket";
/// Where nobody ever listens: connecting to it is refused at once.
const NOBODY: &str = "/dev/null";

/// What is in the directory that no agent has to read, unless it works there. Not the
/// directory itself: it may be the home of a user who has nothing else.
const NOT_FOR_AGENTS: [&str; 8] = [
    "agentd.log",
    "agentd.redb",
    "attempts",
    "backups",
    "lock",
    "transcripts",
    "workspaces",
    "worktrees",
];

/// The daemon's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Opens the directory, making it (0700) and what is always in it.
    ///
    /// # Errors
    /// If it cannot be made, belongs to somebody else, or is open to others
    /// and cannot be closed to them.
    pub fn open(path: &Path) -> io::Result<Self> {
        make_private(path)?;
        let dir = Self(fs::canonicalize(path)?);
        let meta = fs::metadata(&dir.0)?;
        if meta.uid() != nix::unistd::geteuid().as_raw() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("it belongs to uid {}", meta.uid()),
            ));
        }
        if meta.mode() & 0o077 != 0 {
            fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o700))?;
        }
        for inner in [dir.attempts(), dir.transcripts(), dir.backups()] {
            make_private(&inner)?;
        }
        Ok(dir)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What no agent has to read, unless it works there; whether it is there or not.
    pub fn not_for_agents(&self) -> impl Iterator<Item = PathBuf> {
        NOT_FOR_AGENTS.iter().map(|name| self.0.join(name))
    }

    /// Whether a daemon has kept its store here; makes nothing.
    #[must_use]
    pub fn has_store(path: &Path) -> bool {
        Self(path.to_owned()).store().exists()
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.0.join("agentd.redb")
    }

    /// Copies of the store.
    #[must_use]
    pub fn backups(&self) -> PathBuf {
        self.0.join("backups")
    }

    /// Locked by the daemon that owns the directory.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Bytes that are free for us on its file system.
    ///
    /// # Errors
    /// If the file system does not say.
    pub fn free_space(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.0)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Tells runners where the daemon listens from now on.
    ///
    /// # Errors
    /// If the link cannot be made.
    pub fn point_to_socket(&self, socket: &Path) -> io::Result<()> {
        let beside = self.0.join("socket.new");
        file::remove(&beside)?;
        symlink(socket, &beside)?;
        file::put(&beside, &self.0.join(SOCKET))
    }

    /// Where the daemon listens that uses this directory, if one answers there.
    #[must_use]
    pub fn socket_that_answers(&self) -> Option<PathBuf> {
        let socket = fs::read_link(self.0.join(SOCKET)).ok()?;
        UnixStream::connect(&socket).is_ok().then_some(socket)
    }

    /// Has runners wait for the next daemon instead of connecting: a service
    /// manager that keeps the socket would start one for them.
    ///
    /// # Errors
    /// If the link cannot be made.
    pub fn point_to_nobody(&self) -> io::Result<()> {
        self.point_to_socket(Path::new(NOBODY))
    }

    /// The directory of an attempt that is under way.
    #[must_use]
    pub fn attempt(&self, attempt: AttemptId) -> AttemptDir {
        AttemptDir::of(&self.attempts(), attempt)
    }

    /// Reads an attempt's transcript, wherever it is: the directory of one that
    /// is concluded moves, also while it is read. `read` gets a directory that
    /// need not be there.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn read_transcript<T>(
        &self,
        attempt: AttemptId,
        read: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let live = self.attempt(attempt);
        let found = read(&live.transcript());
        // Moved before or while it was read; it moves only once.
        if live.path().is_dir() {
            found
        } else {
            read(&self.place_of(attempt).transcript())
        }
    }

    /// Puts the files of a concluded attempt away: removes what only a live
    /// one needs and moves the rest. Doing it again is no error.
    ///
    /// # Errors
    /// If a file cannot be removed or the directory not moved.
    pub fn put_away(&self, attempt: AttemptId) -> io::Result<()> {
        let live = self.attempt(attempt);
        if !live.path().is_dir() {
            return Ok(());
        }
        failpoint!("spool.put_away.before")?;
        live.remove_spool()?;
        failpoint!("spool.put_away.emptied")?;
        let kept = self.place_of(attempt);
        if let Some(shard) = kept.path().parent() {
            make_private(shard)?;
        }
        Self::make_way(kept.path())?;
        fs::rename(live.path(), kept.path())?;
        crashpoint!("spool.put_away.after");
        Ok(())
    }

    /// The attempts that have a directory among those under way. What is not
    /// named as one is passed over.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn attempts_present(&self) -> io::Result<Vec<AttemptId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.attempts())? {
            let name = entry?.file_name();
            found.extend(
                name.to_str()
                    .and_then(|name| name.parse::<AttemptId>().ok()),
            );
        }
        Ok(found)
    }

    /// The newest task that has files here, in whatever state it is.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn newest_task(&self) -> io::Result<Option<TaskId>> {
        let attempts = self.attempts_present()?;
        let mut newest = attempts.into_iter().map(|attempt| attempt.task).max();
        // Of so many directories only the last can have it.
        let shards = numbers(&self.transcripts())?;
        if let Some(last) = shards.into_iter().max() {
            for entry in fs::read_dir(self.transcripts().join(last.to_string()))? {
                let name = entry?.file_name();
                let attempt = name
                    .to_str()
                    .and_then(|name| name.parse::<AttemptId>().ok());
                newest = newest.max(attempt.map(|attempt| attempt.task));
            }
        }
        let private = numbers(&self.0.join("workspaces"))?.into_iter().max();
        Ok(newest.max(private.and_then(TaskId::new)))
    }

    /// Moves what an attempt of the same number has left out of the way: the
    /// store was put back to how it was before that one. It goes with what comes in its
    /// place.
    fn make_way(kept: &Path) -> io::Result<()> {
        let mut number = 1_u32;
        while kept.try_exists()? {
            let aside = kept.with_added_extension(format!("{ASIDE}{number}"));
            if !aside.try_exists()? {
                fs::rename(kept, aside)?;
            }
            number = number.saturating_add(1);
        }
        Ok(())
    }

    /// The attempts of which something is kept. What is not named as one is
    /// passed over.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn kept(&self) -> io::Result<Vec<AttemptId>> {
        let mut found = Vec::new();
        for shard in fs::read_dir(self.transcripts())? {
            let shard = shard?;
            if !shard.file_type()?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(shard.path())? {
                let name = entry?.file_name();
                let attempt = name.to_str().and_then(|name| name.parse().ok());
                // One that lies elsewhere is not ours to find again.
                found.extend(attempt.filter(|id| self.place_of(*id).path().ends_with(name)));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// What an attempt's kept files take on disk, bytes.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn kept_size(&self, attempt: AttemptId) -> io::Result<u64> {
        let mut size = 0;
        let kept = self.place_of(attempt);
        let mut open = aside(kept.path())?;
        open.push(kept.path().to_owned());
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                let meta = entry.metadata()?;
                // Of 512 bytes, whatever the file system's are.
                size += meta.blocks() * 512;
                if meta.is_dir() {
                    open.push(entry.path());
                }
            }
        }
        Ok(size)
    }

    /// When an attempt's files were put away.
    ///
    /// # Errors
    /// If they are not there.
    pub fn kept_since(&self, attempt: AttemptId) -> io::Result<Timestamp> {
        let seconds = fs::metadata(self.place_of(attempt).path())?.mtime();
        Ok(Timestamp(seconds.saturating_mul(1000)))
    }

    /// Removes what is kept of an attempt, and of those of the same number that it
    /// was put in the place of. Doing it again is no error.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn discard(&self, attempt: AttemptId) -> io::Result<()> {
        let kept = self.place_of(attempt);
        failpoint!("spool.discard.before")?;
        // Its own directory is last: by that it is found again.
        let mut dirs = aside(kept.path())?;
        dirs.extend([kept.transcript(), kept.path().to_owned()]);
        for dir in dirs {
            match fs::remove_dir_all(dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            crashpoint!("spool.discard.removed");
        }
        Ok(())
    }

    fn place_of(&self, attempt: AttemptId) -> AttemptDir {
        let shard = attempt.task.get() / SHARD;
        AttemptDir::of(&self.transcripts().join(shard.to_string()), attempt)
    }

    fn attempts(&self) -> PathBuf {
        self.0.join("attempts")
    }

    fn transcripts(&self) -> PathBuf {
        self.0.join("transcripts")
    }
}

/// What was moved out of the way of an attempt's files.
fn aside(kept: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(dir), Some(name)) = (kept.parent(), kept.file_name()) else {
        return Ok(Vec::new());
    };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?.file_name();
        let rest = entry
            .as_encoded_bytes()
            .strip_prefix(name.as_encoded_bytes());
        if rest.is_some_and(|rest| rest.starts_with(format!(".{ASIDE}").as_bytes())) {
            found.push(dir.join(entry));
        }
    }
    Ok(found)
}

/// The entries of a directory that are numbers; none if it is not there.
fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    Ok(found)
}

/// Makes a directory, and those above it, that only its owner may enter. One
/// that is there already stays as it is.
///
/// # Errors
/// If it cannot be made or is no directory.
pub fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
