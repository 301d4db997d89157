//! What one change of a task adds to the figures.

use crate::task::{
    attempt::Attempt,
    moment::Moment,
    reason::{FailureReason, Outcome},
    spec::Trigger,
    state::{Hold, State, StateKind, Task},
    usage::Usage,
};

/// One change of a task, as far as it is counted. It is made when the change is
/// decided, and counted when that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    agent: String,
    /// `None`: it is new.
    pub(super) from: Option<StateKind>,
    pub(super) to: StateKind,
    pub(super) trigger: Trigger,
    /// The cause of the end of a task that has ended.
    pub(super) reason: Option<FailureReason>,
    /// How long it had waited when it was claimed, milliseconds.
    pub(super) waited: Option<u64>,
    /// How long it took from the claim to the agent's start, milliseconds.
    pub(super) started: Option<u64>,
    /// An attempt has ended.
    pub(super) ended: Option<Ended>,
    /// What is newly known to be used.
    pub(super) used: Usage,
}

/// How an attempt has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) reason: Option<FailureReason>,
    /// How long its agent ran, milliseconds; `None`: none was started.
    pub(super) ran: Option<u64>,
}

impl Step {
    /// What lies between a task as it was (`None`: it is new) and as it is `now`.
    #[must_use]
    pub fn of(before: Option<&Task>, after: &Task, now: Moment) -> Self {
        let live = before.and_then(Task::live_attempt);
        let attempt = after.attempt.as_ref();
        let same = attempt.filter(|now| live.is_some_and(|live| live.id == now.id));
        let is_claim = live.is_none() && after.live_attempt().is_some();
        let is_start = live.is_none_or(|live| live.started_at.is_none());
        let has_ended = live.is_some() && after.live_attempt().is_none();
        Self {
            agent: after.spec.agent.clone(),
            from: before.map(|task| task.state.kind()),
            to: after.state.kind(),
            trigger: after.spec.trigger,
            reason: match &after.state {
                State::Finished(ending) => ending.reason,
                State::Queued(_) | State::Starting | State::Running | State::Stopping { .. } => {
                    None
                }
            },
            waited: before
                .filter(|_| is_claim)
                .map(|task| now.millis_since(ready_since(task))),
            started: same
                .filter(|_| is_start)
                .and_then(|attempt| Some(attempt.started_at?.millis_since(attempt.claimed_at))),
            ended: same.filter(|_| has_ended).and_then(ended),
            used: same.map_or_else(Usage::default, |attempt| used(live, attempt)),
        }
    }

    /// Whose it is.
    pub(super) fn agent(&self) -> &str {
        &self.agent
    }

    /// A task has ended.
    pub(super) fn is_final(&self) -> bool {
        !self.to.is_active() && self.from.is_none_or(StateKind::is_active)
    }

    /// An attempt has ended, and another one is to follow.
    pub(super) fn is_retry(&self) -> bool {
        self.ended.is_some() && self.to == StateKind::Queued
    }
}

/// From when on a queued task could have been claimed, as far as it knows itself:
/// since its time has come or its backoff is over, else since its last attempt
/// ended, else since it was submitted or released.
fn ready_since(task: &Task) -> Moment {
    let queued = task.queued_since.unwrap_or(task.spec.submitted());
    match &task.state {
        State::Queued(Hold::Backoff { until } | Hold::Scheduled { until }) => *until,
        State::Queued(Hold::None | Hold::Held { .. })
        | State::Starting
        | State::Running
        | State::Stopping { .. }
        | State::Finished(_) => {
            let last = task.attempt.as_ref();
            let ended = last.and_then(|attempt| attempt.ending.as_ref());
            ended.map_or(queued, |ending| Moment::of_wall(ending.at))
        }
    }
}

fn ended(attempt: &Attempt) -> Option<Ended> {
    let ending = attempt.ending.as_ref()?;
    Some(Ended {
        outcome: ending.outcome,
        reason: ending.reason,
        ran: attempt.started_at.map(|_| attempt.ran),
    })
}

/// What is known to be used beyond what was known before. Figures that become
/// smaller take nothing back: a counter only grows.
fn used(before: Option<&Attempt>, after: &Attempt) -> Usage {
    let said = |attempt: &Attempt| (attempt.observed.usage, attempt.reported.usage);
    // Most changes tell nothing of it.
    if before.is_some_and(|before| said(before) == said(after)) {
        return Usage::default();
    }
    let known = |attempt: &Attempt| attempt.known().usage.unwrap_or_default();
    let (then, now) = (before.map(known).unwrap_or_default(), known(after));
    Usage {
        input: now.input.saturating_sub(then.input),
        output: now.output.saturating_sub(then.output),
        cached: now.cached.saturating_sub(then.cached),
        cost: now
            .cost
            .map(|now| now.saturating_sub(then.cost.unwrap_or(0))),
        turns: now.turns.saturating_sub(then.turns),
    }
}
