//! The embedded store: tasks, attempts, events and their indexes in redb.
//!
//! One thread writes: the dispatcher's. It collects what has gathered while
//! the last commit was being synced into one [`Batch`] and commits that as one
//! transaction (group commit), so the number of syncs does not grow with the
//! number of tasks. Anyone may read at any time: a [`Reader`] is a snapshot.
//!
//! Every call blocks; none belongs on an async worker thread.
//!
//! Invariants: a row, its index entries, its event and its revision change in
//! one transaction · a commit that returned is on disk · numbers of tasks and
//! revisions are never used again · a store that cannot be understood is never
//! written to.

mod batch;
mod check;
mod copy;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod migrate;
mod prune;
mod reader;
mod record;
mod sessions;
mod tables;
mod told;

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    panic,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use redb::{Database, ReadableDatabase as _};

pub use self::{
    batch::{Batch, Entry},
    check::{Fault, Faults},
    copy::{Copied, CopyError, Progress},
    reader::{COUNT_BOUND, Filter, Listing, Reader},
    record::{JournalEntry, RecordError},
    sessions::{SessionFilter, SessionListing},
};

/// The format that this program writes.
pub const FORMAT: u64 = 1;

/// A store that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer agentd wrote it.
    #[error("{path} has format {found}; this agentd knows formats up to {FORMAT}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// It is no store, or damaged.
    #[error("{path} is damaged or not a store of agentd")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: Box<StoreError>,
    },
    /// The file system refused.
    #[error("cannot open {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its words.
        #[source]
        source: io::Error,
    },
}

/// A read or write that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// redb's error.
    #[error(transparent)]
    Redb(Box<redb::Error>),
    /// A row cannot be understood.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It failed and could not be opened again until now.
    #[error("it is closed after an error")]
    Closed,
}

impl StoreError {
    /// The file system refused (it is full, for example), and may not do so
    /// later: what was committed is whole, and the store can be opened again.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Redb(error) => {
                matches!(**error, redb::Error::Io(_) | redb::Error::PreviousIo)
            }
            Self::Record(_) => false,
            Self::Closed => true,
        }
    }
}

macro_rules! from_redb {
    ($($error:ty),+) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Redb(Box::new(error.into()))
            }
        })+
    };
}
from_redb!(
    redb::CommitError,
    redb::DatabaseError,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError
);

/// The store. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Store {
    /// `None` while it cannot be opened again after a failure.
    db: RwLock<Option<Database>>,
    path: PathBuf,
    cache: u64,
    commits: Arc<AtomicU64>,
}

impl Store {
    /// Opens the store at `path` with at most `cache` bytes of page cache,
    /// making it if there is none, migrating it if it is older (after copying
    /// it to `backups`).
    ///
    /// # Errors
    /// If it is newer, damaged, foreign, locked by another process or cannot be
    /// read or written. It is then as it was.
    pub fn open(path: &Path, backups: &Path, cache: u64) -> Result<Self, OpenError> {
        // Of some damage redb gives an error, of some it panics.
        panic::catch_unwind(|| Self::open_sound(path, backups, cache)).unwrap_or_else(|_| {
            let source = redb::StorageError::Corrupted("redb cannot read it".to_owned());
            Err(damaged(path, source))
        })
    }

