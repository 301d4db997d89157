//! What agents say of themselves, and who may.

use super::{Engine, random};
use crate::{
    dispatcher::{
        said::{Heard, Statement, StatementError},
        turn::Turn,
    },
    store::StoreError,
    task::{
        attempt::Attempt,
        event::{Event, Teller},
        state::Task,
        token::Token,
        transition::{Context, Decision, Ignored, decide, reference},
    },
};

impl Engine {
    /// Only the attempt's own token lets anybody speak for it: one of the same
    /// user's could name any.
    pub(super) fn said(
        &mut self,
        turn: &mut Turn,
        statement: Statement,
    ) -> Result<Result<Heard, StatementError>, StoreError> {
        let Statement {
            attempt: id,
            token,
            observed,
        } = statement;
        let of_task = self.tasks.get(&id.task);
        let live = of_task
            .and_then(Task::live_attempt)
            .filter(|live| live.id == id);
        let nonce = match live {
            Some(live) => Some(live.nonce),
            // It was committed before its agent was started.
            None => self.stored(id)?.map(|ended| ended.nonce),
        };
        if !nonce.is_some_and(|nonce| Token::of(nonce).is(&token)) {
            return Ok(Err(StatementError::Token(id)));
        }
        let (Some(task), Some(live)) = (of_task, live) else {
            return Ok(Err(StatementError::Ended(id)));
        };
        let event = Event::Observed {
            attempt: reference(live),
            observed: Box::new(observed),
            by: Teller::Agent,
        };
        let context = Context {
            now: turn.moment,
            random: random(),
        };
        Ok(Ok(match decide(task, &event, context) {
            Decision::Apply(change) => {
                self.commit_to(turn, *change)?;
                Heard::Kept
            }
            Decision::Ignore(Ignored::Enough) => Heard::Enough,
            // It is known.
            Decision::Ignore(Ignored::NotNow | Ignored::Final | Ignored::Stale)
            | Decision::Repeat(_) => Heard::Kept,
        }))
    }

    fn stored(&self, id: crate::task::id::AttemptId) -> Result<Option<Attempt>, StoreError> {
        self.parts.store.reader()?.attempt(id)
    }
}
