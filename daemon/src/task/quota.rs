//! Accounts that have met a limit of their provider, and until when their
//! tasks wait.
//!
//! A reset time is a time of the wall clock, and over when that clock says so,
//! also on a machine that slept. Lest a clock that was set back holds an
//! account for ever, it opens at the latest when the clock for waiting has gone
//! on for as long as the wait was to be.

use serde::{Deserialize, Serialize};

use super::{
    attempt::Attempt,
    id::{AttemptId, Timestamp},
    limits::{MAX_MESSAGE, clip},
    moment::Moment,
    observed::Limited,
    reason::FailureReason,
    retry::is_parked,
};

const MINUTE: u64 = 60_000;
/// The shortest pause, milliseconds: a reset time that has passed must not
/// become a loop.
pub const SHORTEST: u64 = 1_000;
/// The longest pause, milliseconds: weekly limits and a day.
pub const LONGEST: u64 = 8 * 24 * 60 * MINUTE;
/// Pauses when no reset time is known, by strikes in a row, milliseconds.
pub const PAUSES: [u64; 4] = [MINUTE, 5 * MINUTE, 15 * MINUTE, 60 * MINUTE];
/// From so many strikes in a row on, a reset time shortens no pause of these.
pub const DISTRUST: u32 = 3;
/// The most that is added to a reset time, milliseconds: not all machines of an
/// account are to come back at once.
const MAX_JITTER: u64 = 30_000;

/// An account that has met a limit since an attempt of it last ended otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Limits met in a row. Attempts that were under way when it met one tell
    /// of the same limit and are not counted.
    pub strikes: u32,
    /// When the last of them was counted.
    pub struck_at: Moment,
    /// Its tasks wait until then; see [`Account::left`].
    pub until: Timestamp,
    /// When that was decided.
    pub since: Moment,
    /// `RateLimited` or `UsageLimit`.
    pub reason: FailureReason,
    /// The provider's words.
    pub message: String,
    /// Whose attempt met it.
    pub attempt: AttemptId,
}

/// What the end of an attempt does to its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Booking {
    /// Nothing.
    Nothing,
    /// It waits.
    Park(Account),
    /// It works: what was known of it is forgotten.
    Forget,
}

impl Account {
    /// What is left of its wait, milliseconds; 0: its tasks may run.
    #[must_use]
    pub fn left(&self, now: Moment) -> u64 {
        let whole = self.until.millis_since(self.since.wall);
        let by_wall = self.until.millis_since(now.wall);
        let boot = |moment: Moment| moment.steady.map(|steady| steady.boot);
        let passed = if boot(now).is_some() && boot(now) == boot(self.since) {
            now.millis_since(self.since)
        } else {
            0
        };
        by_wall.min(whole.saturating_sub(passed)).min(LONGEST)
    }
}

/// What the end of `attempt` does to its account, of which `before` is known.
#[must_use]
pub fn book(before: Option<&Account>, attempt: &Attempt, now: Moment, random: u64) -> Booking {
    let reason = attempt.ending.as_ref().and_then(|ending| ending.reason);
    // It was under way when the limit was met.
    let earlier =
        before.is_some_and(|account| account.struck_at.millis_since(attempt.claimed_at) > 0);
    match reason.filter(|reason| is_parked(*reason)) {
        Some(reason) => {
            let limited = attempt.known().limited;
            Booking::Park(met(
                before, earlier, reason, limited, attempt.id, now, random,
            ))
        }
        None if before.is_some() && attempt.started_at.is_some() && !earlier => Booking::Forget,
        None => Booking::Nothing,
    }
}

fn met(
    before: Option<&Account>,
    earlier: bool,
    reason: FailureReason,
    limited: Option<Limited>,
    attempt: AttemptId,
    now: Moment,
    random: u64,
) -> Account {
    let (strikes, struck_at) = match before {
        Some(account) if earlier => (account.strikes, account.struck_at),
        Some(account) => (account.strikes.saturating_add(1), now),
        None => (1, now),
    };
    let reset = limited.as_ref().and_then(|limited| limited.until);
    let pause = pause(strikes, reset.map(|at| at.millis_since(now.wall)), random);
    let fresh = Account {
        strikes,
        struck_at,
        until: now.wall.plus_millis(pause),
        since: now,
        reason,
        message: clip(
            &limited.map_or_else(String::new, |limited| limited.message),
            MAX_MESSAGE,
        ),
        attempt,
    };
    match before {
        // The later of two answers to one question.
        Some(account) if earlier && account.left(now) > pause => account.clone(),
        Some(_) | None => fresh,
    }
}

/// How long an account waits that has met a limit so often in a row,
/// milliseconds. `reset` is what is left until the provider's reset, if it has
/// named one.
#[must_use]
pub fn pause(strikes: u32, reset: Option<u64>, random: u64) -> u64 {
    let step = usize::try_from(strikes.saturating_sub(1)).unwrap_or(usize::MAX);
    let unknown = PAUSES[step.min(PAUSES.len() - 1)];
    let pause = match reset {
        None => unknown,
        Some(reset) => {
            let least = if strikes >= DISTRUST { unknown } else { 0 };
            let wait = reset.max(least);
            let jitter = MAX_JITTER.min(wait / 10 + 1_000);
            wait.saturating_add(random % jitter)
        }
    };
    pause.clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests;
