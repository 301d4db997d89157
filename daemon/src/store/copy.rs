//! A copy of the store, made while it is in use.
//!
//! A file that is being written to cannot be copied byte by byte. So a snapshot
//! of it is copied, row by row, into a new file. It holds what was committed at
//! one moment: rows, indexes, counters and the format, all of which are tables.
//!
//! As long as it takes, pages that the snapshot can see are not used again: the
//! store grows by what is written meanwhile.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use redb::{
    Database, Key, ReadTransaction, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition, TableHandle as _, Value, WriteTransaction,
};

use super::{
    Store, StoreError,
    tables::{self, Each},
};
use crate::task::id::Revision;

/// Cache of a copy that is being written, bytes: rows come in their order.
const CACHE: usize = 8 * 1024 * 1024;
/// Rows between two words about it.
const ROWS: u64 = 1024;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The newest revision in the copy.
    pub revision: Revision,
    /// The store's [`Store::commits`] at that time, or somewhat before.
    pub commits: u64,
    /// The size of the copy, bytes.
    pub bytes: u64,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Rows that are copied.
    pub done: u64,
    /// All rows of the snapshot.
    pub total: u64,
}

/// No copy was made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The store cannot be read, or the copy not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The copy's file cannot be made or synced.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A newer agentd of the same format added a table.
    #[error("the store has a table {0:?} that this agentd does not know")]
    UnknownTable(String),
    /// Whoever asked does not want it any more.
    #[error("it was given up")]
    GivenUp,
}

impl Store {
    /// Copies what is committed now into a new file that only its owner may
    /// read. `watch` is told how far it is and says whether to go on. The copy
    /// is on disk when this returns; if it fails, there is none.
    ///
    /// # Errors
    /// If `to` is there already or cannot be written, the store cannot be read,
    /// or `watch` gave up.
    pub fn copy(
        &self,
        to: &Path,
        watch: impl FnMut(Progress) -> bool,
    ) -> Result<Copied, CopyError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)?;
        let copied = self.copy_into(file, to, watch);
        if copied.is_err() {
            // Why there is no copy says more than why a file stays.
            fs::remove_file(to).ok();
        }
        copied
    }

    fn copy_into(
        &self,
        file: File,
        to: &Path,
        watch: impl FnMut(Progress) -> bool,
    ) -> Result<Copied, CopyError> {
        // In this order: a commit in between makes the copy newer than its
        // count says, which has it made once more, never once less.
        let commits = self.commits();
        let reader = self.reader()?;
        let revision = reader.revision()?;
        let from = &reader.transaction;
        let rows = rows(from)?;
        let db = redb::Builder::new()
            .set_cache_size(CACHE)
            .create_file(file)
            .map_err(StoreError::from)?;
        fill(&db, from, rows, watch)?;
        // Closed, so that whoever opens it finds nothing to be repaired.
        drop(db);
        failpoint!("store.copy.made")?;
        let file = File::open(to)?;
        file.sync_all()?;
        Ok(Copied {
            revision,
            commits,
            bytes: file.metadata()?.len(),
        })
    }
}

/// All rows. A table that would not be copied would be lost.
fn rows(from: &ReadTransaction) -> Result<u64, CopyError> {
    let mut rows = 0;
    for table in from.list_tables().map_err(StoreError::from)? {
        if tables::names().all(|name| name != table.name()) {
            return Err(CopyError::UnknownTable(table.name().to_owned()));
        }
        let table = from.open_untyped_table(table).map_err(StoreError::from)?;
        rows += table.len().map_err(StoreError::from)?;
    }
    Ok(rows)
}

fn fill(
    db: &Database,
    from: &ReadTransaction,
    total: u64,
    watch: impl FnMut(Progress) -> bool,
) -> Result<(), CopyError> {
    let mut to = db.begin_write().map_err(StoreError::from)?;
    to.set_quick_repair(true);
    let progress = Progress { done: 0, total };
    let mut filling = Fill {
        from,
        to: &to,
        progress,
        watch,
        given_up: false,
    };
    tables::each(&mut filling)?;
    if filling.given_up {
        return Err(CopyError::GivenUp);
    }
    to.commit().map_err(StoreError::from)?;
    Ok(())
}

struct Fill<'a, W> {
    from: &'a ReadTransaction,
    to: &'a WriteTransaction,
    progress: Progress,
    watch: W,
    given_up: bool,
}

impl<W: FnMut(Progress) -> bool> Each for Fill<'_, W> {
    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), StoreError> {
        let from = self.from.open_table(table)?;
        let mut to = self.to.open_table(table)?;
        for row in from.iter()? {
            if self.progress.done.is_multiple_of(ROWS) {
                self.given_up |= !(self.watch)(self.progress);
            }
            if self.given_up {
                break;
            }
            let (key, value) = row?;
            to.insert(key.value(), value.value())?;
            self.progress.done += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
