use proptest::prelude::*;

use super::*;
use crate::task::{
    event::{Event, Stage},
    moment::{Boot, Steady},
    reason::Outcome,
    testing::{NONCE, claim, exited, named, registered, started, task},
    transition::{Context, Decision, decide},
};

const HOUR: u64 = 60 * MINUTE;

fn at(wall: i64, boot: &str, millis: u64) -> Moment {
    Moment {
        wall: Timestamp(wall),
        steady: Some(Steady {
            boot: Boot::of(boot),
            millis,
        }),
    }
}

/// An attempt that was claimed at a time and has ended.
fn ended(claimed: Moment, reason: Option<FailureReason>, reset: Option<i64>) -> Attempt {
    let me = named(1, 1, NONCE);
    let mut task = task(1);
    let mut end = exited(me, i32::from(reason.is_some()));
    if let Event::Exited {
        verdict: Some(verdict),
        result,
        ..
    } = &mut end
        && let Some(reason) = reason
    {
        verdict.outcome = Outcome::Failed;
        verdict.reason = Some(reason);
        result.observed.limited = is_parked(reason).then(|| Limited {
            reason,
            until: reset.map(Timestamp),
            message: "no more today".to_owned(),
        });
    }
    let events = [
        claim(NONCE),
        registered(me, Stage::Waiting),
        started(me),
        end,
    ];
    for event in events {
        let context = Context {
            now: claimed,
            random: 0,
        };
        let Decision::Apply(change) = decide(&task, &event, context) else {
            panic!("{event:?}");
        };
        task = change.next;
    }
    task.attempt.unwrap()
}

fn limited(claimed: Moment, reset: Option<i64>) -> Attempt {
    ended(claimed, Some(FailureReason::UsageLimit), reset)
}

fn parked(booking: Booking) -> Account {
    match booking {
        Booking::Park(account) => account,
        other @ (Booking::Nothing | Booking::Forget) => panic!("{other:?}"),
    }
}

#[test]
fn pauses_follow_the_reset_or_the_strikes() {
    for (strikes, reset, pause_is) in [
        (1, None, MINUTE),
        (2, None, 5 * MINUTE),
        (3, None, 15 * MINUTE),
        (4, None, HOUR),
        (99, None, HOUR),
        (1, Some(HOUR), HOUR),
        (1, Some(0), SHORTEST),
        (2, Some(0), SHORTEST),
        // It has been wrong too often.
        (3, Some(0), 15 * MINUTE),
        (4, Some(20 * MINUTE), HOUR),
        (4, Some(5 * HOUR), 5 * HOUR),
        (1, Some(u64::MAX), LONGEST),
    ] {
        assert_eq!(pause(strikes, reset, 0), pause_is, "{strikes} {reset:?}");
    }
}

proptest! {
    #[test]
    fn a_pause_has_its_bounds(strikes: u32, reset: Option<u64>, random: u64) {
        let pause = pause(strikes, reset, random);
        prop_assert!((SHORTEST..=LONGEST).contains(&pause));
        let reset = reset.unwrap_or(0);
        prop_assert!(pause >= reset.min(LONGEST));
        if strikes >= DISTRUST {
            prop_assert!(pause >= PAUSES[2]);
            prop_assert!(pause < reset.max(PAUSES[3]).saturating_add(MAX_JITTER));
        }
    }

    #[test]
    fn a_wait_is_never_longer_than_it_was_to_be(
        wait in SHORTEST..LONGEST,
        set: i64,
        passed: u64,
        reboot: bool,
    ) {
        let begin = at(1_000_000, "a", 500);
        let attempt = limited(begin, Some(1_000_000 + i64::try_from(wait).unwrap()));
        let account = parked(book(None, &attempt, begin, 0));
        let now = match reboot {
            true => at(set, "b", passed),
            false => at(set, "a", passed.max(500)),
        };
        let left = account.left(now);
        prop_assert!(left <= wait);
        if set >= account.until.0 || (!reboot && passed.saturating_sub(500) >= wait) {
            prop_assert_eq!(left, 0);
        }
    }
}

#[test]
fn strikes_in_a_row_are_counted_once_each() {
    let first = parked(book(
        None,
        &limited(at(0, "a", 0), None),
        at(10, "a", 10),
        0,
    ));
    assert_eq!((first.strikes, first.left(at(10, "a", 10))), (1, MINUTE));
    assert_eq!(first.message, "no more today");
    // It was under way when the limit was met: the same limit.
    let same = parked(book(
        Some(&first),
        &limited(at(5, "a", 5), None),
        at(20, "a", 20),
        0,
    ));
    assert_eq!(same.strikes, 1);
    let known = limited(at(5, "a", 5), Some(3_600_000));
    let known = parked(book(Some(&same), &known, at(30, "a", 30), 0));
    assert_eq!((known.strikes, known.until), (1, Timestamp(3_600_000)));
    // Whoever knows less does not shorten it.
    let less = limited(at(6, "a", 6), None);
    let less = parked(book(Some(&known), &less, at(40, "a", 40), 0));
    assert_eq!(less.until, Timestamp(3_600_000));
    let later = at(4_000_000, "a", 4_000_000);
    let second = parked(book(Some(&known), &limited(later, None), later, 0));
    assert_eq!((second.strikes, second.left(later)), (2, 5 * MINUTE));
}

#[test]
fn any_other_end_after_a_start_forgets_them() {
    let struck = at(10, "a", 10);
    let account = parked(book(None, &limited(at(0, "a", 0), None), struck, 0));
    let later = at(100_000, "a", 100_000);
    for reason in [None, Some(FailureReason::AgentError)] {
        let fine = ended(later, reason, None);
        assert_eq!(book(Some(&account), &fine, later, 0), Booking::Forget);
        assert_eq!(book(None, &fine, later, 0), Booking::Nothing);
        // One from before says nothing of the limit.
        let before = ended(at(5, "a", 5), reason, None);
        assert_eq!(book(Some(&account), &before, later, 0), Booking::Nothing);
    }
    let mut never = ended(later, Some(FailureReason::SpawnFailed), None);
    never.started_at = None;
    assert_eq!(book(Some(&account), &never, later, 0), Booking::Nothing);
}
