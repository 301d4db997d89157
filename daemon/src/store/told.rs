//! Up to which event people were told of tasks that have ended, and which event
//! that is of a task.

use redb::ReadableTable as _;

use super::{
    Batch, Reader, StoreError, record,
    tables::{COUNTERS, EVENTS, TASK_EVENTS, counter},
};
use crate::task::{
    event::What,
    id::{Revision, TaskId},
    notice::Way,
};

impl Batch {
    /// The event that has ended a task; `None`: it has not ended, or is not there.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn end_of(&self, id: TaskId) -> Result<Option<Revision>, StoreError> {
        let of_task = self.transaction.open_table(TASK_EVENTS)?;
        let events = self.transaction.open_table(EVENTS)?;
        let all = (id.get(), 0)..=(id.get(), u64::MAX);
        // It is among the last: what an attempt left is found out after it.
        for entry in of_task.range(all)?.rev() {
            let revision = entry?.0.value().1;
            if let Some(row) = events.get(revision)?
                && record::decode_event(revision, row.value())?.what == What::Finished
            {
                return Ok(Some(Revision(revision)));
            }
        }
        Ok(None)
    }

    /// As [`Reader::told`], this batch included.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn told(&self, way: Way) -> Result<Option<Revision>, StoreError> {
        let counters = self.transaction.open_table(COUNTERS)?;
        let value = counters.get(counter::told(way))?;
        Ok(value.map(|value| Revision(value.value())))
    }

    /// Remembers up to which event word was sent by a way; `None`: nobody is to
    /// be told by it.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn set_told(&mut self, way: Way, upto: Option<Revision>) -> Result<(), StoreError> {
        if self.told(way)? == upto {
            return Ok(());
        }
        let mut counters = self.transaction.open_table(COUNTERS)?;
        let name = counter::told(way);
        match upto {
            Some(Revision(upto)) => counters.insert(name, upto)?,
            None => counters.remove(name)?,
        };
        self.dirty = true;
        Ok(())
    }
}

impl Reader {
    /// Up to which event word was sent by a way; `None`: nobody was to be told
    /// by it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn told(&self, way: Way) -> Result<Option<Revision>, StoreError> {
        let counters = self.transaction.open_table(COUNTERS)?;
        let value = counters.get(counter::told(way))?;
        Ok(value.map(|value| Revision(value.value())))
    }
}
