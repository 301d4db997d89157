//! What happens to a task by itself, and when.
//!
//! All waits are counted from a moment that is stored with the task, so that
//! they go on over a restart of the daemon as if nothing had happened: time
//! that has passed has passed, whatever the wall clock did meanwhile.

use super::{
    attempt::Attempt,
    limits::{KILL_LIMIT, STOP_SLACK, WORKSPACE_TIMEOUT},
    moment::Moment,
    retry,
    state::{Hold, State, StopReason, Task},
};

/// What a wait ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ends {
    /// The pause before the next attempt is over.
    Backoff,
    /// The time that it was submitted for has come.
    Scheduled,
    /// It has been in the queue for as long as it may.
    QueueTtl,
    /// The workspace has taken as long as it may.
    WorkspaceTimeout,
    /// The start has taken as long as it may.
    StartTimeout,
    /// The attempt has taken as long as it may.
    Timeout,
    /// A stop has taken longer than grace and kill.
    Stop,
    /// The lineage has run for as long as it may.
    Budget,
}

/// The waits of a task as it is `now`, each with the milliseconds that are
/// left of it; 0 if it is over.
///
/// Ask this when a task changes or is read from the store, not again when a
/// wait ends: where only the wall clock is known, and it was set back, the
/// answer may stay the same for a long time.
#[must_use]
pub fn waits(task: &Task, now: Moment) -> [Option<(u64, Ends)>; 2] {
    let limits = &task.spec.limits;
    let left = |limit: u64, since: Moment| limit.saturating_sub(now.millis_since(since));
    match &task.state {
        State::Queued(hold) => {
            let wait = hold_left(task, now);
            let hold = match hold {
                Hold::None | Hold::Held { .. } => None,
                Hold::Backoff { .. } => Some((wait, Ends::Backoff)),
                Hold::Scheduled { .. } => Some((wait, Ends::Scheduled)),
            };
            [hold, ttl_left(task, now).map(|left| (left, Ends::QueueTtl))]
        }
        State::Starting => {
            let wait = |attempt: &Attempt| match attempt.prepared_at {
                Some(at) => (left(limits.start_timeout(), at), Ends::StartTimeout),
                // It waits for others of its repository, and for git.
                None => {
                    let left = left(WORKSPACE_TIMEOUT, attempt.claimed_at);
                    (left, Ends::WorkspaceTimeout)
                }
            };
            [task.live_attempt().map(wait), None]
        }
        State::Running => {
            let live = task.live_attempt();
            let started = live.and_then(|attempt| attempt.started_at);
            let before = live.map_or(0, |attempt| attempt.before.wall);
            let budget = limits.max_wall.map(|limit| limit.saturating_sub(before));
            let wait = |limit: Option<u64>, ends| {
                let (limit, at) = limit.zip(started)?;
                Some((left(limit, at), ends))
            };
            [
                wait(limits.timeout, Ends::Timeout),
                wait(budget, Ends::Budget),
            ]
        }
        // From now, also after a start of the daemon: its runner is told again.
        State::Stopping { forced, .. } => {
            let grace = if *forced { 0 } else { limits.kill_grace() };
            let left = grace.saturating_add(KILL_LIMIT + STOP_SLACK);
            [Some((left, Ends::Stop)), None]
        }
        State::Finished(_) => [None, None],
    }
}

/// What is left `now` of a task's backoff until `until`, milliseconds.
#[must_use]
pub fn backoff_left(task: &Task, until: Moment, now: Moment) -> u64 {
    retry::left(until, now, task.spec.retry.maximum_interval())
}

/// What is left `now` of what the clock alone holds a queued task for,
/// milliseconds; 0 if the clock does not.
#[must_use]
pub fn hold_left(task: &Task, now: Moment) -> u64 {
    match &task.state {
        State::Queued(Hold::Backoff { until }) => backoff_left(task, *until, now),
        State::Queued(Hold::Scheduled { until }) => until.millis_since(now),
        State::Queued(Hold::None | Hold::Held { .. })
        | State::Starting
        | State::Running
        | State::Stopping { .. }
        | State::Finished(_) => 0,
    }
}

/// Whether a queued task is kept from a slot by what is stored with it.
#[must_use]
pub fn is_held(task: &Task, now: Moment) -> bool {
    let by_a_person = matches!(task.state, State::Queued(Hold::Held { .. }));
    by_a_person || !task.waits_for.is_empty() || hold_left(task, now) > 0
}

/// Whether a task waits for a time of the wall clock, which may be set.
#[must_use]
pub fn follows_the_wall(task: &Task, now: Moment) -> bool {
    match &task.state {
        State::Queued(Hold::Scheduled { until }) => !until.compares_steadily(now),
        State::Queued(Hold::None | Hold::Backoff { .. } | Hold::Held { .. })
        | State::Starting
        | State::Running
        | State::Stopping { .. }
        | State::Finished(_) => false,
    }
}

/// What is left `now` of a queued task's `queue_ttl`, milliseconds. It does not
/// pass while a person, a time of its own or other tasks hold it: it bounds how
/// long a task waits for its turn, not how long it was asked to wait.
fn ttl_left(task: &Task, now: Moment) -> Option<u64> {
    let limit = task.spec.limits.queue_ttl.filter(|_| !task.started)?;
    let submitted = now.millis_since(task.queued_since.unwrap_or(task.spec.submitted()));
    let (before, waited) = match &task.state {
        State::Queued(_) if !task.waits_for.is_empty() => return None,
        State::Queued(Hold::Held { .. }) => return None,
        State::Queued(Hold::Scheduled { until }) => (
            until.millis_since(now),
            now.millis_since(*until).min(submitted),
        ),
        State::Queued(Hold::None | Hold::Backoff { .. }) => (0, submitted),
        State::Starting | State::Running | State::Stopping { .. } | State::Finished(_) => {
            return None;
        }
    };
    Some(before.saturating_add(limit.saturating_sub(waited)))
}

impl Ends {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backoff => "backoff",
            Self::Scheduled => "scheduled",
            Self::QueueTtl => "queue_ttl",
            Self::WorkspaceTimeout => "workspace_timeout",
            Self::StartTimeout => "start_timeout",
            Self::Timeout => "timeout",
            Self::Stop => "stop",
            Self::Budget => "budget",
        }
    }

    /// Why an attempt is stopped at this end; `None`: no attempt is.
    #[must_use]
    pub fn stop_reason(self) -> Option<StopReason> {
        match self {
            Self::WorkspaceTimeout | Self::StartTimeout => Some(StopReason::StartTimeout),
            Self::Timeout => Some(StopReason::Timeout),
            Self::Budget => Some(StopReason::Budget),
            Self::Backoff | Self::Scheduled | Self::QueueTtl | Self::Stop => None,
        }
    }
}

#[cfg(test)]
mod tests;
