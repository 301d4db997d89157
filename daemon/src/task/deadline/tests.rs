use super::*;
use crate::task::{
    attempt::{Attempt, Phase},
    budget::Spend,
    event::Event,
    id::{AttemptId, Incarnation, Timestamp},
    moment::{Boot, Steady},
    observed::Observed,
    reason::FailureReason,
    retry::MAXIMUM_INTERVAL,
    session::Given,
    testing::{NONCE, id, named, task},
    transition::{Context, Decision, decide},
};

const HOUR: i64 = 3_600_000;
/// When things happen here, by the wall clock.
const NOON: i64 = 1_000 * HOUR;

fn moment(wall: i64, boot: &str, millis: u64) -> Moment {
    Moment {
        wall: Timestamp(wall),
        steady: Some(Steady {
            boot: Boot::of(boot),
            millis,
        }),
    }
}

fn begin() -> Moment {
    moment(NOON, "boot", 10_000)
}

/// A task whose attempt was claimed and started at [`begin`].
fn with_attempt(state: State) -> Task {
    let mut task = task(1);
    task.state = state;
    task.spec.limits.timeout = Some(60_000);
    task.attempts = 1;
    task.attempt = Some(Attempt {
        id: AttemptId {
            task: id(1),
            number: 1,
        },
        epoch: Incarnation(1),
        nonce: NONCE,
        boot_id: "boot".to_owned(),
        phase: Phase::Running,
        workspace: None,
        given: Given::default(),
        runner: None,
        agent: None,
        claimed_at: begin(),
        prepared_at: Some(begin()),
        started_at: Some(begin()),
        observed: Observed::default(),
        reported: Observed::default(),
        news: 0,
        exit: None,
        ending: None,
        account: "shell".to_owned(),
        before: Spend::default(),
        ran: 0,
        changes: None,
        pruned_at: None,
    });
    task
}

fn queued(hold: Hold, ttl: Option<u64>) -> Task {
    let mut task = task(1);
    task.state = State::Queued(hold);
    task.spec.limits.queue_ttl = ttl;
    task.spec.created_at = begin().wall;
    task.spec.created_steady = begin().steady;
    task
}

fn only(task: &Task, now: Moment) -> Option<(u64, Ends)> {
    let [first, second] = waits(task, now);
    assert!(first.is_none() || second.is_none(), "{first:?} {second:?}");
    first.or(second)
}

/// Every wait, 20 s after it began, with the clock set by an hour either way
/// and with a suspend of an hour, which the wall clock counts and the steady
/// clock does not.
#[test]
fn steps_of_the_wall_clock_and_a_suspend_change_no_wait() {
    let backoff = Hold::Backoff {
        until: begin().plus_millis(30_000),
    };
    let mut unprepared = with_attempt(State::Starting);
    let attempt = unprepared.attempt.as_mut().unwrap();
    attempt.prepared_at = None;
    let workspace = (WORKSPACE_TIMEOUT - 20_000, Ends::WorkspaceTimeout);
    for (task, left) in [
        (unprepared, workspace),
        (with_attempt(State::Starting), (40_000, Ends::StartTimeout)),
        (with_attempt(State::Running), (40_000, Ends::Timeout)),
        (queued(Hold::None, Some(50_000)), (30_000, Ends::QueueTtl)),
        (queued(backoff, None), (10_000, Ends::Backoff)),
    ] {
        for step in [-HOUR, 0, HOUR] {
            let now = moment(NOON + 20_000 + step, "boot", 30_000);
            assert_eq!(only(&task, now), Some(left), "{step}");
        }
        let over = moment(NOON, "boot", 10_000 + 3_600_000);
        assert_eq!(only(&task, over), Some((0, left.1)));
    }
}

#[test]
fn a_lineage_runs_for_what_is_left_of_its_time() {
    let mut task = with_attempt(State::Running);
    task.spec.limits.max_wall = Some(100_000);
    task.attempt.as_mut().unwrap().before.wall = 55_000;
    let now = moment(NOON, "boot", 30_000);
    let both = [Some((40_000, Ends::Timeout)), Some((25_000, Ends::Budget))];
    assert_eq!(waits(&task, now), both);
    task.attempt.as_mut().unwrap().before.wall = 200_000;
    assert_eq!(waits(&task, now)[1], Some((0, Ends::Budget)));
    assert_eq!(Ends::Budget.stop_reason(), Some(StopReason::Budget));
}

