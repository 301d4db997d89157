//! Copies of the store, made while it is in use: one each day, and one for
//! whoever asks.
//!
//! ```text
//! backups/
//!   agentd-2026-03-01.redb   that of a day; the newest few are kept
//!   agentd-format-1.redb     of before a migration; stays
//!   agentd-before-fix-….redb of before indexes were made anew; stays
//!   *.part                   of a copy that did not come to its end; removed at a start
//! ```
//!
//! A copy is made by a thread that reads, from a snapshot: the dispatcher does
//! not wait for it. It gives up when the daemon stops, and when the store has
//! failed: as long as a snapshot is held, the store cannot be opened again.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::tz::TimeZone;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    dispatcher::{Handle, Phase, Trouble, Unavailable},
    spool::StateDir,
    store::{Copied, CopyError, Progress, Store},
    task::id::Timestamp,
};

/// Between two looks whether the copy of this day is due.
const LOOK: Duration = Duration::from_secs(20 * 60);

/// The end of a name of a copy that is not whole.
const PART: &str = ".part";

/// No copy was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It could not be made.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// There is no room for it.
    #[error("{} MiB are free where the state directory is; a copy may need {} MiB", free >> 20, needed >> 20)]
    NoSpace {
        /// Bytes that are free.
        free: u64,
        /// Bytes that have to be.
        needed: u64,
    },
    /// Its file cannot be dealt with.
    #[error("{path}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// The daemon stops.
    #[error("the daemon is about to stop")]
    Stopping,
}

/// A copy in `backups/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where.
    pub path: PathBuf,
    /// When it was made.
    pub at: Timestamp,
    /// Its size, bytes.
    pub bytes: u64,
}

/// Makes copies.
#[derive(Debug)]
pub struct Backups {
    store: Arc<Store>,
    state: StateDir,
    dispatcher: Handle,
    stop: CancellationToken,
    /// Copies for those who ask are made, and taken, one after the other.
    turn: Semaphore,
    named: AtomicU64,
    /// [`Store::commits`] of the newest copy of a day that this process made.
    copied: Mutex<Option<u64>>,
}

/// A copy that nobody else sees: it has no name, and is gone when it is closed.
#[derive(Debug)]
pub struct Asked<'a> {
    /// To be read from its beginning.
    pub file: File,
    /// What it holds.
    pub copied: Copied,
    _turn: SemaphorePermit<'a>,
}

