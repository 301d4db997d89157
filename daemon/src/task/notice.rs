//! Word to a person that a task has ended: by which ways it goes, and what follows
//! when it is not taken.
//!
//! A command that fails is likely to fail again, and others wait behind it: it is
//! tried a few times. Who serves a webhook may be down for a night, so it is tried
//! for days; what it understands and refuses is not sent again.

/// How word is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// A program of the operator's choice.
    Command,
    /// A server of the operator's choice.
    Webhook,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Command, Self::Webhook];

    /// The word in logs and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Webhook => "webhook",
        }
    }
}

/// Tries of one notice by a command.
pub const TRIES: u32 = 3;
/// A notice that is older than this is given up while a webhook is down,
/// milliseconds.
pub const KEPT: u64 = 3 * 24 * 60 * 60 * 1000;
/// First and longest pause before a webhook is tried again, milliseconds.
const FIRST: u64 = 1000;
const LONGEST: u64 = 5 * 60 * 1000;
/// By so much each pause of a command is longer than the one before.
const SLOWER: u64 = 5;
/// The longest pause that a server may ask for, milliseconds.
const ASKED: u64 = 60 * 60 * 1000;

/// What was not taken, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// How often this notice was sent.
    pub tries: u32,
    /// How often in a row nothing was taken, other notices included.
    pub in_a_row: u32,
    /// Since the task ended, milliseconds.
    pub age: u64,
    /// What the server asks for, milliseconds.
    pub retry_after: Option<u64>,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is sent again after so many milliseconds.
    Again(u64),
    /// It is never sent again.
    GiveUp,
}

/// What follows when a notice was not taken, though it may be another time.
#[must_use]
pub fn next(way: Way, missed: Missed) -> Next {
    match way {
        Way::Command if missed.tries >= TRIES => Next::GiveUp,
        Way::Command => {
            let before = missed.tries.saturating_sub(1);
            Next::Again(FIRST.saturating_mul(SLOWER.saturating_pow(before)))
        }
        Way::Webhook if missed.age >= KEPT => Next::GiveUp,
        Way::Webhook => {
            let before = missed.in_a_row.saturating_sub(1).min(u64::BITS - 1);
            let pause = FIRST.saturating_mul(1 << before).min(LONGEST);
            let asked = missed.retry_after.unwrap_or(0).min(ASKED);
            Next::Again(pause.max(asked))
        }
    }
}

/// Whether a notice is not sent at all: nothing was taken for long, and it has
/// waited for as long as any does.
#[must_use]
pub fn is_stale(way: Way, in_a_row: u32, age: u64) -> bool {
    way == Way::Webhook && in_a_row > 0 && age >= KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(way: Way, tries: u32, in_a_row: u32, age: u64, retry_after: Option<u64>) -> Next {
        let missed = Missed {
            tries,
            in_a_row,
            age,
            retry_after,
        };
        next(way, missed)
    }

    #[test]
    fn a_command_is_tried_a_few_times_whatever_the_age() {
        let tried = |tries| after(Way::Command, tries, 99, 10 * KEPT, Some(1));
        assert_eq!(tried(1), Next::Again(1000));
        assert_eq!(tried(2), Next::Again(5000));
        assert_eq!(tried(3), Next::GiveUp);
        assert_eq!(tried(u32::MAX), Next::GiveUp);
        assert!(!is_stale(Way::Command, 99, 10 * KEPT));
    }

    #[test]
    fn a_webhook_is_tried_for_days_with_growing_pauses() {
        let hour = 60 * 60 * 1000;
        let mut waited = 0;
        let mut tries = 0;
        while waited < 12 * hour {
            tries += 1;
            let Next::Again(pause) = after(Way::Webhook, tries, tries, waited, None) else {
                panic!("given up after {waited} ms");
            };
            assert!(pause <= LONGEST, "{pause}");
            waited += pause;
        }
        // A night is few tries, and its end is seen soon.
        assert!((100..200).contains(&tries), "{tries}");
        assert_eq!(after(Way::Webhook, 9, 9, KEPT, None), Next::GiveUp);
        let last = after(Way::Webhook, u32::MAX, u32::MAX, KEPT - 1, None);
        assert_eq!(last, Next::Again(LONGEST));
    }

    #[test]
    fn pauses_grow_over_notices_and_a_server_may_ask_for_longer_ones() {
        assert_eq!(after(Way::Webhook, 1, 1, 0, None), Next::Again(1000));
        assert_eq!(after(Way::Webhook, 1, 4, 0, None), Next::Again(8000));
        let asked = |millis| after(Way::Webhook, 1, 4, 0, Some(millis));
        assert_eq!(asked(1), Next::Again(8000));
        assert_eq!(asked(90_000), Next::Again(90_000));
        assert_eq!(asked(u64::MAX), Next::Again(ASKED));
    }

    #[test]
    fn what_is_old_is_sent_once_unless_nobody_is_there() {
        assert!(!is_stale(Way::Webhook, 0, 10 * KEPT));
        assert!(!is_stale(Way::Webhook, 1, KEPT - 1));
        assert!(is_stale(Way::Webhook, 1, KEPT));
    }
}
