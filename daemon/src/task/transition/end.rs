//! The one way in which an attempt ends, whoever found out.

use super::{
    Context, Decision, apply, reference,
    stop::{is_prepared, replaced_by},
    with_attempt,
};
use crate::task::{
    attempt::{Ending, Exit, Phase},
    effect::Effect,
    event::What,
    id::Timestamp,
    limits::{MAX_MESSAGE, WORKSPACE_TIMEOUT, clip, span},
    moment::Moment,
    observed::Observed,
    reason::{FailureReason, Outcome, Verdict},
    retry::{self, Retry},
    state::{Hold, State, StopReason, Task},
};

/// How an attempt ended, whoever found out.
pub(super) struct AttemptEnd {
    pub(super) verdict: Verdict,
    pub(super) started_at: Option<Timestamp>,
    pub(super) exit: Option<Exit>,
    /// All that its runner has read.
    pub(super) observed: Option<Observed>,
    pub(super) at: Timestamp,
    /// The agent ended before anybody asked it to.
    pub(super) by_itself: bool,
}

impl AttemptEnd {
    pub(super) fn without_run(verdict: Verdict, at: Timestamp) -> Self {
        Self {
            verdict,
            started_at: None,
            exit: None,
            observed: None,
            at,
            by_itself: false,
        }
    }
}

/// Ends the live attempt: finished, or queued for another one.
pub(super) fn end(task: &Task, context: Context, ended: AttemptEnd) -> Decision {
    let verdict = after_stop(task, ended.verdict, ended.by_itself);
    let ending = Ending {
        outcome: verdict.outcome,
        reason: verdict.reason,
        message: clip(&verdict.message, MAX_MESSAGE),
        at: ended.at,
    };
    let mut next = with_attempt(task, |a| {
        a.phase = Phase::Ended;
        a.started_at = a.started_at.or(ended.started_at.map(Moment::of_wall));
        a.exit = ended.exit;
        if let Some(observed) = ended.observed {
            a.observed.take(observed.bounded());
        }
        a.ran = run_time(a.started_at, context.now, &ending);
        a.ending = Some(ending.clone());
    });
    next.started |= ended.started_at.is_some();
    let effect = next
        .attempt
        .as_ref()
        .map(|a| Effect::Conclude(reference(a)));
    // The claim has counted it as spent.
    let mut before = task.counts();
    before.spent = before.spent.saturating_sub(1);
    next.set_counts(before.with(verdict.reason));
    let Some(reason) = verdict.reason else {
        next.state = State::Finished(ending);
        return apply(next, What::Finished, verdict.message, effect);
    };
    let declined = verdict.outcome == Outcome::Aborted;
    match retry::after(&next, reason, context.now, context.random) {
        Retry::At(until) if !declined => {
            next.state = State::Queued(Hold::Backoff { until });
            let why = format!("{reason}: {}", verdict.message);
            apply(next, What::Retry, why, effect)
        }
        // What holds it is the account, whatever becomes of that meanwhile.
        Retry::Parked if !declined => {
            next.state = State::Queued(Hold::None);
            let why = format!("{reason}: {}", verdict.message);
            apply(next, What::Retry, why, effect)
        }
        Retry::At(_) | Retry::Parked | Retry::No(_) => {
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

/// How long an agent ran that ended in this way, milliseconds. Of two clocks
/// the one that shows less: one may have been set, and of the other only the
/// time is known at which the end was heard of.
fn run_time(started_at: Option<Moment>, now: Moment, ending: &Ending) -> u64 {
    // How long it ran before the machine went down, nobody knows.
    let known = ending.reason != Some(FailureReason::HostRebooted);
    let started_at = started_at.filter(|_| known);
    started_at.map_or(0, |at| {
        let heard_of = now.millis_since(at);
        heard_of.min(ending.at.millis_since(at.wall))
    })
}

/// What the end of an attempt means when a stop was asked for: the stop is why
/// it ended, and the exit stays beside it. An agent that had ended by then has
/// kept its limit, as far as anybody can know: what it reached stands.
fn after_stop(task: &Task, verdict: Verdict, by_itself: bool) -> Verdict {
    let State::Stopping { reason, .. } = task.state else {
        return verdict;
    };
    if by_itself && reason != StopReason::Cancel {
        return verdict;
    }
    let (outcome, message) = match reason {
        StopReason::Cancel => {
            let why = match task.superseded_by {
                Some(newer) => replaced_by(newer),
                None => "cancelled".to_owned(),
            };
            (Outcome::Cancelled, format!("{why}; {}", verdict.message))
        }
        StopReason::Timeout => (
            Outcome::Failed,
            format!(
                "stopped after {}, its timeout; {}",
                span(task.spec.limits.timeout.unwrap_or(0)),
                verdict.message
            ),
        ),
        StopReason::StartTimeout => (
            Outcome::Failed,
            match is_prepared(task) {
                true => format!(
                    "not started within {}",
                    span(task.spec.limits.start_timeout())
                ),
                false => format!(
                    "its workspace was not ready within {}",
                    span(WORKSPACE_TIMEOUT)
                ),
            },
        ),
        StopReason::Idle => (
            Outcome::Failed,
            format!(
                "stopped after {} with no output, hardly any CPU time and no new process; {}",
                task.spec.limits.idle_words(),
                verdict.message
            ),
        ),
        StopReason::Budget => (
            Outcome::Failed,
            format!(
                "stopped, for a budget of its lineage is used up; {}",
                verdict.message
            ),
        ),
    };
    Verdict {
        outcome,
        reason: Some(task.failure_by(reason)),
        message,
    }
}
