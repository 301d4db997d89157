//! What happens to a task by itself, and when.
//!
//! All waits are counted from a moment that is stored with the task, so that
//! they go on over a restart of the daemon as if nothing had happened: time
//! that has passed has passed, whatever the wall clock did meanwhile.

use super::{
    limits::{KILL_LIMIT, STOP_SLACK},
    moment::Moment,
    retry,
    state::{Hold, State, StopReason, Task},
};

/// What a wait ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ends {
    /// The pause before the next attempt is over.
    Backoff,
    /// It has been in the queue for as long as it may.
    QueueTtl,
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
            let backoff = match hold {
                Hold::None => None,
                Hold::Backoff { until } => Some((backoff_left(task, *until, now), Ends::Backoff)),
            };
            let ttl = limits.queue_ttl.filter(|_| !task.started);
            let ttl = ttl.map(|limit| (left(limit, task.spec.submitted()), Ends::QueueTtl));
            [backoff, ttl]
        }
        State::Starting => {
            let claimed = task.live_attempt().map(|attempt| attempt.claimed_at);
            let wait = claimed.map(|at| (left(limits.start_timeout(), at), Ends::StartTimeout));
            [wait, None]
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

impl Ends {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backoff => "backoff",
            Self::QueueTtl => "queue_ttl",
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
            Self::StartTimeout => Some(StopReason::StartTimeout),
            Self::Timeout => Some(StopReason::Timeout),
            Self::Budget => Some(StopReason::Budget),
            Self::Backoff | Self::QueueTtl | Self::Stop => None,
        }
    }
}

#[cfg(test)]
mod tests;
