mod sequences;
mod setup;
mod stale;
mod wait;

use super::*;
use crate::task::{
    dependency::{After, Condition},
    event::Stage,
    id::{Nonce, Timestamp},
    session::Given,
    state::{StateKind, StopReason},
    testing::{
        NONCE, cancel, claim, exited, named, process, registered, running, started, task, workspace,
    },
};

fn queue_expired() -> Event {
    Event::QueueExpired {
        kept_by: "everything is paused".to_owned(),
    }
}

const NOW: Moment = Moment {
    wall: Timestamp(10_000),
    steady: None,
};
const CONTEXT: Context = Context {
    now: NOW,
    random: 0,
};

/// Applies events one after the other; every one must change the task.
fn after(mut task: Task, events: &[Event]) -> (Task, Vec<Effect>) {
    let mut effects = Vec::new();
    for event in events {
        let Decision::Apply(change) = decide(&task, event, CONTEXT) else {
            panic!("{event:?} changes nothing of {:?}", task.state);
        };
        effects.extend(change.effect);
        task = change.next;
    }
    (task, effects)
}

fn finished(task: &Task) -> (Outcome, Option<FailureReason>) {
    let State::Finished(ending) = &task.state else {
        panic!("not finished: {:?}", task.state);
    };
    (ending.outcome, ending.reason)
}

fn to_running() -> Vec<Event> {
    let me = named(1, 1, NONCE);
    vec![claim(NONCE), registered(me, Stage::Waiting), started(me)]
}

#[test]
fn a_good_run_from_submit_to_success() {
    let me = named(1, 1, NONCE);
    let mut events = to_running();
    events.push(exited(me, 0));
    let (task, effects) = after(task(1), &events);
    assert_eq!(finished(&task), (Outcome::Succeeded, None));
    assert_eq!(
        effects,
        [Effect::Launch(me), Effect::Go(me), Effect::Conclude(me)]
    );
    let attempt = task.attempt.unwrap();
    assert_eq!(attempt.phase, Phase::Ended);
    assert_eq!(attempt.started_at.map(|at| at.wall), Some(Timestamp(2_000)));
    assert!(task.started);
    assert!(attempt.exit.is_some());
}

#[test]
fn an_agents_own_failure_is_final_and_keeps_its_exit() {
    let mut events = to_running();
    events.push(exited(named(1, 1, NONCE), 3));
    let (task, _) = after(task(1), &events);
    assert_eq!(
        finished(&task),
        (Outcome::Failed, Some(FailureReason::AgentError))
    );
}

#[test]
fn a_lost_runner_is_retried_until_attempts_are_spent() {
    let mut task = task(1);
    for number in 1..=3 {
        let nonce = Nonce([u8::try_from(number).unwrap(); 16]);
        let me = named(1, number, nonce);
        let lost = Event::Lost {
            attempt: me,
            reason: FailureReason::RunnerLost,
        };
        (task, _) = after(task, &[claim(nonce), registered(me, Stage::Waiting), lost]);
    }
    assert_eq!(
        finished(&task),
        (Outcome::Interrupted, Some(FailureReason::RunnerLost))
    );
    assert_eq!(task.attempts, 3);
}

#[test]
fn a_task_that_kills_its_host_is_not_retried_for_ever() {
    let mut task = task(1);
    task.spec.limits.max_attempts = Some(100);
    let mut number = 0;
    while task.state.is_active() {
        number += 1;
        let me = named(1, number, NONCE);
        let lost = Event::Lost {
            attempt: me,
            reason: FailureReason::RunnerLost,
        };
        (task, _) = after(task, &[claim(NONCE), registered(me, Stage::Waiting), lost]);
    }
    assert_eq!(number, 3);
}

#[test]
fn a_failed_start_goes_back_or_fails_with_its_words() {
    let me = named(1, 1, NONCE);
    let start_failed = |reason, message: &str| Event::StartFailed {
        attempt: me,
        reason,
        message: message.to_owned(),
    };
    let (queued, _) = after(
        task(1),
        &[
            claim(NONCE),
            start_failed(FailureReason::SpawnFailed, "fork: EAGAIN"),
        ],
    );
    assert!(matches!(queued.state, State::Queued(Hold::Backoff { .. })));
    let (failed, effects) = after(
        task(1),
        &[
            claim(NONCE),
            start_failed(
                FailureReason::WorkspaceFailed,
                "fatal: not a git repository",
            ),
        ],
    );
    let State::Finished(ending) = &failed.state else {
        panic!("{:?}", failed.state);
    };
    assert_eq!(ending.message, "fatal: not a git repository");
    assert_eq!(effects.last(), Some(&Effect::Conclude(me)));
}

#[test]
fn an_attempt_that_was_never_started_is_not_spent() {
    let me = named(1, 1, NONCE);
    let (task, _) = after(
        task(1),
        &[claim(NONCE), Event::NeverStarted { attempt: me }],
    );
    assert_eq!(task.state, State::Queued(Hold::None));
    assert_eq!((task.attempts, task.spent), (1, 0));
}

