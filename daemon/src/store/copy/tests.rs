use std::{fs, os::unix::fs::PermissionsExt as _};

use redb::{ReadableDatabase as _, ReadableTableMetadata as _};

use super::*;
use crate::{
    store::{Batch, Entry},
    task::{event::What, id::Timestamp, spec::Payload, testing},
};

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("agentd.redb"), dir, 8 << 20).unwrap()
}

fn submit(batch: &mut Batch) {
    let entry = Entry {
        at: Timestamp(1),
        what: What::Submitted,
        why: "",
    };
    let payload = Payload {
        prompt: "do it".to_owned(),
        command: vec![],
    };
    let spec = testing::spec("shell");
    batch.insert(spec, &payload, [5; 32], &entry).unwrap();
}

fn filled(dir: &Path, tasks: u64) -> Store {
    let store = open(dir);
    let mut batch = store.begin().unwrap();
    batch.next_incarnation().unwrap();
    batch.set_paused("claude", true).unwrap();
    (0..tasks).for_each(|_| submit(&mut batch));
    batch.commit().unwrap();
    store
}

/// Every table that a file has, with its rows as they are in it.
fn contents(file: &Path) -> Vec<(String, Vec<String>)> {
    struct Rows<'a>(&'a ReadTransaction, Vec<(String, Vec<String>)>);
    impl Each for Rows<'_> {
        fn table<K: Key + 'static, V: Value + 'static>(
            &mut self,
            table: TableDefinition<'static, K, V>,
        ) -> Result<(), StoreError> {
            let rows = self.0.open_table(table)?;
            let rows = rows.iter()?.map(|row| {
                let (key, value) = row.unwrap();
                format!("{:?} {:?}", key.value(), value.value())
            });
            self.1.push((table.name().to_owned(), rows.collect()));
            Ok(())
        }
    }
    let db = redb::ReadOnlyDatabase::open(file).unwrap();
    let read = db.begin_read().unwrap();
    let mut rows = Rows(&read, Vec::new());
    tables::each(&mut rows).unwrap();
    let mut there: Vec<_> = read.list_tables().unwrap().collect();
    there.sort_by_key(|table| table.name().to_owned());
    let mut told: Vec<_> = rows.1.iter().map(|(name, _)| name.as_str()).collect();
    told.sort_unstable();
    let names: Vec<_> = there.iter().map(|table| table.name()).collect();
    assert_eq!(names, told, "a table is in the file and not in the list");
    for table in there {
        let name = table.name().to_owned();
        let length = read.open_untyped_table(table).unwrap().len().unwrap();
        let (_, rows) = rows.1.iter().find(|(told, _)| *told == name).unwrap();
        assert_eq!(length, rows.len() as u64, "{name}");
    }
    rows.1
}

#[test]
fn a_copy_is_the_store_at_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 3000);
    let to = dir.path().join("copy");
    let mut told = Vec::new();
    // What is committed while it is copied is not in it.
    let copied = store.copy(&to, |progress| {
        if told.is_empty() {
            let mut batch = store.begin().unwrap();
            submit(&mut batch);
            batch.commit().unwrap();
        }
        told.push(progress);
        true
    });
    let copied = copied.unwrap();
    assert_eq!(copied.revision, Revision(3000));
    assert_eq!(copied.bytes, fs::metadata(&to).unwrap().len());
    assert_ne!(copied.commits, store.commits());
    assert_eq!(
        fs::metadata(&to).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(told.len() > 10 && told.is_sorted_by_key(|progress| progress.done));
    assert!(told.iter().all(|progress| progress.done <= progress.total));
    let of_then = contents(&to);
    let tasks = of_then.iter().find(|(name, _)| name == "tasks").unwrap();
    assert_eq!(tasks.1.len(), 3000);

    let again = dir.path().join("again");
    let copied = store.copy(&again, |_| true).unwrap();
    assert_eq!((copied.commits, copied.revision.0), (store.commits(), 3001));
    drop(store);
    assert_eq!(contents(&again), contents(&dir.path().join("agentd.redb")));

    // It is a store: it opens, and goes on.
    let restored = dir.path().join("restored");
    fs::create_dir(&restored).unwrap();
    fs::rename(&to, restored.join("agentd.redb")).unwrap();
    let store = open(&restored);
    assert!(store.check().unwrap().is_empty());
    let mut batch = store.begin().unwrap();
    assert_eq!(batch.next_task().get(), 3001);
    assert_eq!(batch.next_incarnation().unwrap().0, 2);
    batch.commit().unwrap();
}

#[test]
fn a_copy_that_fails_leaves_nothing_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 3000);
    let to = dir.path().join("copy");
    let given_up = store.copy(&to, |progress| progress.done == 0);
    assert!(matches!(given_up, Err(CopyError::GivenUp)), "{given_up:?}");
    assert!(!to.exists());
    fs::write(&to, "mine").unwrap();
    assert!(matches!(store.copy(&to, |_| true), Err(CopyError::Io(_))));
    assert_eq!(fs::read(&to).unwrap(), b"mine");
}

#[test]
fn a_table_that_is_not_known_is_not_left_out() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 1));
    let db = Database::open(dir.path().join("agentd.redb")).unwrap();
    let transaction = db.begin_write().unwrap();
    let later = TableDefinition::<u64, u64>::new("later");
    transaction.open_table(later).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    drop(db);
    let to = dir.path().join("copy");
    let refused = open(dir.path()).copy(&to, |_| true).unwrap_err();
    assert!(refused.to_string().contains("\"later\""), "{refused}");
    assert!(!to.exists());
}
