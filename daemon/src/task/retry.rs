//! Whether a failed attempt is followed by another, and when.

use super::{
    limits::POISON_STREAK,
    moment::Moment,
    reason::{Class, FailureReason, Outcome},
    state::Task,
};

/// The wait before the second attempt at the most, milliseconds.
pub const INITIAL_INTERVAL: u64 = 1_000;
/// The longest wait before any attempt, milliseconds.
pub const MAXIMUM_INTERVAL: u64 = 5 * 60_000;
/// By how much the wait grows with each attempt.
pub const BACKOFF_COEFFICIENT: u64 = 2;

/// What follows a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retry {
    /// Another attempt, not before this time.
    At(Moment),
    /// None, for this reason.
    No(&'static str),
}

/// Decides what follows an attempt of `task` that failed for `reason`.
///
/// `random` is any number: it spreads the wait over the whole interval (full
/// jitter), so that tasks that failed together do not come back together.
#[must_use]
pub fn after(task: &Task, reason: FailureReason, now: Moment, random: u64) -> Retry {
    let counts = Counts {
        spent: task.spent,
        lost_streak: task.lost_streak,
    };
    match refusal(reason, counts, task.spec.limits.max_attempts()) {
        Some(why) => Retry::No(why),
        None => Retry::At(now.plus_millis(backoff(task.spent, random))),
    }
}

/// What is counted over the attempts of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Attempts that count against `max_attempts`.
    pub spent: u32,
    /// `runner_lost` so often in a row.
    pub lost_streak: u32,
}

/// Why no attempt follows one that failed for `reason`, which is counted
/// already; `None` if one does.
#[must_use]
pub fn refusal(reason: FailureReason, counts: Counts, max_attempts: u32) -> Option<&'static str> {
    match reason.class() {
        Class::Infrastructure => {}
        Class::Workspace => return Some("workspace failures are not retried"),
        Class::Agent => return Some("the agent's own failures are not retried"),
        Class::Limit => return Some("a limit was reached"),
        Class::Person => return Some("a person ended it"),
    }
    if counts.lost_streak >= POISON_STREAK {
        return Some("its runner was lost too often in a row");
    }
    (counts.spent >= max_attempts).then_some("no attempts left")
}

/// The wait before the attempt that follows `spent` others, milliseconds.
#[must_use]
pub fn backoff(spent: u32, random: u64) -> u64 {
    random % (longest_backoff(spent) + 1)
}

/// The longest that [`backoff`] gives, milliseconds.
#[must_use]
pub fn longest_backoff(spent: u32) -> u64 {
    let doublings = spent.saturating_sub(1).min(32);
    INITIAL_INTERVAL
        .saturating_mul(BACKOFF_COEFFICIENT.saturating_pow(doublings))
        .min(MAXIMUM_INTERVAL)
}

/// What is left `now` of a wait until `until`, milliseconds. Never more than
/// the longest wait there is: after a reboot only the wall clock tells, and it
/// may have been set back.
#[must_use]
pub fn left(until: Moment, now: Moment) -> u64 {
    until.millis_since(now).min(MAXIMUM_INTERVAL)
}

/// The outcome of a task whose last attempt failed for `reason`.
#[must_use]
pub fn final_outcome(reason: FailureReason) -> Outcome {
    match reason {
        FailureReason::RunnerLost | FailureReason::HostRebooted | FailureReason::StartTimeout => {
            Outcome::Interrupted
        }
        FailureReason::SpawnFailed
        | FailureReason::Timeout
        | FailureReason::Idle
        | FailureReason::QueueExpired
        | FailureReason::WorkspaceFailed
        | FailureReason::RepoMissing
        | FailureReason::AgentError
        | FailureReason::AgentMissing
        | FailureReason::OomKilled => Outcome::Failed,
        FailureReason::Cancelled | FailureReason::Superseded => Outcome::Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_and_is_bounded() {
        for (spent, longest) in [
            (1, 1_000),
            (2, 2_000),
            (3, 4_000),
            (9, 256_000),
            (10, 300_000),
        ] {
            assert_eq!(backoff(spent, longest), longest, "{spent} attempts");
            assert_eq!(backoff(spent, longest + 1), 0, "{spent} attempts");
        }
        assert!(backoff(u32::MAX, u64::MAX) <= MAXIMUM_INTERVAL);
    }
}
