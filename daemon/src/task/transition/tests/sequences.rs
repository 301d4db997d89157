//! What holds whatever happens, in whatever order.

use proptest::prelude::*;

use super::*;

/// Events for task 1 with any of a few attempt numbers and secrets.
fn any_event() -> impl Strategy<Value = Event> {
    let nonce = prop_oneof![9 => Just(NONCE), 1 => Just(Nonce([2; 16]))];
    (nonce, 1u32..5, 0u8..20).prop_map(|(nonce, number, kind)| {
        let me = named(1, number, nonce);
        match kind {
            0 | 1 => claim(NONCE),
            2 => Event::Prepared {
                attempt: me,
                workspace: workspace(),
                given: Given::default(),
            },
            3 => Event::StartFailed {
                attempt: me,
                reason: FailureReason::SpawnFailed,
                message: "no".to_owned(),
            },
            4 | 5 => registered(me, Stage::Waiting),
            6 => registered(me, running()),
            7 => started(me),
            8 => exited(me, 0),
            9 => exited(me, 1),
            10 => Event::Lost {
                attempt: me,
                reason: FailureReason::RunnerLost,
            },
            11 => Event::NeverStarted { attempt: me },
            12 => cancel(number % 2 == 0),
            13 => queue_expired(),
            14 => Event::Hold {
                by: "ann".to_owned(),
            },
            15 => Event::Release {
                by: "ann".to_owned(),
            },
            16 => Event::DependencyEnded {
                task: crate::task::testing::id(u64::from(number % 3) + 2),
                outcome: if number % 2 == 0 {
                    Outcome::Succeeded
                } else {
                    Outcome::Failed
                },
            },
            17 => Event::SettingUp {
                attempt: me,
                command: "make".to_owned(),
            },
            18 => registered(
                me,
                Stage::SettingUp {
                    command: "make".to_owned(),
                },
            ),
            _ => Event::Deadline {
                attempt: me,
                limit: match number % 3 {
                    0 => StopReason::Timeout,
                    1 => StopReason::StartTimeout,
                    _ => StopReason::Idle,
                },
            },
        }
    })
}

fn check(before: &Task, event: &Event, next: &Task) {
    assert!(before.state.is_active(), "a final state was left");
    assert_eq!(next.id, before.id);
    assert_eq!(next.spec, before.spec);
    if let Some(named) = attempt_of(event) {
        assert_eq!(before.live_attempt().map(reference), Some(named));
    }
    assert!(
        next.attempts >= before.attempts,
        "an attempt's number came back"
    );
    assert!(next.spent <= next.attempts);
    if next.state.is_occupied() {
        assert!(next.waits_for.is_empty(), "it did not wait");
        let held = matches!(before.state, State::Queued(Hold::Held { .. }));
        assert!(!held, "what is held was started");
    }
    assert!(
        next.spent <= next.spec.limits.max_attempts(),
        "an attempt too many"
    );
    if next.state.is_occupied() {
        let attempt = next
            .attempt
            .as_ref()
            .expect("an occupied state has an attempt");
        assert_eq!(attempt.id.number, next.attempts);
        assert_ne!(attempt.phase, Phase::Ended);
        if next.state == State::Running {
            // Registered: its repository is set up.
            assert_ne!(attempt.phase, Phase::Claimed);
            assert!(attempt.runner.is_some());
        }
        if attempt.phase == Phase::Running {
            assert!(attempt.runner.is_some() && attempt.agent.is_some());
        }
    } else if let Some(attempt) = &next.attempt {
        assert_eq!(attempt.phase, Phase::Ended, "an attempt without an owner");
        assert!(attempt.ending.is_some());
    }
    let cancelling = matches!(
        before.state,
        State::Stopping {
            reason: StopReason::Cancel,
            ..
        }
    );
    if cancelling {
        match &next.state {
            State::Finished(ending) => assert_eq!(ending.outcome, Outcome::Cancelled),
            State::Stopping { reason, .. } => assert_eq!(*reason, StopReason::Cancel),
            State::Queued(_) | State::Starting | State::Running => panic!("a cancel was forgotten"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_sequence_of_events_breaks_the_rules(
        events in prop::collection::vec(any_event(), 1..60),
        random: u64,
    ) {
        let mut task = task(1);
        task.spec.limits.queue_ttl = Some(1);
        task.waits_for = (0..random % 3).map(|n| After {
            task: crate::task::testing::id(n + 2),
            condition: if n == 0 { Condition::End } else { Condition::Success },
        }).collect();
        for event in events {
            let context = Context { now: NOW, random };
            let decision = decide(&task, &event, context);
            prop_assert_eq!(&decision, &decide(&task, &event, context));
            match decision {
                Decision::Apply(change) => {
                    check(&task, &event, &change.next);
                    if let Some(Effect::Go(_)) = change.effect {
                        let attempt = change.next.attempt.as_ref().unwrap();
                        prop_assert!(attempt.runner.is_some(), "Go without an identity");
                    }
                    task = change.next;
                }
                Decision::Repeat(effect) => {
                    if let Effect::Go(_) = effect {
                        let attempt = task.attempt.as_ref().unwrap();
                        prop_assert!(attempt.runner.is_some(), "Go without an identity");
                    }
                }
                Decision::Ignore(_) => {}
            }
        }
    }
}
