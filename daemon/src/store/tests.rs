use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use proptest::prelude::*;

use super::*;
use crate::task::{
    attempt::Ending,
    event::What,
    id::{Incarnation, Revision, TaskId, Timestamp},
    reason::Outcome,
    spec::{Payload, TaskSpec},
    state::{Hold, State, StateKind, Task},
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

#[derive(Debug, Clone)]
enum Step {
    Insert(u8, u8, Option<u8>),
    Set(u8, u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..3, 0u8..3, prop::option::of(0u8..3)).prop_map(|(a, r, i)| Step::Insert(a, r, i)),
        6 => (any::<u8>(), 0u8..9).prop_map(|(n, s)| Step::Set(n, s)),
        1 => Just(Step::Reopen),
    ]
}

fn state(number: u8) -> State {
    match number {
        0 => State::Queued(Hold::None),
        1 => State::Starting,
        2 => State::Running,
        3 => State::Stopping {
            reason: crate::task::state::StopReason::Cancel,
            forced: false,
        },
        4 => finished(Outcome::Succeeded),
        5 => finished(Outcome::Failed),
        6 => finished(Outcome::Cancelled),
        7 => finished(Outcome::Interrupted),
        _ => finished(Outcome::Aborted),
    }
}

fn filters() -> Vec<Filter> {
    let mut all = vec![Filter::default()];
    for agent in [None, Some("a1".to_owned())] {
        for repo in [None, Some("/r1".to_owned())] {
            for issue in [None, Some("2".to_owned())] {
                for states in [
                    vec![],
                    vec![
                        StateKind::Failed,
                        StateKind::Interrupted,
                        StateKind::Aborted,
                    ],
                    StateKind::ACTIVE.to_vec(),
                ] {
                    all.push(Filter {
                        states,
                        agent: agent.clone(),
                        repo: repo.clone(),
                        issue: issue.clone(),
                        ..Filter::default()
                    });
                }
            }
        }
    }
    all
}

fn expected(model: &BTreeMap<TaskId, Task>, filter: &Filter) -> Vec<TaskId> {
    let text = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
    model
        .values()
        .rev()
        .filter(|t| filter.states.is_empty() || filter.states.contains(&t.state.kind()))
        .filter(|t| filter.agent.as_ref().is_none_or(|a| *a == t.spec.agent))
        .filter(|t| filter.repo.is_none() || filter.repo == text(&t.spec.repo))
        .filter(|t| filter.issue.is_none() || filter.issue == t.spec.issue)
        .map(|t| t.id)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The real store against a plain map: rows, every index, key heads.
    #[test]
    fn agrees_with_a_plain_map(steps in prop::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path()).unwrap();
        let mut model: BTreeMap<TaskId, Task> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Insert(agent, repo, issue) => {
                    let mut spec = testing::spec(&format!("a{agent}"));
                    spec.repo = Some(format!("/r{repo}").into());
                    spec.issue = issue.map(|i| i.to_string());
                    let mut batch = store.begin().unwrap();
                    let task = insert(&mut batch, spec);
                    batch.commit().unwrap();
                    model.insert(task.id, task);
                }
                Step::Set(number, to) if !model.is_empty() => {
                    let id = *model.keys().nth(usize::from(number) % model.len()).unwrap();
                    let before = model[&id].clone();
                    if before.state.is_active() {
                        let mut after = before.clone();
                        after.state = state(to);
                        let mut batch = store.begin().unwrap();
                        batch.put(Some(&before), &mut after, &SUBMITTED).unwrap();
                        batch.commit().unwrap();
                        model.insert(id, after);
                    }
                }
                Step::Set(..) => {}
                Step::Reopen => {
                    drop(store);
                    store = open(dir.path()).unwrap();
                }
            }
        }
        let reader = store.reader().unwrap();
        for filter in filters() {
            let all = expected(&model, &filter);
            let page = reader.list(&filter, None, 3).unwrap();
            let ids: Vec<_> = page.tasks.iter().map(|t| t.id).collect();
            prop_assert_eq!(&ids[..], &all[..all.len().min(3)]);
            prop_assert_eq!(page.more, all.len().saturating_sub(3) as u64);
            let rest = reader.list(&filter, ids.last().copied(), 100).unwrap();
            if !ids.is_empty() {
                let rest: Vec<_> = rest.tasks.iter().map(|t| t.id).collect();
                prop_assert_eq!(&rest[..], &all[ids.len()..]);
            }
        }
        let active: Vec<_> = model.values().filter(|t| t.state.is_active()).cloned().collect();
        prop_assert_eq!(reader.active().unwrap(), active.clone());
        for task in model.values() {
            if let Some(key) = task.spec.key() {
                let head = active.iter().find(|t| t.spec.key().as_ref() == Some(&key));
                prop_assert_eq!(reader.key_head(&key).unwrap(), head.map(|t| t.id));
            }
        }
    }
}
