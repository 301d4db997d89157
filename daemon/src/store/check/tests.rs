use std::path::Path;

use super::*;
use crate::{
    store::{
        Entry,
        tables::{ACTIVE_KEYS, BY_REPO, BY_STATE, TASK_EVENTS},
    },
    task::{
        event::What,
        id::{Revision, Timestamp},
        spec::Payload,
        state::StateKind,
        testing,
    },
};

fn store(dir: &Path) -> Store {
    let store = Store::open(&dir.join("agentd.redb"), dir, 8 << 20).unwrap();
    let mut batch = store.begin().unwrap();
    for _ in 0..3 {
        let mut spec = testing::spec("shell");
        spec.repo = Some("/r".into());
        spec.issue = Some("7".to_owned());
        let payload = Payload {
            prompt: "do it".to_owned(),
            command: vec![],
        };
        let entry = Entry {
            at: Timestamp(1),
            what: What::Submitted,
            why: "",
        };
        batch.insert(spec, &payload, [5; 32], &entry).unwrap();
    }
    batch.commit().unwrap();
    store
}

/// Writes past the store's own code.
fn damage(store: &Store, act: impl FnOnce(&WriteTransaction)) {
    let batch = store.begin().unwrap();
    act(&batch.transaction);
    batch.transaction.commit().unwrap();
}

fn found(store: &Store) -> Vec<(&'static str, String, bool)> {
    let faults = store.check().unwrap();
    assert_eq!(faults.more, 0);
    let faults = faults.named.into_iter();
    faults
        .map(|fault| (fault.table, fault.what, fault.mendable))
        .collect()
}

#[test]
fn every_index_is_looked_at_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    assert_eq!(found(&store), []);
    let key = testing_key(&store);
    damage(&store, |to| {
        let mut by_state = to.open_table(BY_STATE).unwrap();
        // Lost, and one of a task that was never there.
        by_state.remove((StateKind::Queued as u8, 2)).unwrap();
        by_state.insert((StateKind::Queued as u8, 9), ()).unwrap();
        to.open_table(TASK_EVENTS).unwrap().remove((3, 3)).unwrap();
        to.open_table(BY_REPO).unwrap().remove(("/r", 1)).unwrap();
        let mut keys = to.open_table(ACTIVE_KEYS).unwrap();
        keys.insert((key.as_str(), 77), ()).unwrap();
        let mut counters = to.open_table(COUNTERS).unwrap();
        counters.insert(counter::NEXT_TASK, 2).unwrap();
        counters.insert(counter::REVISION, 1).unwrap();
    });
    let faults = found(&store);
    let tables: Vec<_> = faults.iter().map(|(table, _, _)| *table).collect();
    let expected = [
        "counters",
        "counters",
        "by_state",
        "by_repo",
        "task_events",
        "active_keys",
        "by_state",
    ];
    let (mut told, mut wanted) = (tables, expected.to_vec());
    told.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(told, wanted, "{faults:?}");
    assert!(faults.iter().all(|(_, _, mendable)| *mendable));
    let words: Vec<_> = faults.iter().map(|(_, what, _)| what.as_str()).collect();
    assert!(words.contains(&"the next task would be 2; 3 is there"));
    assert!(words.contains(&"lacks (3, 3)"), "{words:?}");
    assert!(words.contains(&"1 too many"));

    store.mend().unwrap();
    assert_eq!(found(&store), []);
    let reader = store.reader().unwrap();
    assert_eq!(reader.active().unwrap().len(), 3);
    assert_eq!(reader.revision().unwrap(), Revision(3));
    assert_eq!(store.begin().unwrap().next_task().get(), 4);
}

fn testing_key(store: &Store) -> String {
    let task = store.reader().unwrap().task(testing::id(1)).unwrap();
    task.unwrap().spec.key().unwrap().to_string()
}

#[test]
fn a_row_that_cannot_be_understood_is_named_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let broken: &[u8] = b"\xff\xff\xff";
    damage(&store, |to| {
        to.open_table(TASKS).unwrap().insert(2, broken).unwrap();
        to.open_table(PAYLOADS).unwrap().remove(3).unwrap();
        to.open_table(EVENTS).unwrap().insert(1, broken).unwrap();
    });
    store.mend().unwrap();
    let faults = found(&store);
    let tables: Vec<_> = faults.iter().map(|(table, _, _)| *table).collect();
    assert_eq!(tables, ["tasks", "payloads", "events"], "{faults:?}");
    assert!(faults.iter().all(|(_, _, mendable)| !*mendable));
    assert_eq!(faults[1].1, "task 3 has none");
    // What can be understood is found.
    let active = store.reader().unwrap().active().unwrap();
    let numbers: Vec<_> = active.iter().map(|task| task.id.get()).collect();
    assert_eq!(numbers, [1, 3]);
}

#[test]
fn many_faults_are_counted() {
    let mut faults = Faults::default();
    for row in 0..150 {
        faults.row("tasks", row.to_string());
    }
    assert_eq!((faults.named.len(), faults.more), (100, 50));
}
