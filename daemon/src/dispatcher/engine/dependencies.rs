//! What the end of a task means to those that wait for it.
//!
//! An end and what follows from it are one commit. A long chain of failures is
//! taken step by step, without recursion, and no further in one turn than
//! [`CASCADE`]: the rest follows in the next one. Should the daemon die before
//! that, its next start finds tasks that wait for what has ended.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Instant,
};

use super::{CASCADE, Engine};
use crate::{
    dispatcher::{outcome::SubmitError, turn::Turn},
    store::{Reader, StoreError},
    task::{
        dependency::After,
        event::Event,
        id::TaskId,
        reason::Outcome,
        spec::TaskSpec,
        state::{State, Task},
    },
};

/// Who waits for whom.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    /// By the task that has to end.
    of: HashMap<TaskId, BTreeSet<TaskId>>,
    /// Ends, and who has not been told of them yet.
    ended: VecDeque<(TaskId, Outcome, BTreeSet<TaskId>)>,
}

impl Dependents {
    /// Takes note of what an active task waits for.
    pub(super) fn add(&mut self, task: &Task) {
        for After { task: of, .. } in &task.waits_for {
            self.of.entry(*of).or_default().insert(task.id);
        }
    }

    /// A task has changed: it does not wait for what it has waited for any
    /// more, and if it has ended, others are to be told.
    pub(super) fn changed(&mut self, before: Option<&Task>, next: &Task) {
        let still = |of: TaskId| {
            next.state.is_active() && next.waits_for.iter().any(|after| after.task == of)
        };
        let waited = before.map_or(&[][..], |task| &task.waits_for);
        for of in waited.iter().map(|after| after.task) {
            if let Some(waiting) = self.of.get_mut(&of).filter(|_| !still(of)) {
                waiting.remove(&next.id);
                if waiting.is_empty() {
                    self.of.remove(&of);
                }
            }
        }
        if let State::Finished(ending) = &next.state {
            self.ended(next.id, ending.outcome);
        }
    }

    /// A task has ended.
    fn ended(&mut self, of: TaskId, outcome: Outcome) {
        if let Some(waiting) = self.of.remove(&of) {
            self.ended.push_back((of, outcome, waiting));
        }
    }

    /// Whether somebody waits for a task, or is still to be told of its end.
    pub(super) fn wait_for(&self, of: TaskId) -> bool {
        self.of.contains_key(&of) || self.ended.iter().any(|(ended, _, _)| *ended == of)
    }

    /// The next one that is to be told of an end.
    fn next(&mut self) -> Option<(TaskId, Event)> {
        loop {
            let (task, outcome, waiting) = self.ended.front_mut()?;
            let (task, outcome) = (*task, *outcome);
            if let Some(id) = waiting.pop_first() {
                return Some((id, Event::DependencyEnded { task, outcome }));
            }
            self.ended.pop_front();
        }
    }

    /// Finds, at a start of the daemon, what has ended meanwhile.
    pub(super) fn load(
        &mut self,
        tasks: &HashMap<TaskId, Task>,
        reader: &Reader,
    ) -> Result<(), StoreError> {
        let gone = self.of.keys().filter(|of| !tasks.contains_key(of));
        let gone: BTreeSet<_> = gone.copied().collect();
        for of in gone {
            if let Some(task) = reader.task(of)?
                && let State::Finished(ending) = task.state
            {
                self.ended(of, ending.outcome);
            }
        }
        Ok(())
    }

    /// When the next turn is due: at once if somebody is still to be told.
    pub(super) fn due(&self, last_turn: Instant) -> Option<Instant> {
        (!self.ended.is_empty()).then_some(last_turn)
    }
}

impl Engine {
    /// Whether what a new task is to wait for exists and can come.
    pub(super) fn may_still_come(
        &self,
        turn: &Turn,
        spec: &TaskSpec,
    ) -> Result<Result<(), SubmitError>, StoreError> {
        for After {
            task: of,
            condition,
        } in spec.after.iter().copied()
        {
            if self.tasks.contains_key(&of) {
                continue;
            }
            match turn.batch.task(of)?.map(|task| task.state) {
                None => return Ok(Err(SubmitError::NoSuchTask(of))),
                Some(State::Finished(ending)) if condition.is_met_by(ending.outcome) => {}
                Some(state) => {
                    let state = state.kind();
                    return Ok(Err(SubmitError::DependencyFailed { task: of, state }));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Has a new task told of the ends that it waits for, also of those that
    /// came before it.
    pub(super) fn await_ends(&mut self, turn: &Turn, task: &Task) -> Result<(), StoreError> {
        self.dependents.add(task);
        for After { task: of, .. } in &task.waits_for {
            if !self.tasks.contains_key(of)
                && let Some(State::Finished(ending)) = turn.batch.task(*of)?.map(|task| task.state)
            {
                self.dependents.ended(*of, ending.outcome);
            }
        }
        Ok(())
    }

    /// Tells tasks of the ends that they wait for.
    pub(super) fn settle(&mut self, turn: &mut Turn) -> Result<(), StoreError> {
        for _ in 0..CASCADE {
            let Some((id, event)) = self.dependents.next() else {
                break;
            };
            self.apply(turn, id, &event)?;
        }
        Ok(())
    }
}