    fn open_sound(path: &Path, backups: &Path, cache: u64) -> Result<Self, OpenError> {
        match fs::metadata(path) {
            // Making a store ends with a rename: an empty file is not one that
            // was never written but one that was lost.
            Ok(meta) if meta.len() == 0 => {
                let source = redb::StorageError::Corrupted("the file is empty".to_owned());
                return Err(damaged(path, source));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(source) => return Err(io_error(path, source)),
        }
        refuse_newer(path)?;
        let db = open_database(path, cache)?;
        let found = migrate::format(&db).map_err(|e| damaged(path, e))?;
        refuse(path, found)?;
        if found < FORMAT {
            let copy = backups.join(format!("agentd-format-{found}.redb"));
            fs::copy(path, &copy)
                .and_then(|_| {
                    File::open(&copy)?.sync_all()?;
                    failpoint!("store.migrate.copied")
                })
                .map_err(|source| io_error(&copy, source))?;
            migrate::migrate(&db, found).map_err(|e| damaged(path, e))?;
        }
        migrate::complete(&db).map_err(|e| damaged(path, e))?;
        Ok(Self {
            db: RwLock::new(Some(db)),
            path: path.to_owned(),
            cache,
            commits: Arc::default(),
        })
    }

    /// Closes the file and opens it again: after an error of the file system
    /// redb answers nothing else any more, also when the cause is gone. What
    /// was committed is there; of a commit that failed, all or nothing.
    ///
    /// # Errors
    /// As [`Store::open`]; the store is then closed.
    pub fn reopen(&self) -> Result<(), OpenError> {
        let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
        // Closed before it is opened: the file has one owner.
        *db = None;
        if fs::metadata(&self.path).is_ok_and(|meta| meta.len() == 0) {
            let source = redb::StorageError::Corrupted("the file is empty".to_owned());
            return Err(damaged(&self.path, source));
        }
        *db = Some(open_database(&self.path, self.cache)?);
        Ok(())
    }

    fn with_db<T>(
        &self,
        act: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        act(db.as_ref().ok_or(StoreError::Closed)?)
    }

    /// Begins the next write. Waits for one that is open.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn begin(&self) -> Result<Batch, StoreError> {
        let mut transaction = self.with_db(|db| Ok(db.begin_write()?))?;
        // The allocator's state is saved with each commit, so that a start
        // after a crash takes no walk over the file.
        transaction.set_quick_repair(true);
        Batch::new(transaction, Arc::clone(&self.commits))
    }

    /// A snapshot of what is committed.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::new(self.with_db(|db| Ok(db.begin_read()?))?)
    }

    /// How many batches were committed since it was opened. If the number is
    /// another one, something has changed.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// The size of the file, bytes; 0 if it cannot be asked.
    #[must_use]
    pub fn size(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |meta| meta.len())
    }
}

fn damaged(path: &Path, source: impl Into<StoreError>) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        source: Box::new(source.into()),
    }
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        source,
    }
}

fn refuse(path: &Path, found: u64) -> Result<(), OpenError> {
    if found > FORMAT {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
        });
    }
    Ok(())
}

/// Looks at the format without writing to the file, as opening it for writing
/// does. A store that was not closed cannot be looked at so; it is repaired by
/// the open that follows and looked at then.
fn refuse_newer(path: &Path) -> Result<(), OpenError> {
    match redb::ReadOnlyDatabase::open(path) {
        Ok(db) => match migrate::format(&db) {
            Ok(found) => refuse(path, found),
            Err(error) => Err(damaged(path, error)),
        },
        Err(_) => Ok(()),
    }
}

fn open_database(path: &Path, cache: u64) -> Result<Database, OpenError> {
    let cache = usize::try_from(cache).unwrap_or(usize::MAX);
    let opened = redb::Builder::new().set_cache_size(cache).open(path);
    opened.map_err(|error| {
        if matches!(error, redb::DatabaseError::DatabaseAlreadyOpen) {
            let busy = io::ErrorKind::ResourceBusy;
            return io_error(path, io::Error::new(busy, "another process has it open"));
        }
        // redb reports a file that is no store as invalid data.
        if let redb::DatabaseError::Storage(redb::StorageError::Io(source)) = &error
            && source.kind() != io::ErrorKind::InvalidData
            && let Some(code) = source.raw_os_error()
        {
            return io_error(path, io::Error::from_raw_os_error(code));
        }
        damaged(path, error)
    })
}

/// Makes an empty store beside `path` and renames it into place, so that a
/// crash leaves either no store or a whole one.
fn create(path: &Path) -> Result<(), OpenError> {
    let beside = path.with_extension("redb.new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error(&beside, error));
        }
        _ => {}
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .map_err(|source| io_error(&beside, source))?;
    let db = redb::Builder::new()
        .create_file(file)
        .map_err(|e| damaged(&beside, e))?;
    migrate::initialise(&db, FORMAT).map_err(|e| damaged(&beside, e))?;
    drop(db);
    failpoint!("store.create.made").map_err(|source| io_error(&beside, source))?;
    fs::rename(&beside, path).map_err(|source| io_error(path, source))?;
    crashpoint!("store.create.renamed");
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| io_error(parent, source))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod crash;

#[cfg(test)]
mod plain;
