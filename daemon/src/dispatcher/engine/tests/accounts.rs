//! Accounts that have met a limit.

use super::*;
use crate::task::observed::Limited;

/// Task 1 ends, for its account may do nothing for an hour.
fn meets_its_limit(world: &mut World) {
    let attempt = world.attempt();
    let mut event = exited(attempt, 1);
    if let Event::Exited {
        verdict: Some(verdict),
        result,
        ..
    } = &mut event
    {
        verdict.reason = Some(FailureReason::UsageLimit);
        result.observed.limited = Some(Limited {
            reason: FailureReason::UsageLimit,
            until: Some(Timestamp(world.wall + HOUR)),
            message: "later".to_owned(),
        });
    }
    let _conclude = world.tell(event);
    assert_eq!(world.state(), StateKind::Queued);
}

fn launches(effects: &[Effect]) -> bool {
    matches!(effects, [Effect::Launch(_)])
}

#[test]
fn a_parked_account_opens_when_either_clock_says_so() {
    let hour = HOUR.unsigned_abs();
    for slept in [false, true] {
        let mut world = World::new();
        let _launch = world.submit(Limits::default());
        world.run();
        meets_its_limit(&mut world);
        let wait = world.wakes_in().unwrap();
        // A tenth of the wait, and at most half a minute, is added.
        assert!((3_600_000..3_630_000).contains(&wait), "{wait}");
        world.start();
        assert_eq!(world.turn(Vec::new()), []);
        if slept {
            world.wall += HOUR + 30_000;
            assert_eq!(
                world.turn(Vec::new()),
                [],
                "nobody has looked at that clock"
            );
            assert!(launches(&world.turn(vec![Message::ClockSet])));
        } else {
            // Set back: that must not hold it for longer.
            world.wall -= 9 * HOUR;
            world.pass(hour + 30_000);
            assert!(launches(&world.turn(Vec::new())));
        }
        assert_eq!(world.stored().spent, 1);
        assert_eq!(world.stored().attempts, 2);
    }
}

#[test]
fn a_person_opens_an_account_and_its_strikes_are_forgotten() {
    let mut world = World::new();
    let _launch = world.submit(Limits::default());
    world.run();
    meets_its_limit(&mut world);
    for cleared in [true, false] {
        let (reply, mut answer) = oneshot::channel();
        let account = "shell".to_owned();
        let effects = world.turn(vec![Message::ClearQuota { account, reply }]);
        assert_eq!(launches(&effects), cleared);
        // The answer is an act: nobody carries acts out here.
        assert!(answer.try_recv().is_err());
    }
    let reader = world.engine().parts.store.reader().unwrap();
    assert!(reader.accounts().unwrap().is_empty());
}
