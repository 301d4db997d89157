//! Tasks that a person holds, and lets go.

use super::Engine;
use crate::{
    dispatcher::{
        handle::{Held, HoldError},
        turn::Turn,
    },
    store::StoreError,
    task::{
        event::Event,
        id::TaskId,
        state::{State, Task},
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

    fn state_of(&self, turn: &Turn, id: TaskId) -> Result<Option<State>, StoreError> {
        match self.tasks.get(&id) {
            Some(task) => Ok(Some(task.state.clone())),
            None => Ok(turn.batch.task(id)?.map(|task: Task| task.state)),
        }
    }
}