#[test]
fn cancel_in_every_state() {
    let me = named(1, 1, NONCE);
    let (queued, effects) = after(task(1), &[cancel(false)]);
    assert_eq!(
        finished(&queued),
        (Outcome::Cancelled, Some(FailureReason::Cancelled))
    );
    assert_eq!(effects, []);

    for run in [&to_running()[..1], &to_running()[..2], &to_running()] {
        let (stopping, effects) = after(after(task(1), run).0, &[cancel(false)]);
        assert_eq!(stopping.state.kind(), StateKind::Stopping);
        assert!(matches!(effects[..], [Effect::Stop { grace: 10_000, .. }]));
        // A second cancel skips the grace; a third repeats the signal.
        let (stopping, effects) = after(stopping, &[cancel(false)]);
        assert!(matches!(effects[..], [Effect::Stop { grace: 0, .. }]));
        assert!(matches!(
            decide(&stopping, &cancel(false), CONTEXT),
            Decision::Repeat(Effect::Stop { grace: 0, .. })
        ));
        // Whatever the agent did of it, and even if the runner dies now.
        let lost = Event::Lost {
            attempt: me,
            reason: FailureReason::RunnerLost,
        };
        for end in [exited(me, 0), exited(me, 3), lost] {
            let (done, _) = after(stopping.clone(), &[end]);
            assert_eq!(
                finished(&done),
                (Outcome::Cancelled, Some(FailureReason::Cancelled))
            );
        }
    }
}

#[test]
fn a_cancel_beats_the_retry_of_a_timeout() {
    let me = named(1, 1, NONCE);
    let mut events = to_running();
    events.push(Event::Deadline {
        attempt: me,
        limit: StopReason::Timeout,
    });
    let (timed_out, _) = after(task(1), &events);
    let (retried, _) = after(timed_out.clone(), &[exited(me, 143)]);
    assert_eq!(retried.state.kind(), StateKind::Queued);
    let (cancelled, _) = after(timed_out, &[cancel(false), exited(me, 143)]);
    assert_eq!(finished(&cancelled).0, Outcome::Cancelled);
}

/// The stop of a limit and the agent's own end may cross: what the agent
/// reached before it was asked stands, what it did of it does not.
#[test]
fn a_result_that_was_reached_before_the_stop_stands() {
    let me = named(1, 1, NONCE);
    for limit in [
        StopReason::Timeout,
        StopReason::Idle,
        StopReason::StartTimeout,
    ] {
        let before = match limit {
            StopReason::StartTimeout => &to_running()[..2],
            StopReason::Timeout | StopReason::Idle | StopReason::Cancel | StopReason::Budget => {
                &to_running()
            }
        };
        let stop = Event::Deadline { attempt: me, limit };
        let (stopping, _) = after(after(task(1), before).0, &[stop]);
        assert_eq!(stopping.state.kind(), StateKind::Stopping, "{limit:?}");
        let own_end = |code, by_itself| {
            let Event::Exited {
                attempt,
                mut result,
                verdict,
            } = exited(me, code)
            else {
                panic!("it is an exit");
            };
            result.by_itself = by_itself;
            Event::Exited {
                attempt,
                result,
                verdict,
            }
        };
        let (done, _) = after(stopping.clone(), &[own_end(0, true)]);
        assert_eq!(finished(&done), (Outcome::Succeeded, None), "{limit:?}");
        let (failed, _) = after(stopping.clone(), &[own_end(3, true)]);
        let agents_own = (Outcome::Failed, Some(FailureReason::AgentError));
        assert_eq!(finished(&failed), agents_own, "{limit:?}");
        // It ended because it was asked to: another attempt follows.
        let (retried, _) = after(stopping.clone(), &[own_end(0, false)]);
        assert_eq!(retried.state.kind(), StateKind::Queued, "{limit:?}");
        let ending = retried.attempt.unwrap().ending.unwrap();
        assert_eq!(ending.reason, Some(limit.failure()));
        // A person's word counts in any case.
        let (cancelled, _) = after(stopping, &[cancel(false), own_end(0, true)]);
        assert_eq!(finished(&cancelled).0, Outcome::Cancelled);
    }
}

#[test]
fn registering_again_says_where_the_attempt_stands() {
    let me = named(1, 1, NONCE);
    let (starting, _) = after(task(1), &to_running()[..2]);
    let again = registered(me, Stage::Waiting);
    assert_eq!(
        decide(&starting, &again, CONTEXT),
        Decision::Repeat(Effect::Go(me))
    );
    // Started was lost with the connection, and the runner says so now.
    let (up, effects) = after(starting.clone(), &[registered(me, running())]);
    assert_eq!(up.state, State::Running);
    assert_eq!(effects, [Effect::CarryOn(me)]);
    assert_eq!(
        decide(&up, &registered(me, running()), CONTEXT),
        Decision::Repeat(Effect::CarryOn(me))
    );
    // A registration that was overtaken by the start does not fence it off.
    assert_eq!(
        decide(&up, &again, CONTEXT),
        Decision::Repeat(Effect::CarryOn(me))
    );
    // One that was cancelled meanwhile is stopped.
    let (stopping, _) = after(up.clone(), &[cancel(false)]);
    assert!(matches!(
        decide(&stopping, &registered(me, running()), CONTEXT),
        Decision::Repeat(Effect::Stop { .. })
    ));
    // Another process with the same secret is not the runner.
    let impostor = Event::Registered {
        attempt: me,
        runner: process(99),
        stage: running(),
        adopted: false,
    };
    assert_eq!(
        decide(&up, &impostor, CONTEXT),
        Decision::Ignore(Ignored::Stale)
    );
}
