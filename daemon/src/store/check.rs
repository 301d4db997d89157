//! Whether the store agrees with itself, and mending its indexes.
//!
//! An index holds what the rows say in another order, so it can be made anew
//! from them. A row cannot: one that is damaged is named, and the person puts a
//! copy of the store in place.
//!
//! Not checked here is what redb itself guards: the pages of the file.

mod entries;

use std::collections::BTreeMap;

use redb::{
    Key, ReadTransaction, ReadableTable as _, ReadableTableMetadata as _, TableDefinition,
    TableHandle as _, WriteTransaction,
};

use self::entries::{Entries, INDEXES};
use super::{
    Store, StoreError,
    record::{self, RecordError},
    tables::{
        self, ACCOUNTS, ATTEMPTS, COUNTERS, EVENTS, LINEAGES, PAYLOADS, SCHEDULES, TASKS, counter,
    },
};
use crate::task::id::{AttemptId, TaskId};

/// Faults that are named; the rest is counted.
const NAMED: usize = 100;

/// Something that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub table: &'static str,
    /// What, for a person.
    pub what: String,
    /// It can be made right from what the rows say.
    pub mendable: bool,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    /// At most a hundred of them.
    pub named: Vec<Fault>,
    /// Others.
    pub more: u64,
    /// Rows that were looked at.
    pub rows: u64,
}

impl Faults {
    /// Nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    fn add(&mut self, table: &'static str, what: String, mendable: bool) {
        if self.named.len() < NAMED {
            self.named.push(Fault {
                table,
                what,
                mendable,
            });
        } else {
            self.more += 1;
        }
    }

    /// A row that cannot be made right.
    fn row(&mut self, table: &'static str, what: String) {
        self.add(table, what, false);
    }
}

impl Store {
    /// Looks at every row and every index.
    ///
    /// # Errors
    /// If the store cannot be read at all.
    pub fn check(&self) -> Result<Faults, StoreError> {
        let reader = self.reader()?;
        let mut faults = Faults::default();
        let from = &reader.transaction;
        let highest = rows(from, &mut faults)?;
        counters(from, highest, &mut faults)?;
        let mut compared = Compared {
            from,
            faults: &mut faults,
            seen: INDEXES.map(|index| (index, 0)).into(),
        };
        entries::of(from, &mut compared)?;
        compared.finish()?;
        Ok(faults)
    }

    /// Makes the indexes and counters anew from the rows, in one transaction.
    /// Rows that cannot be understood are in no index afterwards.
    ///
    /// # Errors
    /// If the store cannot be read or written; it is then as it was.
    pub fn mend(&self) -> Result<(), StoreError> {
        let reader = self.reader()?;
        let from = &reader.transaction;
        let highest = rows(from, &mut Faults::default())?;
        let mut batch = self.begin()?;
        let to = &batch.transaction;
        for table in to.list_tables()? {
            if INDEXES.contains(&table.name()) {
                to.delete_table(table)?;
            }
        }
        tables::make(to)?;
        entries::of(from, &mut Filled(to))?;
        batch.raise(highest.task, highest.revision);
        batch.commit()?;
        Ok(())
    }
}

/// The highest numbers that rows have.
#[derive(Debug, Clone, Copy, Default)]
struct Highest {
    task: u64,
    revision: u64,
}

/// Reads every row; what cannot be understood is a fault.
fn rows(from: &ReadTransaction, faults: &mut Faults) -> Result<Highest, StoreError> {
    let mut highest = tasks(from, faults)?;
    for row in from.open_table(ATTEMPTS)?.iter()? {
        let (key, row) = row?;
        let (task, number) = key.value();
        let decoded = TaskId::new(task)
            .ok_or(RecordError::Field("task number"))
            .and_then(|task| record::decode_attempt(AttemptId { task, number }, row.value()));
        told(faults, "attempts", &format!("{task}.{number}"), decoded);
    }
    for row in from.open_table(EVENTS)?.iter()? {
        let (revision, row) = row?;
        let revision = revision.value();
        highest.revision = highest.revision.max(revision);
        let decoded = record::decode_event(revision, row.value());
        told(faults, "events", &revision.to_string(), decoded);
    }
    for row in from.open_table(LINEAGES)?.iter()? {
        let (task, row) = row?;
        let decoded = record::decode_spend(row.value());
        told(faults, "lineages", &task.value().to_string(), decoded);
    }
    for row in from.open_table(ACCOUNTS)?.iter()? {
        let (name, row) = row?;
        let decoded = record::decode_account(row.value());
        told(faults, "accounts", name.value(), decoded);
    }
    for row in from.open_table(SCHEDULES)?.iter()? {
        let (name, row) = row?;
        let decoded = record::decode_schedule(row.value());
        told(faults, "schedules", name.value(), decoded);
    }
    for row in from.open_table(tables::SESSIONS)?.iter()? {
        let (key, row) = row?;
        let (agent, id) = key.value();
        let decoded = record::decode_session(agent, id, row.value());
        told(faults, "sessions", &format!("{agent} {id}"), decoded);
    }
    Ok(highest)
}