impl Backups {
    /// Copies of `store`, until `stop`.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        state: StateDir,
        dispatcher: Handle,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store,
            state,
            dispatcher,
            stop,
            turn: Semaphore::new(1),
            named: AtomicU64::default(),
            copied: Mutex::default(),
        }
    }

    /// A copy for somebody. `watch` is told how far it is and says whether it is
    /// still wanted. Waits for others who have asked before.
    ///
    /// # Errors
    /// If there is no room, or the copy cannot be made.
    pub async fn asked(
        self: &Arc<Self>,
        watch: impl FnMut(Progress) -> bool + Send + 'static,
    ) -> Result<Asked<'_>, BackupError> {
        let turn = self.turn.acquire().await;
        let turn = turn.map_err(|_| BackupError::Stopping)?;
        let number = self.named.fetch_add(1, Ordering::Relaxed);
        let path = self.state.backups().join(format!("asked-{number}{PART}"));
        let this = Arc::clone(self);
        let (file, copied) = blocking(move || {
            let part = Part::at(path)?;
            let copied = this.copy(&part.0, watch)?;
            let file = File::open(&part.0).map_err(|source| io_error(&part.0, source))?;
            Ok((file, copied))
        })
        .await?;
        Ok(Asked {
            file,
            copied,
            _turn: turn,
        })
    }

    /// Makes a copy a day until the daemon stops.
    pub async fn daily(self: Arc<Self>) {
        let mut dispatcher = self.dispatcher.clone();
        loop {
            let this = Arc::clone(&self);
            match blocking(move || this.of_today()).await {
                Ok(()) => {}
                Err(error) => tracing::warn!(
                    error = format!("{:#}", anyhow::Error::new(error)),
                    "cannot make the daily copy of the store; it is tried again"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                // It is ready, has space again, or is to keep more of them.
                changed = dispatcher.changed() => match changed {
                    Ok(()) => {}
                    Err(Unavailable::Stopping | Unavailable::Store) => return,
                },
            }
        }
    }

    /// Makes the copy of this day, if it is due.
    fn of_today(&self) -> Result<(), BackupError> {
        let keep = self.dispatcher.config().daily_backups;
        let commits = *self.copied.lock().unwrap_or_else(PoisonError::into_inner);
        let unchanged = commits == Some(self.store.commits());
        if keep == 0 || unchanged || self.dispatcher.phase() != Phase::Ready {
            return Ok(());
        }
        let dir = self.state.backups();
        let name = daily_name(clock::now());
        let path = dir.join(&name);
        if !path.exists() {
            let part = Part::at(dir.join(format!("daily{PART}")))?;
            let copied = self.copy(&part.0, |_| true)?;
            fs::rename(&part.0, &path).map_err(|source| io_error(&path, source))?;
            crashpoint!("backup.daily.renamed");
            File::open(&dir)
                .and_then(|dir| dir.sync_all())
                .map_err(|source| io_error(&dir, source))?;
            *self.copied.lock().unwrap_or_else(PoisonError::into_inner) = Some(copied.commits);
            tracing::info!(path = %path.display(), bytes = copied.bytes, "the store was copied");
        }
        thin_out(&dir, keep, &name).map_err(|source| io_error(&dir, source))
    }

    fn copy(
        &self,
        to: &Path,
        mut watch: impl FnMut(Progress) -> bool,
    ) -> Result<Copied, BackupError> {
        let state = self.state.path();
        let free = self.state.free_space();
        let free = free.map_err(|source| io_error(state, source))?;
        let needed = self.store.size() + self.dispatcher.config().min_free_disk;
        if free < needed {
            return Err(BackupError::NoSpace { free, needed });
        }
        let goes_on = || {
            let failed = matches!(self.dispatcher.trouble(), Some(Trouble::Store(_)));
            !failed && !self.stop.is_cancelled()
        };
        Ok(self
            .store
            .copy(to, |progress| goes_on() && watch(progress))?)
    }
}

/// The file of a copy that is not whole, or nobody else's to see. It goes with
/// this, whatever comes of it, unless it was given another name.
struct Part(PathBuf);

impl Part {
    /// Nothing is there yet: what a failure has left is removed.
    fn at(path: PathBuf) -> Result<Self, BackupError> {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(io_error(&path, source)),
        }
        Ok(Self(path))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It has another name by now, or is removed before the next one.
        fs::remove_file(&self.0).ok();
    }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let acting = tokio::task::spawn_blocking(act);
    acting.await.unwrap_or(Err(BackupError::Stopping))
}

fn io_error(path: &Path, source: io::Error) -> BackupError {
    BackupError::Io {
        path: path.to_owned(),
        source,
    }
}

/// `agentd-2026-03-01.redb`, by the calendar of this place.
fn daily_name(now: Timestamp) -> String {
    let now = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default();
    let date = now.to_zoned(TimeZone::system()).date();
    format!("agentd-{date}.redb")
}

/// Whether a file is the copy of a day.
fn is_daily(name: &str) -> bool {
    let date = name.strip_prefix("agentd-");
    let date = date.and_then(|rest| rest.strip_suffix(".redb"));
    date.is_some_and(|date| date.parse::<jiff::civil::Date>().is_ok() && date.len() == 10)
}

