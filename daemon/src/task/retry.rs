//! Whether a failed attempt is followed by another, and when.

use serde::{Deserialize, Serialize};

use super::{
    attempt::Attempt,
    budget::{Budgets, Spend, UsedUp},
    limits::POISON_STREAK,
    moment::Moment,
    reason::{Class, FailureReason, Outcome, Reasons},
    state::Task,
};

/// The wait before the second attempt at the most, milliseconds.
pub const INITIAL_INTERVAL: u64 = 1_000;
/// The longest wait before any attempt, milliseconds.
pub const MAXIMUM_INTERVAL: u64 = 5 * 60_000;
/// By how much the wait grows with each attempt, thousandths.
pub const BACKOFF_COEFFICIENT: u32 = 2_000;
/// The longest `maximum_interval` that can be set, milliseconds.
pub const LONGEST_INTERVAL: u64 = 24 * 60 * 60_000;
/// What the growth of the wait can be set to, thousandths.
pub const COEFFICIENT: std::ops::RangeInclusive<u32> = 1_000..=100_000;
/// So many failures of sessions end a task: the second attempt was without the
/// one that failed.
pub const SESSION_FAILURES: u32 = 2;

/// What the operator or the submitter says of retries; `None` leaves it to the
/// next layer, as with [`super::limits::Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// The wait before the second attempt at the most, milliseconds.
    pub initial_interval: Option<u64>,
    /// By how much the wait grows with each attempt, thousandths; at least one.
    pub backoff_coefficient: Option<u32>,
    /// The longest wait before any attempt, milliseconds.
    pub maximum_interval: Option<u64>,
    /// Also retried, whatever their class says.
    pub retry_on: Option<Reasons>,
    /// Not retried, whatever else is said.
    pub non_retryable: Option<Reasons>,
}

impl Policy {
    /// This policy, and where it says nothing that of `next`.
    #[must_use]
    pub fn or(self, next: Self) -> Self {
        Self {
            initial_interval: self.initial_interval.or(next.initial_interval),
            backoff_coefficient: self.backoff_coefficient.or(next.backoff_coefficient),
            maximum_interval: self.maximum_interval.or(next.maximum_interval),
            retry_on: self.retry_on.or(next.retry_on),
            non_retryable: self.non_retryable.or(next.non_retryable),
        }
    }

    /// The longest wait before any attempt, milliseconds.
    #[must_use]
    pub fn maximum_interval(self) -> u64 {
        self.maximum_interval.unwrap_or(MAXIMUM_INTERVAL)
    }

    /// The wait before the attempt that follows `spent` others, milliseconds.
    #[must_use]
    pub fn backoff(self, spent: u32, random: u64) -> u64 {
        random % self.longest_backoff(spent).saturating_add(1)
    }

    /// The longest that [`Policy::backoff`] gives, milliseconds.
    #[must_use]
    pub fn longest_backoff(self, spent: u32) -> u64 {
        let factor = u64::from(self.backoff_coefficient.unwrap_or(BACKOFF_COEFFICIENT));
        let longest = self.maximum_interval();
        let mut wait = self.initial_interval.unwrap_or(INITIAL_INTERVAL);
        for _ in 1..spent {
            let next = (wait.saturating_mul(factor) / 1000).min(longest);
            if next <= wait {
                break;
            }
            wait = next;
        }
        wait.min(longest)
    }
}

