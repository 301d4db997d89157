//! The store under test, and what is compared.

use std::collections::{BTreeMap, BTreeSet};

use proptest_state_machine::StateMachineTest;

use super::{Act, End, PRUNED_AT, Plain, Step, active, change, digest, one_of, prompt, spec};
use crate::{
    store::{Batch, COUNT_BOUND, Entry, SessionFilter, Store},
    task::{
        event::What,
        id::{AttemptId, Incarnation, Revision, TaskId, Timestamp},
        spec::Payload,
        state::Task,
    },
};

/// The store, and the tasks as the dispatcher holds them.
pub(super) struct Real {
    store: Option<Store>,
    tasks: BTreeMap<TaskId, Task>,
    dir: tempfile::TempDir,
}

impl Real {
    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is closed to be opened only")
    }

    fn batch(&mut self, acts: &[Act], end: End) {
        let before = self.tasks.clone();
        let mut batch = self.store().begin().unwrap();
        for act in acts {
            self.act(&mut batch, act);
        }
        match end {
            End::Commit => {
                let revision = batch.revision();
                assert_eq!(batch.commit().unwrap(), revision);
                return;
            }
            End::Abort => batch.abort().unwrap(),
            End::Drop => drop(batch),
        }
        self.tasks = before;
    }

    fn act(&mut self, batch: &mut Batch, act: &Act) {
        match act {
            Act::Submit { .. } => {
                let id = batch.next_task();
                let spec = spec(act, id).unwrap();
                if let Some(request) = &spec.request_id
                    && batch.request(request).unwrap().is_some()
                {
                    return;
                }
                let payload = Payload {
                    prompt: prompt(id),
                    command: vec![],
                };
                let entry = entry(batch, What::Submitted, "new");
                let task = batch.insert(spec, &payload, digest(id), &entry).unwrap();
                self.tasks.insert(id, task);
            }
            Act::Happen { to, what } => {
                let Some(before) = active(&self.tasks, to) else {
                    return;
                };
                let Some(change) = change(&before, *what) else {
                    return;
                };
                let mut next = change.next;
                let entry = entry(batch, change.what, &change.why);
                batch.put(Some(&before), &mut next, &entry).unwrap();
                // What is written is seen before it is committed.
                let mut row = batch.task(next.id).unwrap().unwrap();
                row.attempt.clone_from(&next.attempt);
                assert_eq!(row, next);
                self.tasks.insert(next.id, next);
            }
            Act::Pause(agent, paused) => batch.set_paused(&format!("a{agent}"), *paused).unwrap(),
            Act::Incarnation => drop(batch.next_incarnation().unwrap()),
            Act::Remove(which) => {
                let Some(id) = one_of(&self.tasks, which) else {
                    return;
                };
                let goes = !self.tasks[&id].state.is_active();
                assert_eq!(batch.remove(id).unwrap(), goes);
                if goes {
                    self.tasks.remove(&id);
                    assert!(batch.task(id).unwrap().is_none());
                    assert!(!batch.remove(id).unwrap(), "it is gone");
                }
            }
            Act::PruneTranscripts(which) => {
                let Some(task) = one_of(&self.tasks, which).and_then(|id| self.tasks.get_mut(&id))
                else {
                    return;
                };
                let goes = !task.state.is_active();
                for number in 1..=task.attempts {
                    let id = AttemptId {
                        task: task.id,
                        number,
                    };
                    assert_eq!(batch.prune_transcript(id, PRUNED_AT).unwrap(), goes);
                }
                if let Some(attempt) = task.attempt.as_mut().filter(|_| goes) {
                    attempt.pruned_at = Some(PRUNED_AT);
                }
            }
        }
    }
}

