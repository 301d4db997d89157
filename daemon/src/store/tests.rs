use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;
use crate::task::{
    attempt::Ending,
    budget::Spend,
    event::What,
    id::{AttemptId, Incarnation, Revision, TaskId, Timestamp},
    moment::Moment,
    notice::Way,
    quota::Account,
    reason::{FailureReason, Outcome},
    spec::{Payload, TaskSpec},
    state::{State, StateKind, Task},
    testing,
};

const SUBMITTED: Entry<'_> = Entry {
    at: Timestamp(1),
    what: What::Submitted,
    why: "",
};

fn open(dir: &Path) -> Result<Store, OpenError> {
    Store::open(&dir.join("agentd.redb"), dir, 8 << 20)
}

fn insert(batch: &mut Batch, spec: TaskSpec) -> Task {
    let payload = Payload {
        prompt: "do it".to_owned(),
        command: vec![],
    };
    batch.insert(spec, &payload, [5; 32], &SUBMITTED).unwrap()
}

fn finished(outcome: Outcome) -> State {
    State::Finished(Ending {
        outcome,
        reason: None,
        message: String::new(),
        at: Timestamp(2),
    })
}

#[test]
fn what_lineages_spent_and_accounts_met_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let (one, two) = (testing::id(1), testing::id(2));
    let reader = store.reader().unwrap();
    assert_eq!(reader.spent(one).unwrap(), Spend::default());
    assert!(reader.accounts().unwrap().is_empty());
    assert_eq!(reader.account("team").unwrap(), None);
    let spend = Spend {
        cost: 5,
        attempts: 1,
        ..Spend::default()
    };
    let moment = Moment::of_wall(Timestamp(7));
    let account = Account {
        strikes: 1,
        struck_at: moment,
        until: Timestamp(9),
        since: moment,
        reason: FailureReason::UsageLimit,
        message: "later".to_owned(),
        attempt: AttemptId {
            task: one,
            number: 1,
        },
    };
    let mut batch = store.begin().unwrap();
    batch.spend(one, spend).unwrap();
    batch.spend(one, spend).unwrap();
    assert_eq!(batch.spent(one).unwrap(), spend.plus(spend));
    batch.set_account("team", Some(&account)).unwrap();
    assert!(batch.is_dirty());
    batch.commit().unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.spent(one).unwrap(), spend.plus(spend));
    assert_eq!(reader.spent(two).unwrap(), Spend::default());
    assert_eq!(reader.account("team").unwrap(), Some(account));
    let mut batch = store.begin().unwrap();
    batch.set_account("team", None).unwrap();
    batch.commit().unwrap();
    assert!(store.reader().unwrap().accounts().unwrap().is_empty());
}

#[test]
fn each_way_has_a_place_of_its_own_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let told = |way| store.reader().unwrap().told(way).unwrap();
    assert_eq!(Way::ALL.map(told), [None, None]);
    let set = |way, upto| {
        let mut batch = store.begin().unwrap();
        batch.set_told(way, upto).unwrap();
        let dirty = batch.is_dirty();
        batch.commit().unwrap();
        dirty
    };
    assert!(!set(Way::Command, None));
    assert!(set(Way::Command, Some(Revision(7))));
    assert!(!set(Way::Command, Some(Revision(7))));
    assert!(set(Way::Webhook, Some(Revision(9))));
    assert_eq!(Way::ALL.map(told), [Some(Revision(7)), Some(Revision(9))]);
    assert!(set(Way::Command, None));
    assert_eq!(Way::ALL.map(told), [None, Some(Revision(9))]);
    assert!(store.check().unwrap().is_empty());
}

#[test]
fn the_task_of_an_agent_that_ended_last_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let mut batch = store.begin().unwrap();
    let mut end = |agent: &str, at: Option<i64>| {
        let before = insert(&mut batch, testing::spec(agent));
        let Some(at) = at else { return };
        let mut task = before.clone();
        task.state = State::Finished(Ending {
            outcome: Outcome::Failed,
            reason: None,
            message: String::new(),
            at: Timestamp(at),
        });
        batch.put(Some(&before), &mut task, &SUBMITTED).unwrap();
    };
    // The third task outlives others of its agent.
    end("a", Some(20));
    end("b", Some(99));
    end("a", Some(50));
    for _ in 0..20 {
        end("a", Some(40));
    }
    for _ in 0..40 {
        end("a", None);
    }
    end("b", Some(60));
    batch.commit().unwrap();
    let reader = store.reader().unwrap();
    let last = |agent: &str| reader.last_ended(agent).unwrap().map(|task| task.id);
    assert_eq!(last("a"), Some(testing::id(3)));
    assert_eq!(last("b"), Some(testing::id(2)));
    assert_eq!(last("c"), None);
}

