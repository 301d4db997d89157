//! Tasks that are held, and that wait for others.

use super::*;

fn applied(task: &Task, event: &Event) -> (Task, What, String) {
    match decide(task, event, CONTEXT) {
        Decision::Apply(change) => {
            assert_eq!(change.effect, None);
            (change.next, change.what, change.why)
        }
        other @ (Decision::Repeat(_) | Decision::Ignore(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_person_holds_and_releases() {
    let hold = Event::Hold {
        by: "ann".to_owned(),
    };
    let release = Event::Release {
        by: "bob".to_owned(),
    };
    let later = NOW.plus_millis(9);
    for (before, why) in [
        (Hold::None, None),
        (
            Hold::Backoff { until: later },
            Some("released by bob: its pause after a failed attempt ends now"),
        ),
        (
            Hold::Scheduled { until: later },
            Some("released by bob: it need not wait for its time"),
        ),
    ] {
        let mut task = task(1);
        task.state = State::Queued(before.clone());
        let (held, what, by) = applied(&task, &hold);
        assert_eq!((what, by.as_str()), (What::Held, "held by ann"));
        let ignored = Decision::Ignore(Ignored::NotNow);
        assert_eq!(decide(&held, &hold, CONTEXT), ignored, "held already");
        assert_eq!(decide(&held, &claim(NONCE), CONTEXT), ignored);
        assert_eq!(decide(&held, &queue_expired(), CONTEXT), ignored);
        let (free, what, by) = applied(&held, &release);
        assert_eq!((what, by.as_str()), (What::Released, "released by bob"));
        assert_eq!(free.state, State::Queued(Hold::None));
        assert_eq!(free.queued_since, Some(NOW));
        // Without a hold by a person it ends what the clock holds.
        match why {
            Some(why) => assert_eq!(applied(&task, &release).2, why),
            None => assert_eq!(decide(&task, &release, CONTEXT), ignored),
        }
    }
}

#[test]
fn a_task_waits_for_all_it_was_told_to() {
    let after = |number, condition| After {
        task: crate::task::testing::id(number),
        condition,
    };
    let ended = |number, outcome| Event::DependencyEnded {
        task: crate::task::testing::id(number),
        outcome,
    };
    let mut waiting = task(9);
    waiting.waits_for = vec![after(2, Condition::Success), after(3, Condition::End)];
    let ignored = Decision::Ignore(Ignored::NotNow);
    assert_eq!(decide(&waiting, &claim(NONCE), CONTEXT), ignored);
    assert_eq!(
        decide(&waiting, &ended(4, Outcome::Failed), CONTEXT),
        ignored
    );
    let (next, what, why) = applied(&waiting, &ended(3, Outcome::Cancelled));
    assert_eq!(
        (what, why.as_str()),
        (What::DependencyMet, "task 3 was cancelled")
    );
    assert_eq!((next.waits_for.len(), next.queued_since), (1, None));
    assert_eq!(
        decide(&next, &ended(3, Outcome::Cancelled), CONTEXT),
        ignored
    );
    let (free, ..) = applied(&next, &ended(2, Outcome::Succeeded));
    assert_eq!((free.waits_for.len(), free.queued_since), (0, Some(NOW)));
    let (failed, what, why) = applied(&next, &ended(2, Outcome::Interrupted));
    assert_eq!(what, What::Finished);
    assert_eq!(why, "task 2, which had to succeed first, was interrupted");
    let State::Finished(ending) = failed.state else {
        panic!("it goes on");
    };
    assert_eq!(ending.outcome, Outcome::Failed);
    assert_eq!(ending.reason, Some(FailureReason::DependencyFailed));
}