/// Removes all copies of days but the newest. Their names are in the order of
/// their days. Those of days after `today` (its name) stay, and take no place of
/// others: the clock is, or was, set wrong, and it is not known which.
fn thin_out(dir: &Path, keep: u32, today: &str) -> io::Result<()> {
    let mut names = names(dir)?;
    names.retain(|name| is_daily(name) && name.as_str() <= today);
    names.sort_unstable();
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    for name in names.iter().rev().skip(keep) {
        fs::remove_file(dir.join(name))?;
    }
    Ok(())
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        // What we name is text.
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

/// Removes copies that did not come to their end. Only for whoever has the lock
/// of the state directory, before a copy is made.
///
/// # Errors
/// If one cannot be removed.
pub fn tidy(state: &StateDir) -> io::Result<()> {
    let dir = state.backups();
    let parts = names(&dir)?.into_iter().filter(|name| name.ends_with(PART));
    for part in parts {
        fs::remove_file(dir.join(part))?;
    }
    Ok(())
}

/// Copies the store as a file, which nobody has open. Returns where to.
///
/// # Errors
/// If it cannot be read, or the copy not be written.
pub fn before_fix(state: &StateDir) -> io::Result<PathBuf> {
    let now = jiff::Timestamp::from_millisecond(clock::now().0).unwrap_or_default();
    let name = format!("agentd-before-fix-{}.redb", now.strftime("%Y%m%dT%H%M%SZ"));
    let (dir, part) = (state.backups(), state.backups().join(format!("fix{PART}")));
    fs::copy(state.store(), &part)?;
    File::open(&part)?.sync_all()?;
    let copy = dir.join(name);
    fs::rename(&part, &copy)?;
    File::open(&dir)?.sync_all()?;
    Ok(copy)
}

/// The newest copy that is there.
#[must_use]
pub fn newest(state: &StateDir) -> Option<Backup> {
    let copies = fs::read_dir(state.backups()).ok()?.filter_map(Result::ok);
    let whole = copies.filter(|copy| copy.path().extension().is_some_and(|end| end == "redb"));
    let found = whole.filter_map(|copy| {
        let meta = copy.metadata().ok()?;
        let made = jiff::Timestamp::try_from(meta.modified().ok()?).ok()?;
        Some(Backup {
            path: copy.path(),
            at: Timestamp(made.as_millisecond()),
            bytes: meta.len(),
        })
    });
    found.max_by_key(|copy| (copy.at, copy.path.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_days_stay_and_so_does_all_else() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let backups = state.backups();
        let days = ["2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01"];
        let days = days.map(|day| format!("agentd-{day}.redb"));
        // Of a clock that was set wrong for a while.
        let later = ["2026-03-02", "2099-01-01", "2099-01-02"];
        let later = later.map(|day| format!("agentd-{day}.redb"));
        let others = ["agentd-format-1.redb", "mine.redb", "agentd-2026-02-1.redb"];
        for name in days.iter().chain(&later).map(String::as_str).chain(others) {
            fs::write(backups.join(name), "x").unwrap();
        }
        fs::write(backups.join("daily.part"), "x").unwrap();
        fs::write(backups.join("asked-7.part"), "x").unwrap();
        thin_out(&backups, 2, &days[3]).unwrap();
        tidy(&state).unwrap();
        let mut left = names(&backups).unwrap();
        left.sort_unstable();
        let mut expected = others.map(str::to_owned).to_vec();
        expected.extend(days[2..].iter().chain(&later).cloned());
        expected.sort_unstable();
        assert_eq!(left, expected);
        let newest = newest(&state).unwrap();
        assert_eq!(newest.bytes, 1);
        let name = daily_name(clock::now());
        assert!(is_daily(&name), "{name}");
    }
    #[test]
    fn what_is_not_whole_goes_whatever_comes_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daily.part");
        fs::write(&path, "of a rename that failed").unwrap();
        let part = Part::at(path.clone()).unwrap();
        assert!(!path.exists(), "a copy is a new file");
        fs::write(&part.0, "half").unwrap();
        drop(part);
        assert!(!path.exists());
        let part = Part::at(path.clone()).unwrap();
        fs::write(&part.0, "whole").unwrap();
        let named = dir.path().join("agentd-2026-03-01.redb");
        fs::rename(&part.0, &named).unwrap();
        drop(part);
        assert!(named.exists() && !path.exists());
    }
}
