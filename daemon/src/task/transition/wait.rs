//! What keeps a queued task from a slot, and what lifts that.

use super::{Context, Decision, Ignored, apply};
use crate::task::{
    attempt::Ending,
    deadline::hold_left,
    dependency::{Met, settle},
    event::What,
    id::TaskId,
    reason::{FailureReason, Outcome},
    state::{Hold, State, Task},
};

/// A person keeps the task from being started. That takes the place of a pause
/// and of a time before which it should not start: a release ends those, too.
pub(super) fn hold(task: &Task, by: &str) -> Decision {
    match &task.state {
        State::Queued(Hold::None | Hold::Backoff { .. } | Hold::Scheduled { .. }) => {
            let mut next = task.clone();
            next.state = State::Queued(Hold::Held { by: by.to_owned() });
            apply(next, What::Held, format!("held by {by}"), None)
        }
        State::Queued(Hold::Held { .. })
        | State::Starting
        | State::Running
        | State::Stopping { .. }
        | State::Finished(_) => Decision::Ignore(Ignored::NotNow),
    }
}

/// Neither a person nor a clock keeps the task any longer.
pub(super) fn release(task: &Task, context: Context, by: &str) -> Decision {
    let ended = match &task.state {
        State::Queued(Hold::Held { .. }) => "",
        State::Queued(Hold::Backoff { .. }) if hold_left(task, context.now) > 0 => {
            ": its pause after a failed attempt ends now"
        }
        State::Queued(Hold::Scheduled { .. }) if hold_left(task, context.now) > 0 => {
            ": it need not wait for its time"
        }
        State::Queued(Hold::None | Hold::Backoff { .. } | Hold::Scheduled { .. })
        | State::Starting
        | State::Running
        | State::Stopping { .. }
        | State::Finished(_) => return Decision::Ignore(Ignored::NotNow),
    };
    let mut next = task.clone();
    next.state = State::Queued(Hold::None);
    next.queued_since = Some(context.now);
    apply(
        next,
        What::Released,
        format!("released by {by}{ended}"),
        None,
    )
}

/// A task that this one may wait for has come to its end.
pub(super) fn dependency_ended(
    task: &Task,
    context: Context,
    ended: TaskId,
    outcome: Outcome,
) -> Decision {
    let mut next = task.clone();
    match settle(&task.waits_for, ended, outcome) {
        Met::Foreign => Decision::Ignore(Ignored::NotNow),
        Met::Left(left) => {
            if left.is_empty() {
                next.queued_since = Some(context.now);
            }
            next.waits_for = left;
            let why = format!("task {ended} {}", word(outcome));
            apply(next, What::DependencyMet, why, None)
        }
        Met::Never => {
            let why = format!(
                "task {ended}, which had to succeed first, {}",
                word(outcome)
            );
            next.state = State::Finished(Ending {
                outcome: Outcome::Failed,
                reason: Some(FailureReason::DependencyFailed),
                message: why.clone(),
                at: context.now.wall,
            });
            next.waits_for = Vec::new();
            apply(next, What::Finished, why, None)
        }
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "was cancelled",
        Outcome::Interrupted => "was interrupted",
        Outcome::Aborted => "was declined by its agent",
    }
}