/// What decides about the retries of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Attempts that it may spend.
    pub max_attempts: u32,
    /// What its lineage may spend.
    pub budgets: Budgets,
    /// All else.
    pub policy: Policy,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retry {
    /// Another attempt, not before this time.
    At(Moment),
    /// Another attempt, once the limit of its account is over. This one is not
    /// spent.
    Parked,
    /// None, for this reason.
    No(&'static str),
}

/// Decides what follows an attempt of `task` that failed for `reason`.
///
/// `random` is any number: it spreads the wait over the whole interval (full
/// jitter), so that tasks that failed together do not come back together.
#[must_use]
pub fn after(task: &Task, reason: FailureReason, now: Moment, random: u64) -> Retry {
    let rules = task.spec.retry_rules();
    let spend = task.attempt.as_ref().map(Attempt::total);
    match refusal(reason, task.counts(), spend.unwrap_or_default(), rules) {
        Some(why) => Retry::No(why),
        None if is_parked(reason) => Retry::Parked,
        None => Retry::At(now.plus_millis(rules.policy.backoff(task.spent, random))),
    }
}

/// What is counted over the attempts of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Attempts that count against `max_attempts`.
    pub spent: u32,
    /// `runner_lost` so often in a row.
    pub lost_streak: u32,
    /// Attempts that failed because of their session.
    pub session_failures: u32,
}

impl Counts {
    /// The counts once an attempt has ended for `reason`; its claim has not
    /// been counted.
    #[must_use]
    pub fn with(self, reason: Option<FailureReason>) -> Self {
        let lost = reason == Some(FailureReason::RunnerLost);
        let session = reason.is_some_and(|reason| reason.class() == Class::Session);
        Self {
            spent: match reason {
                Some(reason) if is_parked(reason) => self.spent,
                Some(_) | None => self.spent.saturating_add(1),
            },
            lost_streak: if lost {
                self.lost_streak.saturating_add(1)
            } else {
                0
            },
            session_failures: self.session_failures.saturating_add(session.into()),
        }
    }
}

/// Whether an attempt that ended for `reason` waits for its account, and is
/// not spent.
#[must_use]
pub fn is_parked(reason: FailureReason) -> bool {
    reason.class() == Class::Quota
}

/// Why no attempt follows one that failed for `reason`, which is counted
/// already, as is what its lineage has spent; `None` if one does.
#[must_use]
pub fn refusal(
    reason: FailureReason,
    counts: Counts,
    spend: Spend,
    rules: Rules,
) -> Option<&'static str> {
    let named = |set: Option<Reasons>| set.is_some_and(|set| set.contains(reason));
    if named(rules.policy.non_retryable) {
        return Some("it is among the reasons that are not to be retried");
    }
    let asked_for = named(rules.policy.retry_on) && reason.may_be_retried();
    match reason.class() {
        Class::Quota => return spend.used_up(rules.budgets).map(UsedUp::refusal),
        Class::Infrastructure => {}
        Class::Session if counts.session_failures < SESSION_FAILURES => {}
        Class::Session => return Some("a fresh session has failed, too"),
        Class::Workspace | Class::Agent | Class::Limit if asked_for => {}
        Class::Workspace => return Some("workspace failures are not retried"),
        Class::Agent => return Some("the agent's own failures are not retried"),
        Class::Limit => return Some("a limit was reached"),
        Class::Person if reason == FailureReason::Superseded => {
            return Some("a newer task took its place");
        }
        Class::Person => return Some("a person ended it"),
    }
    if counts.lost_streak >= POISON_STREAK {
        return Some("its runner was lost too often in a row");
    }
    if counts.spent >= rules.max_attempts {
        return Some("no attempts left");
    }
    spend.used_up(rules.budgets).map(UsedUp::refusal)
}

/// What is left `now` of a wait until `until`, milliseconds. Never more than
/// `longest`: after a reboot only the wall clock tells, and it may have been
/// set back.
#[must_use]
pub fn left(until: Moment, now: Moment, longest: u64) -> u64 {
    until.millis_since(now).min(longest)
}

