//! Which session an attempt goes on with, as far as the store knows, and what
//! people do with the registry.

use super::Engine;
use crate::{
    dispatcher::{handle::ForgetError, turn::Turn},
    store::{Batch, StoreError},
    task::{
        attempt::Attempt,
        id::{AttemptId, TaskId},
        session::{self, Given, Question, choose},
        state::Task,
    },
};

impl Engine {
    /// The session that the next attempt of a task is to resume. It is part of
    /// the claim, so that no other claim, not even of the same turn, is given
    /// it as well.
    pub(super) fn session_for(turn: &Turn, task: &Task) -> Result<Given, StoreError> {
        let batch = &turn.batch;
        let before = match (&task.attempt, task.spec.rerun_of) {
            (Some(attempt), _) => Some(attempt.clone()),
            (None, Some(of)) => last_attempt(batch, of)?,
            (None, None) => None,
        };
        let agent = &task.spec.agent;
        let id = before.as_ref().and_then(session::of_attempt);
        let of_before = id.map(|id| batch.session(agent, &id)).transpose()?;
        let key = session::key(task.id, &task.spec);
        Ok(choose(Question {
            task,
            before: before.as_ref(),
            of_before: of_before.flatten().as_ref(),
            of_key: &batch.sessions_of_key(agent, &key)?,
        }))
    }

    pub(super) fn forget_session(
        turn: &mut Turn,
        agent: &str,
        id: &str,
    ) -> Result<Result<(), ForgetError>, StoreError> {
        let Some(session) = turn.batch.session(agent, id)? else {
            return Ok(Err(ForgetError::NotFound));
        };
        if let Some(user) = session.user {
            return Ok(Err(ForgetError::InUse(user)));
        }
        turn.batch.forget_session(agent, id)?;
        tracing::info!(agent, session = id, "session forgotten");
        Ok(Ok(()))
    }
}

fn last_attempt(batch: &Batch, task: TaskId) -> Result<Option<Attempt>, StoreError> {
    let Some(task) = batch.task(task)?.filter(|task| task.attempts > 0) else {
        return Ok(None);
    };
    batch.attempt(AttemptId {
        task: task.id,
        number: task.attempts,
    })
}
