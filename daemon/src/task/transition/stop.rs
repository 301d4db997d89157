//! Cancels and limits: what asks an attempt to end.

use super::{Context, Decision, Ignored, apply, reference};
use crate::task::{
    attempt::Ending,
    budget::UsedUp,
    effect::Effect,
    event::What,
    id::TaskId,
    limits::{WORKSPACE_TIMEOUT, span},
    reason::{FailureReason, Outcome},
    state::{Hold, State, StopReason, Task},
};

/// A person wants the task to end, or, with `superseded_by`, a newer task does.
pub(super) fn cancel(
    task: &Task,
    context: Context,
    by: &str,
    forced: bool,
    superseded_by: Option<TaskId>,
) -> Decision {
    let mut next = task.clone();
    let why = match superseded_by {
        Some(newer) => replaced_by(newer),
        None => format!("cancelled by {by}"),
    };
    // Whoever hurries it afterwards does not change why it ends.
    next.superseded_by = task.superseded_by.or(superseded_by);
    match task.state {
        State::Queued(_) => {
            next.state = State::Finished(Ending {
                outcome: Outcome::Cancelled,
                reason: Some(next.failure_by(StopReason::Cancel)),
                message: why.clone(),
                at: context.now.wall,
            });
            return apply(next, What::Finished, why, None);
        }
        State::Starting | State::Running => {
            next.state = State::Stopping {
                reason: StopReason::Cancel,
                forced,
            };
        }
        State::Stopping {
            reason: StopReason::Cancel,
            forced: true,
        } => return Decision::Repeat(stop(task, StopReason::Cancel, true)),
        // A second cancel skips the grace.
        State::Stopping { reason, forced: f } => {
            next.state = State::Stopping {
                reason: StopReason::Cancel,
                forced: forced || f || reason == StopReason::Cancel,
            };
        }
        State::Finished(_) => return Decision::Ignore(Ignored::Final),
    }
    let State::Stopping { reason, forced } = next.state else {
        return Decision::Ignore(Ignored::NotNow);
    };
    let effect = stop(task, reason, forced);
    apply(next, What::StopRequested, why, Some(effect))
}

/// Why a task ends that makes way for a newer one.
pub(super) fn replaced_by(newer: TaskId) -> String {
    format!("replaced by task {newer}")
}

pub(super) fn deadline(task: &Task, limit: StopReason) -> Decision {
    let (fits, why) = match limit {
        StopReason::StartTimeout => (
            task.state == State::Starting,
            match is_prepared(task) {
                true => format!(
                    "not started after {}",
                    span(task.spec.limits.start_timeout())
                ),
                false => format!(
                    "its workspace was not ready after {}",
                    span(WORKSPACE_TIMEOUT)
                ),
            },
        ),
        StopReason::Timeout => (
            task.state == State::Running,
            format!(
                "ran longer than {}",
                span(task.spec.limits.timeout.unwrap_or(0))
            ),
        ),
        StopReason::Idle => (
            task.state == State::Running && task.spec.limits.idle_timeout().is_some(),
            format!(
                "no output, hardly any CPU time and no new process for {}",
                task.spec.limits.idle_words()
            ),
        ),
        StopReason::Budget => (
            task.state == State::Running,
            format!(
                "its lineage has run for {}, its max_wall_time",
                span(task.spec.limits.max_wall.unwrap_or(0))
            ),
        ),
        StopReason::Cancel => (false, String::new()),
    };
    if !fits {
        return Decision::Ignore(Ignored::NotNow);
    }
    // A start that hangs has nothing to be polite to.
    let forced = limit == StopReason::StartTimeout;
    let mut next = task.clone();
    next.state = State::Stopping {
        reason: limit,
        forced,
    };
    let effect = stop(task, limit, forced);
    apply(next, What::StopRequested, why, Some(effect))
}

/// Whether the workspace of its attempt has been ready.
pub(super) fn is_prepared(task: &Task) -> bool {
    let attempt = task.attempt.as_ref();
    attempt.is_some_and(|attempt| attempt.prepared_at.is_some())
}

/// A task that has waited too long for its first start ends.
pub(super) fn queue_expired(task: &Task, context: Context, kept_by: &str) -> Decision {
    // Its time does not pass while it is held, or waits for others.
    let held = matches!(task.state, State::Queued(Hold::Held { .. }));
    let queued = matches!(task.state, State::Queued(_)) && !held && task.waits_for.is_empty();
    let Some(limit) = task
        .spec
        .limits
        .queue_ttl
        .filter(|_| queued && !task.started)
    else {
        return Decision::Ignore(Ignored::NotNow);
    };
    let since = match (task.queued_since, task.spec.not_before) {
        (Some(_), _) => "from when it could have been",
        (None, Some(_)) => "of the time it was submitted for",
        (None, None) => "of its submission",
    };
    let why = format!("not started within {} {since}: {kept_by}", span(limit));
    let mut next = task.clone();
    next.state = State::Finished(Ending {
        outcome: Outcome::Failed,
        reason: Some(FailureReason::QueueExpired),
        message: why.clone(),
        at: context.now.wall,
    });
    apply(next, What::Finished, why, None)
}

/// A task whose lineage has used up a budget ends without another attempt.
pub(super) fn nothing_left(task: &Task, context: Context, used_up: UsedUp) -> Decision {
    let why = format!("nothing is left of {used_up}");
    let mut next = task.clone();
    next.state = State::Finished(Ending {
        outcome: Outcome::Failed,
        reason: Some(FailureReason::BudgetExceeded),
        message: why.clone(),
        at: context.now.wall,
    });
    apply(next, What::Finished, why, None)
}

/// The effect that stops the live attempt; every caller has one.
pub(super) fn stop(task: &Task, reason: StopReason, forced: bool) -> Effect {
    let attempt = task.attempt.as_ref().map(reference);
    Effect::Stop {
        attempt: attempt.expect("an occupied state has an attempt"),
        reason,
        grace: if forced {
            0
        } else {
            task.spec.limits.kill_grace()
        },
    }
}