/// The outcome of a task whose last attempt failed for `reason`.
#[must_use]
pub fn final_outcome(reason: FailureReason) -> Outcome {
    match reason {
        FailureReason::RunnerLost
        | FailureReason::HostRebooted
        | FailureReason::StartTimeout
        | FailureReason::ScopeStopped => Outcome::Interrupted,
        FailureReason::SpawnFailed
        | FailureReason::Timeout
        | FailureReason::Idle
        | FailureReason::QueueExpired
        | FailureReason::WorkspaceFailed
        | FailureReason::RepoMissing
        | FailureReason::AgentError
        | FailureReason::AgentMissing
        | FailureReason::OomKilled
        | FailureReason::ProviderUnreachable
        | FailureReason::RateLimited
        | FailureReason::UsageLimit
        | FailureReason::SessionLost
        | FailureReason::ContextOverflow
        | FailureReason::SessionPoisoned
        | FailureReason::AuthFailed
        | FailureReason::InvalidModel
        | FailureReason::PermissionBlocked
        | FailureReason::BudgetExceeded
        | FailureReason::DependencyFailed => Outcome::Failed,
        FailureReason::Cancelled | FailureReason::Superseded | FailureReason::IssueClosed => {
            Outcome::Cancelled
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::limits::Limits;

    #[test]
    fn the_wait_grows_and_is_bounded() {
        let policy = Policy::default();
        for (spent, longest) in [
            (0, 1_000),
            (1, 1_000),
            (2, 2_000),
            (3, 4_000),
            (9, 256_000),
            (10, 300_000),
        ] {
            assert_eq!(policy.backoff(spent, longest), longest, "{spent} attempts");
            assert_eq!(policy.backoff(spent, longest + 1), 0, "{spent} attempts");
        }
        assert!(policy.backoff(u32::MAX, u64::MAX) <= MAXIMUM_INTERVAL);
    }

    #[test]
    fn the_wait_is_as_the_policy_says() {
        let policy = |initial, coefficient, maximum| Policy {
            initial_interval: Some(initial),
            backoff_coefficient: Some(coefficient),
            maximum_interval: Some(maximum),
            ..Policy::default()
        };
        let waits = |policy: Policy| [1, 2, 3, 4].map(|spent| policy.longest_backoff(spent));
        assert_eq!(waits(policy(100, 1_500, 200)), [100, 150, 200, 200]);
        assert_eq!(waits(policy(100, 1_000, 900)), [100; 4]);
        assert_eq!(waits(policy(0, 2_000, 900)), [0; 4]);
        assert_eq!(waits(policy(500, 2_000, 100)), [100; 4]);
        let huge = policy(u64::MAX, u32::MAX, u64::MAX);
        assert_eq!(huge.longest_backoff(u32::MAX), u64::MAX);
        assert_eq!(huge.backoff(9, 7), 7);
    }

    #[test]
    fn reasons_are_retried_as_class_and_policy_say() {
        use FailureReason::{AgentError, Cancelled, ContextOverflow, RunnerLost, UsageLimit};
        let set = |reason| Some([reason].into_iter().collect());
        let refused = |reason, spent, session_failures, policy| {
            let counts = Counts {
                spent,
                lost_streak: 0,
                session_failures,
            };
            let rules = Rules {
                max_attempts: 3,
                budgets: Limits::default().budgets(),
                policy,
            };
            refusal(reason, counts, Spend::default(), rules).is_some()
        };
        let none = Policy::default();
        let on = |reason| Policy {
            retry_on: set(reason),
            ..none
        };
        let off = |reason| Policy {
            retry_on: set(reason),
            non_retryable: set(reason),
            ..none
        };
        assert!(!refused(RunnerLost, 2, 0, none));
        assert!(refused(RunnerLost, 3, 0, none));
        assert!(refused(RunnerLost, 1, 0, off(RunnerLost)));
        assert!(refused(AgentError, 1, 0, none));
        assert!(!refused(AgentError, 2, 0, on(AgentError)));
        assert!(refused(AgentError, 3, 0, on(AgentError)));
        assert!(refused(AgentError, 1, 0, off(AgentError)));
        assert!(refused(Cancelled, 1, 0, on(Cancelled)));
        assert!(!refused(ContextOverflow, 1, 1, none));
        assert!(refused(ContextOverflow, 2, 2, on(ContextOverflow)));
        assert!(refused(ContextOverflow, 3, 1, none));
        // A limit of the account costs no attempt, so none can be missing.
        assert!(!refused(UsageLimit, 3, 0, none));
        assert!(refused(UsageLimit, 0, 0, off(UsageLimit)));
    }
}
