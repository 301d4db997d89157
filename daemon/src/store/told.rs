//! Up to which event people were told of tasks that have ended.

use redb::ReadableTable as _;

use super::{
    Batch, Reader, StoreError,
    tables::{COUNTERS, counter},
};
use crate::task::{id::Revision, notice::Way};

impl Batch {
    /// Remembers up to which event word was sent by a way; `None`: nobody is to
    /// be told by it.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn set_told(&mut self, way: Way, upto: Option<Revision>) -> Result<(), StoreError> {
        let mut counters = self.transaction.open_table(COUNTERS)?;
        let name = counter::told(way);
        let before = counters.get(name)?.map(|value| Revision(value.value()));
        if before == upto {
            return Ok(());
        }
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
