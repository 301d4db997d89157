//! What followed each attempt, and why: the rules of [`super::transition`] told
//! of attempts that are over.
//!
//! Only the newest counts of a task are stored. As each attempt keeps how it
//! ended, what was counted at any earlier time is found by counting again; a
//! property compares that with what was decided.

use super::{
    attempt::{Attempt, Ending},
    budget::Spend,
    reason::{FailureReason, Outcome},
    retry::{self, Counts, Rules},
    state::{State, Task},
};

/// Whether another attempt follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// None is needed: it succeeded.
    Nothing,
    /// One that this one does not count against: no agent was started.
    Uncounted,
    /// One that this one does not count against, once its account may do
    /// something again.
    Parked,
    /// One after a pause.
    Retry {
        /// The pause at the most, milliseconds.
        longest: u64,
    },
    /// None, and why.
    Refused(&'static str),
}

/// What followed an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequel {
    /// Its number.
    pub attempt: u32,
    /// What decided; none for a success.
    pub reason: Option<FailureReason>,
    /// What followed.
    pub follows: Follows,
    /// What was counted when it had ended, itself included.
    pub counts: Counts,
}

/// What followed each attempt that has ended. `attempts` are all of a task,
/// oldest first.
#[must_use]
pub fn sequels(attempts: &[Attempt], rules: Rules) -> Vec<Sequel> {
    let mut counts = Counts::default();
    let mut sequels = Vec::new();
    for attempt in attempts {
        let Some(ending) = &attempt.ending else {
            break;
        };
        let follows = if was_never_started(ending) {
            Follows::Uncounted
        } else {
            counts = counts.with(ending.reason);
            match (ending.reason, ending.outcome) {
                (None, _) => Follows::Nothing,
                (Some(_), Outcome::Aborted) => Follows::Refused("the agent declined"),
                (
                    Some(reason),
                    Outcome::Succeeded
                    | Outcome::Failed
                    | Outcome::Cancelled
                    | Outcome::Interrupted,
                ) => after(reason, counts, attempt.total(), rules),
            }
        };
        sequels.push(Sequel {
            attempt: attempt.id.number,
            reason: ending.reason,
            follows,
            counts,
        });
    }
    sequels
}

/// What will follow the attempt that is under way: if its runner is lost, or
/// once it has ended because of the stop that was asked for. `None` if none is
/// under way.
#[must_use]
pub fn expected(task: &Task) -> Option<Sequel> {
    let reason = match &task.state {
        State::Starting | State::Running => FailureReason::RunnerLost,
        State::Stopping { reason, .. } => task.failure_by(*reason),
        State::Queued(_) | State::Finished(_) => return None,
    };
    let attempt = task.live_attempt()?;
    let mut spend = attempt.total();
    spend.attempts = spend.attempts.saturating_add(1);
    // The claim has counted it as spent.
    let mut before = task.counts();
    before.spent = before.spent.saturating_sub(1);
    let counts = before.with(Some(reason));
    Some(Sequel {
        attempt: attempt.id.number,
        reason: Some(reason),
        follows: after(reason, counts, spend, task.spec.retry_rules()),
        counts,
    })
}

/// Only [`super::event::Event::NeverStarted`] ends an attempt as interrupted;
/// what is lost is a failure of the attempt, whatever becomes of the task.
fn was_never_started(ending: &Ending) -> bool {
    ending.outcome == Outcome::Interrupted
}

fn after(reason: FailureReason, counts: Counts, spend: Spend, rules: Rules) -> Follows {
    match retry::refusal(reason, counts, spend, rules) {
        Some(why) => Follows::Refused(why),
        None if retry::is_parked(reason) => Follows::Parked,
        None => Follows::Retry {
            longest: rules.policy.longest_backoff(counts.spent),
        },
    }
}

#[cfg(test)]
mod tests;