#[test]
fn a_store_of_before_gets_the_tables_that_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let mut batch = store.begin().unwrap();
    let task = insert(&mut batch, testing::spec("shell"));
    let again = rerun(&mut batch, task.id);
    batch.commit().unwrap();
    drop(store);
    let db = Database::open(dir.path().join("agentd.redb")).unwrap();
    let transaction = db.begin_write().unwrap();
    transaction.delete_table(tables::LINEAGES).unwrap();
    transaction.delete_table(tables::ACCOUNTS).unwrap();
    transaction.delete_table(tables::SCHEDULES).unwrap();
    transaction.delete_table(tables::SESSIONS).unwrap();
    transaction.delete_table(tables::KEY_SESSIONS).unwrap();
    transaction.delete_table(tables::RECENT_SESSIONS).unwrap();
    transaction.delete_table(tables::RERUNS).unwrap();
    transaction.commit().unwrap();
    drop(db);

    let store = open(dir.path()).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.task(task.id).unwrap().as_ref(), Some(&task));
    let listing = reader.sessions(&SessionFilter::default(), 9).unwrap();
    assert_eq!(listing, SessionListing::default());
    assert_eq!(reader.session("shell", "s").unwrap(), None);
    assert_eq!(reader.spent(task.id).unwrap(), Spend::default());
    assert!(reader.accounts().unwrap().is_empty());
    assert!(reader.schedules().unwrap().is_empty());
    assert_eq!(reader.reruns(task.id, task.id, 9).unwrap(), [again]);
    assert!(store.check().unwrap().is_empty());
}

fn rerun(batch: &mut Batch, first: TaskId) -> Task {
    let spec = TaskSpec {
        lineage: Some(first),
        rerun_of: Some(first),
        ..testing::spec("shell")
    };
    insert(batch, spec)
}

#[test]
fn the_newest_reruns_of_a_lineage_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let mut batch = store.begin().unwrap();
    let first = insert(&mut batch, testing::spec("shell")).id;
    let other = insert(&mut batch, testing::spec("shell")).id;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(rerun(&mut batch, first));
        rerun(&mut batch, other);
    }
    batch.commit().unwrap();
    let reader = store.reader().unwrap();
    let later = |after, most| reader.reruns(first, after, most).unwrap();
    assert_eq!(later(first, 9), made);
    assert_eq!(later(first, 2), made[1..]);
    assert_eq!(later(made[1].id, 9), made[2..]);
    assert!(later(made[2].id, 9).is_empty());
    assert!(store.check().unwrap().is_empty());
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let mut batch = store.begin().unwrap();
    assert_eq!(batch.next_incarnation().unwrap(), Incarnation(1));
    let mut spec = testing::spec("shell");
    spec.request_id = Some("r".to_owned());
    let task = insert(&mut batch, spec);
    batch.set_paused("shell", true).unwrap();
    batch.commit().unwrap();
    drop(store);

    let store = open(dir.path()).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.task(task.id).unwrap().as_ref(), Some(&task));
    assert_eq!(reader.payload(task.id).unwrap().unwrap().prompt, "do it");
    assert_eq!(reader.active().unwrap(), std::slice::from_ref(&task));
    assert_eq!(reader.paused().unwrap(), ["shell"]);
    assert_eq!(reader.revision().unwrap(), Revision(1));
    let batch = store.begin().unwrap();
    assert_eq!(batch.request("r").unwrap(), Some((task.id, [5; 32])));
    assert_eq!(batch.request("other").unwrap(), None);
}

#[test]
fn numbers_are_never_used_again_and_an_abort_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let mut batch = store.begin().unwrap();
    insert(&mut batch, testing::spec("a"));
    batch.abort().unwrap();
    for expected in 1..4 {
        let mut batch = store.begin().unwrap();
        assert_eq!(
            insert(&mut batch, testing::spec("a")).id,
            testing::id(expected)
        );
        batch.commit().unwrap();
    }
    assert_eq!(store.reader().unwrap().revision().unwrap(), Revision(3));
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let path = dir.path().join("agentd.redb");
    let db = Database::open(&path).unwrap();
    let write = db.begin_write().unwrap();
    write
        .open_table(tables::COUNTERS)
        .unwrap()
        .insert(tables::counter::FORMAT, FORMAT + 1)
        .unwrap();
    write.commit().unwrap();
    drop(db);
    let before = fs::read(&path).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found, .. } if found == FORMAT + 1));
    assert!(fs::read(&path).unwrap() == before, "the file was changed");
}

#[test]
fn a_foreign_or_empty_file_is_refused_and_left_alone() {
    for contents in [&b""[..], b"hello", &[0; 8192]] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agentd.redb");
        fs::write(&path, contents).unwrap();
        assert!(open(dir.path()).is_err());
        assert!(fs::read(&path).unwrap() == contents, "the file was changed");
    }
}

#[test]
fn the_store_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let mode = fs::metadata(dir.path().join("agentd.redb"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(store.size() > 0);
}

#[test]
fn two_at_once_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::Io { .. })));
}

#[test]
fn events_are_found_by_revision_and_by_task() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let mut batch = store.begin().unwrap();
    let first = insert(&mut batch, testing::spec("a"));
    let second = insert(&mut batch, testing::spec("a"));
    let mut after = first.clone();
    after.state = finished(Outcome::Cancelled);
    let entry = Entry {
        at: Timestamp(2),
        what: What::Finished,
        why: "cancelled by ann",
    };
    batch.put(Some(&first), &mut after, &entry).unwrap();
    batch.commit().unwrap();
    let reader = store.reader().unwrap();
    let all = reader.events(Revision(0), None, 10).unwrap();
    assert_eq!(
        all.iter().map(|e| e.revision.0).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    let of_first = reader.events(Revision(0), Some(first.id), 10).unwrap();
    assert_eq!(of_first.len(), 2);
    assert_eq!(of_first[1].why, "cancelled by ann");
    assert_eq!(of_first[1].state, StateKind::Cancelled);
    assert_eq!(
        reader
            .events(Revision(1), Some(second.id), 10)
            .unwrap()
            .len(),
        1
    );
    assert_eq!(reader.events(Revision(0), None, 2).unwrap().len(), 2);
}