/// Tasks, and what each must have beside its row.
fn tasks(from: &ReadTransaction, faults: &mut Faults) -> Result<Highest, StoreError> {
    let mut highest = Highest::default();
    let payloads = from.open_table(PAYLOADS)?;
    let attempts = from.open_table(ATTEMPTS)?;
    for row in from.open_table(TASKS)?.iter()? {
        let (key, row) = row?;
        let number = key.value();
        highest.task = highest.task.max(number);
        let decoded = TaskId::new(number)
            .ok_or(RecordError::Field("task number"))
            .and_then(|id| record::decode_task(id, row.value()));
        let Some(task) = told(faults, "tasks", &number.to_string(), decoded) else {
            continue;
        };
        highest.revision = highest.revision.max(task.revision.0);
        match payloads.get(number)? {
            Some(row) => {
                let decoded = record::decode_payload(row.value());
                told(faults, "payloads", &number.to_string(), decoded);
            }
            None => faults.row("payloads", format!("task {number} has none")),
        }
        if task.attempts > 0 && attempts.get((number, task.attempts))?.is_none() {
            let what = format!("attempt {number}.{} is not there", task.attempts);
            faults.row("attempts", what);
        }
    }
    Ok(highest)
}

fn told<T>(
    faults: &mut Faults,
    table: &'static str,
    row: &str,
    decoded: Result<T, RecordError>,
) -> Option<T> {
    faults.rows += 1;
    decoded
        .inspect_err(|error| faults.row(table, format!("{row}: {error}")))
        .ok()
}

/// A number that a row has must never be given again.
fn counters(
    from: &ReadTransaction,
    highest: Highest,
    faults: &mut Faults,
) -> Result<(), StoreError> {
    let counters = from.open_table(COUNTERS)?;
    let get = |name| -> Result<u64, StoreError> {
        Ok(counters.get(name)?.map_or(0, |value| value.value()))
    };
    let next = get(counter::NEXT_TASK)?.max(1);
    if next <= highest.task {
        let what = format!("the next task would be {next}; {} is there", highest.task);
        faults.add("counters", what, true);
    }
    let revision = get(counter::REVISION)?;
    if revision < highest.revision {
        let what = format!(
            "the newest revision would be {revision}; {} is there",
            highest.revision
        );
        faults.add("counters", what, true);
    }
    Ok(())
}

/// Holds the indexes against the entries that the rows call for.
struct Compared<'a> {
    from: &'a ReadTransaction,
    faults: &'a mut Faults,
    /// Of each index, the entries that were called for and are there.
    seen: BTreeMap<&'static str, u64>,
}

impl Compared<'_> {
    /// Entries that no row calls for are those that were not seen: each is
    /// called for once.
    fn finish(self) -> Result<(), StoreError> {
        for table in self.from.list_tables()? {
            let Some((index, seen)) = self.seen.get_key_value(table.name()) else {
                continue;
            };
            let length = self.from.open_untyped_table(table)?.len()?;
            if length > *seen {
                let what = format!("{} too many", length - seen);
                self.faults.add(index, what, true);
            }
        }
        Ok(())
    }
}

impl Entries for Compared<'_> {
    fn entry<K: Key + 'static>(
        &mut self,
        index: TableDefinition<'static, K, ()>,
        entry: &K::SelfType<'_>,
    ) -> Result<(), StoreError> {
        let there = self.from.open_table(index)?.get(entry)?.is_some();
        if let Some((name, seen)) = self
            .seen
            .iter_mut()
            .find(|(name, _)| **name == index.name())
        {
            *seen += u64::from(there);
            if !there {
                self.faults.add(name, format!("lacks {entry:?}"), true);
            }
        }
        Ok(())
    }
}

/// Writes the entries that the rows call for.
struct Filled<'a>(&'a WriteTransaction);

impl Entries for Filled<'_> {
    fn entry<K: Key + 'static>(
        &mut self,
        index: TableDefinition<'static, K, ()>,
        entry: &K::SelfType<'_>,
    ) -> Result<(), StoreError> {
        self.0.open_table(index)?.insert(entry, ())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
