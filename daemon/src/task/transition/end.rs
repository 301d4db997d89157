//! The one way in which an attempt ends, whoever found out.

use super::{Context, Decision, apply, reference, with_attempt};
use crate::task::{
    attempt::{Ending, Exit, Phase},
    effect::Effect,
    event::What,
    id::Timestamp,
    limits::{MAX_MESSAGE, clip},
    reason::{FailureReason, Outcome, Verdict},
    retry::{self, Retry},
    state::{Hold, State, StopReason, Task},
};

/// How an attempt ended, whoever found out.
pub(super) struct AttemptEnd {
    pub(super) verdict: Verdict,
    pub(super) started_at: Option<Timestamp>,
    pub(super) exit: Option<Exit>,
    pub(super) at: Timestamp,
}

impl AttemptEnd {
    pub(super) fn without_run(verdict: Verdict, at: Timestamp) -> Self {
        Self {
            verdict,
            started_at: None,
            exit: None,
            at,
        }
    }
}

/// Ends the live attempt: finished, or queued for another one.
pub(super) fn end(task: &Task, context: Context, ended: AttemptEnd) -> Decision {
    let verdict = after_stop(task, ended.verdict);
    let ending = Ending {
        outcome: verdict.outcome,
        reason: verdict.reason,
        message: clip(&verdict.message, MAX_MESSAGE),
        at: ended.at,
    };
    let mut next = with_attempt(task, |a| {
        a.phase = Phase::Ended;
        a.started_at = ended.started_at.or(a.started_at);
        a.exit = ended.exit;
        a.ending = Some(ending.clone());
    });
    let effect = next
        .attempt
        .as_ref()
        .map(|a| Effect::Conclude(reference(a)));
    let Some(reason) = verdict.reason else {
        next.lost_streak = 0;
        next.state = State::Finished(ending);
        return apply(next, What::Finished, verdict.message, effect);
    };
    next.lost_streak = if reason == FailureReason::RunnerLost {
        next.lost_streak.saturating_add(1)
    } else {
        0
    };
    let declined = verdict.outcome == Outcome::Aborted;
    match retry::after(&next, reason, context.now, context.random) {
        Retry::At(until) if !declined => {
            next.state = State::Queued(Hold::Backoff { until });
            let why = format!("{reason}: {}", verdict.message);
            apply(next, What::Retry, why, effect)
        }
        Retry::At(_) | Retry::No(_) => {
            let outcome = if declined {
                Outcome::Aborted
            } else {
                retry::final_outcome(reason)
            };
            next.state = State::Finished(Ending { outcome, ..ending });
            apply(next, What::Finished, verdict.message, effect)
        }
    }
}

/// What the end of an attempt means when a stop was asked for: the stop is why
/// it ended, and the exit stays beside it.
fn after_stop(task: &Task, verdict: Verdict) -> Verdict {
    let State::Stopping { reason, .. } = task.state else {
        return verdict;
    };
    let (outcome, message) = match reason {
        StopReason::Cancel => (
            Outcome::Cancelled,
            format!("cancelled; {}", verdict.message),
        ),
        StopReason::Timeout => (
            Outcome::Failed,
            format!(
                "stopped after {} ms, its timeout; {}",
                task.spec.limits.timeout.unwrap_or(0),
                verdict.message
            ),
        ),
        StopReason::StartTimeout => (
            Outcome::Failed,
            format!("not started within {} ms", task.spec.limits.start_timeout()),
        ),
    };
    Verdict {
        outcome,
        reason: Some(reason.failure()),
        message,
    }
}
