use proptest::prelude::*;

use super::*;
use crate::task::{
    event::{AttemptRef, Event, Stage},
    id::Timestamp,
    moment::Moment,
    state::StopReason,
    testing::{NONCE, cancel, claim, exited, named, registered, started, task},
    transition::{Context, Decision, decide},
};

fn apply(task: &Task, event: &Event, random: u64) -> Task {
    let now = Moment::of_wall(Timestamp(10_000));
    let Decision::Apply(change) = decide(task, event, Context { now, random }) else {
        panic!("{event:?} changes nothing of {:?}", task.state);
    };
    change.next
}

/// One of the ways in which an attempt that runs, or is on its way, ends.
fn ending(way: u8, me: AttemptRef) -> Vec<Event> {
    let running = || vec![registered(me, Stage::Waiting), started(me)];
    let lost = |reason| Event::Lost {
        attempt: me,
        reason,
    };
    let limit = |limit| Event::Deadline { attempt: me, limit };
    let mut events = running();
    match way % 12 {
        0 => events.push(exited(me, 0)),
        1 => events.push(exited(me, 3)),
        2 => events.push(lost(FailureReason::HostRebooted)),
        3 => return vec![Event::NeverStarted { attempt: me }],
        4 => {
            return vec![Event::StartFailed {
                attempt: me,
                reason: FailureReason::WorkspaceFailed,
                message: "no".to_owned(),
            }];
        }
        5 => events.extend([limit(StopReason::Timeout), exited(me, 1)]),
        6 => events.extend([cancel(false), exited(me, 1)]),
        7 => events.push(exited_because(me, FailureReason::UsageLimit)),
        8 => events.push(exited_because(me, FailureReason::ContextOverflow)),
        // Often: it takes several in a row to matter.
        _ => events.push(lost(FailureReason::RunnerLost)),
    }
    events
}

fn exited_because(me: AttemptRef, reason: FailureReason) -> Event {
    let mut event = exited(me, 1);
    if let Event::Exited {
        verdict: Some(verdict),
        ..
    } = &mut event
    {
        verdict.reason = Some(reason);
    }
    event
}

/// Where the task is, in the words of a sequel.
fn decided(task: &Task) -> &'static str {
    match &task.state {
        State::Queued(crate::task::state::Hold::None) => "uncounted",
        State::Queued(crate::task::state::Hold::Backoff { .. }) => "retry",
        State::Queued(
            crate::task::state::Hold::Scheduled { .. } | crate::task::state::Hold::Held { .. },
        ) => "held",
        State::Finished(ending) if ending.reason.is_none() => "nothing",
        State::Finished(_) => "refused",
        State::Starting | State::Running | State::Stopping { .. } => "under way",
    }
}

fn told(follows: Follows) -> &'static str {
    match follows {
        Follows::Nothing => "nothing",
        Follows::Uncounted | Follows::Parked => "uncounted",
        Follows::Retry { .. } => "retry",
        Follows::Refused(_) => "refused",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_told_is_what_was_decided(
        ways in prop::collection::vec(any::<u8>(), 1..12),
        max_attempts in 1_u32..6,
        random: u64,
    ) {
        let mut task = task(1);
        task.spec.limits.max_attempts = Some(max_attempts);
        let mut attempts = Vec::new();
        let mut history = Vec::new();
        for way in ways {
            if !task.state.is_active() {
                break;
            }
            task = apply(&task, &claim(NONCE), random);
            let mut promised = None;
            for event in ending(way, named(1, task.attempts, NONCE)) {
                promised = expected(&task);
                prop_assert!(promised.is_some());
                task = apply(&task, &event, random);
            }
            prop_assert_eq!(expected(&task), None);
            attempts.push(task.attempt.clone().unwrap());
            history.push(decided(&task));
            let sequels = sequels(&attempts, task.spec.retry_rules());
            let last = *sequels.last().unwrap();
            prop_assert_eq!(last.counts, task.counts());
            if promised.is_some_and(|promised| promised.reason == last.reason) {
                prop_assert_eq!(promised, Some(last));
            }
            let said: Vec<_> = sequels.iter().map(|sequel| told(sequel.follows)).collect();
            prop_assert_eq!(&said, &history);
        }
    }
}