/// After a reboot the wall clock has to do. Whatever it says, a wait ends.
#[test]
fn after_a_reboot_waits_are_bounded() {
    let backoff = Hold::Backoff {
        until: begin().plus_millis(30_000),
    };
    let waiting = queued(backoff, None);
    for (wall, left) in [
        (NOON, 30_000),
        (NOON + 20_000, 10_000),
        (NOON + HOUR, 0),
        (NOON - HOUR, MAXIMUM_INTERVAL),
        (0, MAXIMUM_INTERVAL),
    ] {
        let now = moment(wall, "next", 3);
        assert_eq!(only(&waiting, now), Some((left, Ends::Backoff)), "{wall}");
    }
    let expiring = queued(Hold::None, Some(50_000));
    for (wall, left) in [(NOON + 20_000, 30_000), (NOON + HOUR, 0), (0, 50_000)] {
        let now = moment(wall, "next", 3);
        assert_eq!(only(&expiring, now), Some((left, Ends::QueueTtl)), "{wall}");
    }
}

#[test]
fn what_was_started_once_does_not_expire_in_the_queue() {
    let backoff = Hold::Backoff {
        until: begin().plus_millis(30_000),
    };
    let mut task = queued(backoff, Some(50_000));
    let backoff = Some((30_000, Ends::Backoff));
    let both = [backoff, Some((50_000, Ends::QueueTtl))];
    assert_eq!(waits(&task, begin()), both);
    task.started = true;
    assert_eq!(waits(&task, begin()), [backoff, None]);
}

#[test]
fn without_a_limit_there_is_no_wait() {
    let mut running = with_attempt(State::Running);
    running.spec.limits.timeout = None;
    let stopping = with_attempt(State::Stopping {
        reason: StopReason::Timeout,
        forced: false,
    });
    assert_eq!(only(&stopping, begin()), Some((25_000, Ends::Stop)));
    for task in [running, queued(Hold::None, None)] {
        assert_eq!(waits(&task, begin()), [None, None]);
    }
}

#[test]
fn only_a_running_agent_with_a_limit_can_be_idle() {
    let stops = |task: &Task| {
        let idle = Event::Deadline {
            attempt: named(1, 1, NONCE),
            limit: StopReason::Idle,
        };
        let context = Context {
            now: begin(),
            random: 0,
        };
        match decide(task, &idle, context) {
            Decision::Apply(change) => matches!(
                change.next.state,
                State::Stopping {
                    reason: StopReason::Idle,
                    forced: false
                }
            ),
            Decision::Repeat(_) | Decision::Ignore(_) => false,
        }
    };
    let mut task = with_attempt(State::Running);
    for (limit, is) in [(None, true), (Some(5), true), (Some(0), false)] {
        task.spec.limits.idle_timeout = limit;
        assert_eq!(stops(&task), is, "{limit:?}");
    }
    assert!(!stops(&with_attempt(State::Starting)));
}

#[test]
fn an_expired_task_has_failed_and_says_so() {
    let task = queued(Hold::None, Some(50_000));
    let context = Context {
        now: begin(),
        random: 0,
    };
    let expired = Event::QueueExpired {
        kept_by: "everything is paused".to_owned(),
    };
    let Decision::Apply(change) = decide(&task, &expired, context) else {
        panic!("it changes nothing");
    };
    let State::Finished(ending) = change.next.state else {
        panic!("{:?}", change.next.state);
    };
    assert_eq!(ending.reason, Some(FailureReason::QueueExpired));
    let message = &ending.message;
    assert!(message.ends_with(": everything is paused"), "{message}");
    assert_eq!(ending.outcome.as_str(), "failed");
    for other in [
        with_attempt(State::Running),
        queued(Hold::None, None),
        Task {
            started: true,
            ..task
        },
    ] {
        assert!(matches!(
            decide(&other, &expired, context),
            Decision::Ignore(_)
        ));
    }
}
