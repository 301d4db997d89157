//! The format's version: written into a new store, checked at each start,
//! raised step by step.

use redb::{Database, ReadableDatabase, ReadableTable as _, TableHandle as _, WriteTransaction};

use super::{
    FORMAT, StoreError, record,
    tables::{self, COUNTERS, RERUNS, TASKS, counter},
};
use crate::task::id::TaskId;

/// Raises a store from one format to the next, in one transaction.
type Step = fn(&WriteTransaction) -> Result<(), StoreError>;

/// `STEPS[n]` leads from format `n + 1` to `n + 2`. Format 1 is the first.
const STEPS: &[Step] = &[];

/// Makes every table of an empty store, and says its format.
pub(super) fn initialise(db: &Database, format: u64) -> Result<(), StoreError> {
    let mut transaction = db.begin_write()?;
    transaction.set_quick_repair(true);
    tables::make(&transaction)?;
    transaction
        .open_table(COUNTERS)?
        .insert(counter::FORMAT, format)?;
    Ok(transaction.commit()?)
}

/// Makes the tables that stores of this format did not have from the beginning,
/// where they are missing: a table more changes nothing for those who do not
/// know it. An index among them is filled from the rows.
pub(super) fn complete(db: &Database) -> Result<(), StoreError> {
    let transaction = db.begin_read()?;
    let there = transaction.list_tables()?;
    let there: Vec<String> = there.map(|table| table.name().to_owned()).collect();
    if tables::names().all(|name| there.iter().any(|there| there == name)) {
        return Ok(());
    }
    let mut transaction = db.begin_write()?;
    transaction.set_quick_repair(true);
    tables::make(&transaction)?;
    if !there.iter().any(|there| there == RERUNS.name()) {
        fill_reruns(&transaction)?;
    }
    Ok(transaction.commit()?)
}

fn fill_reruns(transaction: &WriteTransaction) -> Result<(), StoreError> {
    let mut reruns = transaction.open_table(RERUNS)?;
    for row in transaction.open_table(TASKS)?.iter()? {
        let (key, row) = row?;
        let id = TaskId::new(key.value());
        // What cannot be understood is in no index; a check names it.
        let task = id.map(|id| record::decode_task(id, row.value()));
        if let Some(Ok(task)) = task
            && let Some(first) = task.spec.lineage
        {
            reruns.insert((first.get(), key.value()), ())?;
        }
    }
    Ok(())
}

/// The format of a store; 0 if it does not say, which no store of agentd does.
pub(super) fn format(db: &impl ReadableDatabase) -> Result<u64, StoreError> {
    let transaction = db.begin_read()?;
    let counters = transaction.open_table(COUNTERS)?;
    let format = counters.get(counter::FORMAT)?.map(|value| value.value());
    format.filter(|format| *format > 0).ok_or_else(|| {
        redb::StorageError::Corrupted("it does not name its format".to_owned()).into()
    })
}

/// Brings a store from format `from` to [`FORMAT`].
pub(super) fn migrate(db: &Database, from: u64) -> Result<(), StoreError> {
    run(db, from, FORMAT, STEPS)
}

pub(super) fn run(db: &Database, from: u64, to: u64, steps: &[Step]) -> Result<(), StoreError> {
    let first = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
    let mut transaction = db.begin_write()?;
    transaction.set_quick_repair(true);
    for step in steps.get(first..).unwrap_or_default() {
        step(&transaction)?;
    }
    transaction
        .open_table(COUNTERS)?
        .insert(counter::FORMAT, to)?;
    failpoint!("store.migrate.before").map_err(redb::StorageError::from)?;
    transaction.commit()?;
    crashpoint!("store.migrate.after");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tables::PAUSED;

    #[test]
    fn steps_run_from_the_stores_format_on_and_all_at_once() {
        fn mark(transaction: &WriteTransaction, name: &str) -> Result<(), StoreError> {
            transaction.open_table(PAUSED)?.insert(name, ())?;
            Ok(())
        }
        let first: Step = |t| mark(t, "first");
        let second: Step = |t| mark(t, "second");
        let broken: Step = |_| Err(redb::StorageError::Corrupted("no".to_owned()).into());
        let paused = |db: &Database| -> Vec<String> {
            let read = db.begin_read().unwrap();
            let table = read.open_table(PAUSED).unwrap();
            let names = table.iter().unwrap();
            names.map(|row| row.unwrap().0.value().to_owned()).collect()
        };

        let dir = tempfile::tempdir().unwrap();
        let db = Database::create(dir.path().join("x")).unwrap();
        initialise(&db, 2).unwrap();
        assert!(run(&db, 2, 4, &[first, second, broken]).is_err());
        assert_eq!((format(&db).unwrap(), paused(&db).len()), (2, 0));
        run(&db, 2, 3, &[first, second]).unwrap();
        assert_eq!(format(&db).unwrap(), 3);
        assert_eq!(paused(&db), ["second"]);
    }
}
