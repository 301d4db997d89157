//! Lock files that a killed git left behind.
//!
//! Git makes `x.lock`, writes the new `x` into it and renames it. Killed in
//! between, it leaves a file that stops every later git, and that holds nothing
//! but what was not yet done. It is removed only if nobody can be at work: no
//! process has it open, and no git is in one of the directories (one that waits
//! for an editor or a hook keeps the lock and not the file). One of another
//! user is left to that user, whose processes are not seen.
//!
//! `gc.pid` needs no mending: git itself looks whether that process lives.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::unistd::geteuid;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::Timespec,
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::WorkspaceError;

/// Locks of a whole repository, in its common directory. Gits in all of its
/// worktrees take them for moments. Whoever has that of the packed refs writes
/// the new ones beside it, and fails if they are there: they go first.
const SHARED: [&str; 4] = [
    "config.lock",
    "packed-refs.new",
    "packed-refs.lock",
    "shallow.lock",
];

/// A lock that is there.
struct Lock<'a> {
    path: &'a PathBuf,
    /// Which file it is, so that the lock of a git that comes later is not
    /// taken for it.
    which: (u64, u64, i64, i64),
    /// Who made it.
    owner: u32,
}

impl<'a> Lock<'a> {
    fn at(path: &'a PathBuf) -> Option<Self> {
        let found = path.symlink_metadata().ok()?;
        let made = (found.mtime(), found.mtime_nsec());
        Some(Self {
            path,
            which: (found.dev(), found.ino(), made.0, made.1),
            owner: found.uid(),
        })
    }

    fn remove(&self) -> io::Result<()> {
        if Self::at(self.path).is_none_or(|now| now.which != self.which) {
            return Ok(());
        }
        match fs::remove_file(self.path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
            _ => {}
        }
        tracing::warn!(path = %self.path.display(), "removed a lock file that a killed git left");
        Ok(())
    }
}

/// Removes those of `locks` that are there, unless a process that has one of
/// them open, or a git that works in one of `dirs`, may still want it.
pub(super) fn clear(locks: &[PathBuf], dirs: &[&Path]) -> Result<(), WorkspaceError> {
    let locks: Vec<Lock<'_>> = locks.iter().filter_map(Lock::at).collect();
    let Some(first) = locks.first() else {
        return Ok(());
    };
    if let Some(user) = find_user(&locks, dirs) {
        let first = first.path.display();
        return Err(WorkspaceError::failed(format!(
            "{first} is there, and {user} may be using it; \
             try again when that has ended"
        )));
    }
    for lock in locks {
        let removed = lock.remove();
        removed.map_err(|err| WorkspaceError::io(lock.path, &err))?;
    }
    Ok(())
}

/// The same of locks that do not stop what is done next: those that may be in
/// use are left, and git says so to whom they stop.
pub(super) fn clear_idle(locks: &[PathBuf], dirs: &[&Path]) {
    if let Err(err) = clear(locks, dirs) {
        tracing::info!(%err, "a lock file of git is left");
    }
}

/// The locks of a whole repository.
pub(super) fn shared(common: &Path) -> Vec<PathBuf> {
    SHARED.iter().map(|name| common.join(name)).collect()
}

/// Who may want the locks, for a person. Processes of other users are not seen.
fn find_user(locks: &[Lock<'_>], dirs: &[&Path]) -> Option<String> {
    let own = geteuid();
    let foreign = |lock: &&Lock<'_>| !own.is_root() && lock.owner != own.as_raw();
    if let Some(lock) = locks.iter().find(foreign) {
        return Some(format!("user {}", lock.owner));
    }
    find_process(|command, process| {
        command.starts_with("git") && works_in(process, dirs)
            || has_open(process, |file| locks.iter().any(|lock| *lock.path == file))
    })
    .map(|user| user.to_string())
}

/// A process that works in a directory or has a file of it open, for a person.
/// Those that end within `time` do not count: git tidies up behind itself.
pub(super) fn at_work(dir: &Path, time: Duration) -> Option<String> {
    let until = Instant::now() + time;
    loop {
        let user = find_process(|_, process| {
            works_in(process, &[dir]) || has_open(process, |file| file.starts_with(dir))
        })?;
        if !ends_by(user.pid, until) {
            return Some(user.to_string());
        }
    }
}

/// Waits for the end of a process. False if it is there still, or if it cannot
/// be waited for.
fn ends_by(pid: i32, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let limit = Timespec::try_from(left).unwrap_or_default();
    let Some(pid) = Pid::from_raw(pid) else {
        return false;
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(held) => poll(&mut [PollFd::new(&held, PollFlags::IN)], Some(&limit)) == Ok(1),
        Err(Errno::SRCH) => true,
        Err(_) => false,
    }
}

/// A process, as it is told of.
struct User {
    pid: i32,
    command: String,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.command)
    }
}

/// The first process of this kind, with its name. It is given that and the
/// directory that tells of it.
fn find_process(is_it: impl Fn(&str, &Path) -> bool) -> Option<User> {
    let processes = fs::read_dir("/proc").ok()?;
    for process in processes.flatten() {
        let pid = process.file_name();
        let Some(pid) = pid.to_str().and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        let process = process.path();
        let command = fs::read_to_string(process.join("comm")).unwrap_or_default();
        if is_it(&command, &process) {
            let command = command.trim().to_owned();
            return Some(User { pid, command });
        }
    }
    None
}

fn works_in(process: &Path, dirs: &[&Path]) -> bool {
    let cwd = fs::read_link(process.join("cwd"));
    cwd.is_ok_and(|cwd| dirs.iter().any(|dir| cwd.starts_with(dir)))
}

fn has_open(process: &Path, is_it: impl Fn(&Path) -> bool) -> bool {
    let files = fs::read_dir(process.join("fd"));
    let mut files = files.into_iter().flatten().flatten();
    files.any(|file| fs::read_link(file.path()).is_ok_and(|file| is_it(&file)))
}
