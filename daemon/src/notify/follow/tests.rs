use super::*;
use crate::{
    store::{Entry, Store},
    task::{attempt::Ending, id::Timestamp, reason::Outcome, spec::Payload, state::State, testing},
};

/// A store in which tasks have ended in these ways, each by its second event.
fn ended(outcomes: &[Outcome]) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store"), dir.path(), 8 << 20).unwrap();
    let mut batch = store.begin().unwrap();
    for outcome in outcomes {
        let entry = |what| Entry {
            at: Timestamp(1),
            what,
            why: "",
        };
        let spec = testing::spec("shell");
        let before = batch
            .insert(spec, &Payload::default(), [0; 32], &entry(What::Submitted))
            .unwrap();
        let mut task = before.clone();
        task.state = State::Finished(Ending {
            outcome: *outcome,
            reason: None,
            message: String::new(),
            at: Timestamp(2),
        });
        batch
            .put(Some(&before), &mut task, &entry(What::Finished))
            .unwrap();
        let ended = task.clone();
        batch
            .put(Some(&ended), &mut task, &entry(What::WorkspaceLeft))
            .unwrap();
    }
    batch.commit().unwrap();
    (dir, store)
}

/// The task of the next notice, or how far nothing was found.
fn found(store: &Store, from: u64, wanted: impl Fn(StateKind) -> bool) -> Result<u64, (u64, bool)> {
    let reader = store.reader().unwrap();
    match look(&reader, &wanted, Revision(from), "here").unwrap() {
        Found::End(notice) => {
            let end = reader.events(Revision(notice.event - 1), None, 1).unwrap();
            assert_eq!((end[0].what, end[0].task), (What::Finished, notice.task));
            Ok(notice.id)
        }
        Found::None { upto, more } => Err((upto.0, more)),
    }
}

#[test]
fn each_end_is_found_once_and_in_order() {
    let (_dir, store) = ended(&[Outcome::Failed, Outcome::Succeeded, Outcome::Failed]);
    let all = |_| true;
    assert_eq!(found(&store, 0, all), Ok(1));
    assert_eq!(found(&store, 2, all), Ok(2));
    assert_eq!(found(&store, 5, all), Ok(3));
    assert_eq!(found(&store, 8, all), Err((9, false)));
    let failed = |kind| kind == StateKind::Failed;
    assert_eq!(found(&store, 2, failed), Ok(3));
    // Above all there is; and of an empty store.
    assert_eq!(found(&store, 99, all), Err((99, false)));
    let (_dir, empty) = ended(&[]);
    assert_eq!(found(&empty, 0, all), Err((0, false)));
}

#[test]
fn one_look_reads_so_much_and_no_more() {
    let (_dir, store) = ended(&vec![Outcome::Succeeded; 2000]);
    let none = |_| false;
    assert_eq!(found(&store, 0, none), Err((LOOK as u64, true)));
    assert_eq!(found(&store, LOOK as u64, none), Err((6000, false)));
}