/// What the journal says of the next change, whose revision is its time.
fn entry<'a>(batch: &Batch, what: What, why: &'a str) -> Entry<'a> {
    let at = Timestamp(batch.revision().0.cast_signed() + 1);
    Entry { at, what, why }
}

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(&dir.path().join("agentd.redb"), dir.path(), 8 << 20).unwrap()
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Plain;

    fn init_test(_: &Plain) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            store: Some(open(&dir)),
            tasks: BTreeMap::new(),
            dir,
        }
    }

    fn apply(mut real: Self, plain: &Plain, step: Step) -> Self {
        match step {
            Step::Batch(acts, end) => real.batch(&acts, end),
            Step::Reopen => {
                drop(real.store.take());
                real.store = Some(open(&real.dir));
                let active = real.store().reader().unwrap().active().unwrap();
                real.tasks.retain(|_, task| !task.state.is_active());
                real.tasks
                    .extend(active.into_iter().map(|task| (task.id, task)));
            }
            Step::List {
                filter,
                before,
                limit,
            } => {
                let newest = usize::try_from(plain.made).unwrap();
                let before = before.and_then(|i| TaskId::new(i.index(newest + 2) as u64));
                let mut all = plain.list(&filter);
                all.retain(|task| before.is_none_or(|before| task.id < before));
                let behind = all.len().saturating_sub(limit) as u64;
                let listing = real.store().reader().unwrap();
                let listing = listing.list(&filter, before, limit).unwrap();
                assert!(listing.tasks.iter().eq(all.into_iter().take(limit)));
                assert_eq!(listing.more, behind.min(COUNT_BOUND));
            }
            Step::Events { after, of, limit } => {
                let changes = usize::try_from(plain.revision).unwrap();
                let after = Revision(after.index(changes + 2) as u64);
                let made = usize::try_from(plain.made).unwrap();
                let of = of.and_then(|i| TaskId::new(i.index(made + 2) as u64));
                let entries = plain.journal.iter();
                let entries = entries
                    .filter(|entry| entry.revision > after)
                    .filter(|entry| of.is_none_or(|task| entry.task == task))
                    .take(limit);
                let found = real.store().reader().unwrap();
                let found = found.events(after, of, limit).unwrap();
                assert!(found.iter().eq(entries));
            }
        }
        real
    }

    fn check_invariants(real: &Self, plain: &Plain) {
        assert_eq!(real.tasks, plain.tasks);
        assert_eq!(real.store().check().unwrap().named, []);
        let reader = real.store().reader().unwrap();
        for (id, task) in &plain.tasks {
            assert_eq!(reader.task(*id).unwrap().as_ref(), Some(task));
            assert_eq!(reader.payload(*id).unwrap().unwrap().prompt, prompt(*id));
            let attempts = reader.attempts(*id).unwrap();
            let expected = plain.attempts.values().filter(|a| a.id.task == *id);
            assert!(attempts.iter().eq(expected));
        }
        for id in (1..=plain.made).filter_map(TaskId::new) {
            if !plain.tasks.contains_key(&id) {
                assert!(reader.task(id).unwrap().is_none());
                assert!(reader.payload(id).unwrap().is_none());
                assert!(reader.attempts(id).unwrap().is_empty());
            }
        }
        let active: Vec<_> = plain
            .tasks
            .values()
            .filter(|t| t.state.is_active())
            .cloned()
            .collect();
        assert_eq!(reader.active().unwrap(), active);
        for key in plain.tasks.values().filter_map(|task| task.spec.key()) {
            let head = active.iter().find(|t| t.spec.key().as_ref() == Some(&key));
            assert_eq!(reader.key_head(&key).unwrap(), head.map(|t| t.id));
        }
        let paused = reader.paused().unwrap();
        assert!(paused.iter().eq(&plain.paused));
        assert_eq!(reader.revision().unwrap().0, plain.revision);
        let lengths = (plain.tasks.len() as u64, plain.journal.len() as u64);
        assert_eq!(reader.lengths().unwrap(), lengths);
        assert_eq!(reader.next_task().unwrap(), plain.next_task());
        assert!(reader.task(plain.next_task()).unwrap().is_none());
        for (session, _) in plain.sessions.values() {
            let found = reader.session(&session.agent, &session.id).unwrap();
            assert_eq!(found.as_ref(), Some(session));
            let called = reader.sessions_called(&session.id).unwrap();
            let all = plain.sessions.values().map(|(other, _)| other);
            assert!(called.iter().eq(all.filter(|other| other.id == session.id)));
        }
        for agent in [None, Some("a1")] {
            let filter = SessionFilter {
                agent: agent.map(str::to_owned),
                standings: Vec::new(),
            };
            let expected = plain.sessions(agent, None);
            let found = reader.sessions(&filter, 3).unwrap();
            assert!(found.sessions.iter().eq(expected.iter().copied().take(3)));
            assert_eq!(found.more, expected.len().saturating_sub(3) as u64);
        }

        let mut batch = real.store().begin().unwrap();
        assert_eq!(batch.next_task(), plain.next_task());
        for (request, made) in &plain.requests {
            assert_eq!(batch.request(request).unwrap(), Some(*made));
        }
        let keys: BTreeSet<_> = plain
            .sessions
            .values()
            .map(|(session, _)| (&session.agent, &session.key))
            .collect();
        for (agent, key) in keys {
            let found = batch.sessions_of_key(agent, key).unwrap();
            let expected = plain.sessions(Some(agent), Some(key));
            assert!(found.iter().eq(expected.into_iter().take(32)));
        }
        if let Some(((agent, id), _)) = plain.sessions.first_key_value() {
            assert!(batch.forget_session(agent, id).unwrap());
            assert!(!batch.forget_session(agent, id).unwrap());
            assert_eq!(batch.session(agent, id).unwrap(), None);
        }
        let incarnation = batch.next_incarnation().unwrap();
        assert_eq!(incarnation, Incarnation(plain.incarnation + 1));
        batch.abort().unwrap();
    }
}
