//! Tasks that a person holds, and lets go; what keeps others.

use super::Engine;
use crate::{
    dispatcher::{
        outcome::{Held, HoldError},
        overview::Phase,
        turn::Turn,
    },
    store::StoreError,
    task::{
        event::Event,
        id::TaskId,
        state::{Hold, State, Task},
    },
};

impl Engine {
    pub(super) fn hold(
        &mut self,
        turn: &mut Turn,
        id: TaskId,
        by: String,
    ) -> Result<Result<Held, HoldError>, StoreError> {
        let state = match self.state_of(turn, id)? {
            None => return Ok(Err(HoldError::NotFound(id))),
            Some(state) => state,
        };
        if !matches!(state, State::Queued(_)) {
            let state = state.kind();
            return Ok(Err(HoldError::NotQueued { task: id, state }));
        }
        let changed = self.apply(turn, id, &Event::Hold { by })?;
        Ok(Ok(if changed { Held::Done } else { Held::Already }))
    }

    /// What nobody holds is as it should be, also if it runs or has ended.
    pub(super) fn release(
        &mut self,
        turn: &mut Turn,
        id: TaskId,
        by: String,
    ) -> Result<Result<Held, HoldError>, StoreError> {
        if self.state_of(turn, id)?.is_none() {
            return Ok(Err(HoldError::NotFound(id)));
        }
        let changed = self.apply(turn, id, &Event::Release { by })?;
        Ok(Ok(if changed { Held::Done } else { Held::Already }))
    }

    /// What keeps a queued task from being started, for a person: the same as
    /// lists call its hold.
    pub(super) fn kept_by(&self, task: &Task) -> String {
        let agent = &task.spec.agent;
        let ahead = task.spec.key().and_then(|key| self.schedule.key_head(&key));
        let ahead = ahead.filter(|ahead| *ahead != task.id);
        match (&task.state, self.phase) {
            (State::Queued(Hold::Backoff { .. }), _) => {
                return "it paused before another try".to_owned();
            }
            (_, Phase::Draining | Phase::Stopping) => return "the daemon was to end".to_owned(),
            (_, Phase::Recovering) => {
                return "the daemon still looked at what it found at its start".to_owned();
            }
            (_, Phase::Ready | Phase::StoreFailed) => {}
        }
        if self.space.is_some() {
            "the disk is too full".to_owned()
        } else if self.schedule.is_paused() {
            "everything is paused".to_owned()
        } else if self.schedule.paused_agents().contains(agent) {
            format!("agent {agent} is paused")
        } else if self.schedule.is_parked(agent) {
            let account = self.schedule.account_of(agent);
            format!("account {account} has met the limit of its provider")
        } else if let Some(ahead) = ahead {
            format!("task {ahead} has its key")
        } else {
            "no slot was free".to_owned()
        }
    }

    fn state_of(&self, turn: &Turn, id: TaskId) -> Result<Option<State>, StoreError> {
        match self.tasks.get(&id) {
            Some(task) => Ok(Some(task.state.clone())),
            None => Ok(turn.batch.task(id)?.map(|task: Task| task.state)),
        }
    }
}
