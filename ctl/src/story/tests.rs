//! The stories that there are today, as a person reads them.

mod sessions;
mod spending;
mod tale;

use agentd_proto::v1::{self, State};
use jiff::{Timestamp, tz::TimeZone};

use self::tale::Tale;
use crate::command::explain::{View, page};

/// 2026-03-01 07:00:00 UTC.
const NOW: i64 = 1_772_348_400_000;
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

fn now() -> Timestamp {
    Timestamp::from_millisecond(NOW).unwrap()
}

fn retry(class: &str, spent: u32, lost_streak: u32) -> v1::Sequel {
    v1::Sequel {
        follows: "retry".to_owned(),
        class: class.to_owned(),
        spent,
        lost_streak,
        longest_backoff: 1000 << (spent - 1),
        ..v1::Sequel::default()
    }
}

fn refused(class: &str, why: &str, spent: u32) -> v1::Sequel {
    v1::Sequel {
        follows: "refused".to_owned(),
        class: class.to_owned(),
        why: why.to_owned(),
        spent,
        ..v1::Sequel::default()
    }
}

fn relative(task: u64, state: State, reason: &str) -> v1::Relative {
    v1::Relative {
        task,
        state: state.into(),
        failure_reason: reason.to_owned(),
        message: String::new(),
    }
}

fn held(kind: &str, until: i64, behind: u64) -> Tale {
    Tale::new(State::Queued).task(|task| {
        task.hold = Some(v1::Hold {
            kind: kind.to_owned(),
            until,
            task: behind,
            ..v1::Hold::default()
        });
    })
}

/// It waits for task 40 to succeed and for task 41 to end.
fn waiting() -> Tale {
    let any = v1::After {
        task: 41,
        condition: v1::after::Condition::Any.into(),
    };
    let ok = v1::After {
        task: 40,
        ..v1::After::default()
    };
    held("dependency", 0, 40).task(|task| {
        task.after = vec![ok, any];
        task.waits_for = task.after.clone();
    })
}

#[test]
fn held_by_a_person_and_released() {
    let tale = Tale::new(State::Starting)
        .event("held", "held by ann", 0, State::Queued)
        .event("released", "released by bob", 0, State::Queued)
        .claimed(1);
    insta::assert_snapshot!(tale.text());
}

#[test]
fn what_it_waited_for_has_failed() {
    let mut tale = waiting().event("dependency_met", "task 41 was cancelled", 0, State::Queued);
    let task = tale.told.task.as_mut().unwrap();
    task.set_state(State::Failed);
    task.hold = None;
    task.waits_for.clear();
    let why = "task 40, which had to succeed first, failed";
    let tale = tale.finished("dependency_failed", why, State::Failed);
    insta::assert_snapshot!(tale.text());
}

#[test]
fn what_holds_a_task_and_what_lifts_that() {
    let behind = held("key_busy", 0, 41)
        .told(|told| told.key_holder = Some(relative(41, State::Running, "")));
    let full = held("disk_full", 0, 0).told(|told| {
        told.disk_free = 12 << 20;
        told.disk_needed = 100 << 20;
    });
    let ttl = held("none", 0, 0).told(|told| {
        told.waits = vec![v1::Wait {
            kind: "queue_ttl".to_owned(),
            at: NOW + 90 * SECOND,
        }];
    });
    let recovering = held("none", 0, 0).told(|told| told.phase = "recovering".to_owned());
    let nows = [
        behind,
        held("agent_paused", 0, 0),
        held("paused", 0, 0),
        held("daemon_draining", 0, 0),
        full,
        held("backoff", NOW + 35 * SECOND, 0),
        held("held", 0, 0).task(|task| task.hold.as_mut().unwrap().by = "ann".to_owned()),
        held("scheduled", NOW + 90 * SECOND, 0),
        waiting(),
        ttl,
        recovering,
    ]
    .map(|tale| tale.text().split_once("now\n").unwrap().1.to_owned());
    insta::assert_snapshot!(nows.concat());
}

#[test]
fn queued_behind_a_key() {
    let tale = held("key_busy", 0, 41)
        .told(|told| told.key_holder = Some(relative(41, State::Running, "")));
    insta::assert_snapshot!(tale.text());
}

#[test]
fn adopted_after_a_restart() {
    let tale = Tale::new(State::Running)
        .runs(1)
        .event("adopted", "runner pid 700", 1, State::Running)
        .told(|told| {
            told.expected = Some(v1::Sequel {
                attempt: 1,
                reason: "runner_lost".to_owned(),
                max_attempts: 3,
                max_lost_streak: 3,
                ..retry("infrastructure", 1, 1)
            });
            told.waits = vec![v1::Wait {
                kind: "timeout".to_owned(),
                at: NOW + 33 * MINUTE,
            }];
        });
    insta::assert_snapshot!(tale.text());
}

fn lost_and_retried() -> Tale {
    Tale::new(State::Succeeded)
        .runs(1)
        .sequel("runner_lost", retry("infrastructure", 1, 1))
        .event("retry", "runner_lost: the runner died", 1, State::Queued)
        .runs(2)
        .sequel(
            "",
            v1::Sequel {
                follows: "nothing".to_owned(),
                spent: 2,
                ..v1::Sequel::default()
            },
        )
        .finished("", "exit code 0", State::Succeeded)
}

#[test]
fn tried_again_after_a_lost_runner() {
    insta::assert_snapshot!(lost_and_retried().text());
}

#[test]
fn the_agents_own_failure_is_not_tried_again() {
    let why = "the agent's own failures are not retried";
    let tale = Tale::new(State::Failed)
        .runs(1)
        .sequel("agent_error", refused("agent", why, 1))
        .finished("agent_error", "exit code 3", State::Failed);
    insta::assert_snapshot!(tale.text());
}

#[test]
fn lost_too_often() {
    let why = "its runner was lost too often in a row";
    let mut last = refused("infrastructure", why, 3);
    last.lost_streak = 3;
    let lost = |tale: Tale, number| {
        tale.runs(number)
            .sequel("runner_lost", retry("infrastructure", number, number))
            .event(
                "retry",
                "runner_lost: the runner died",
                number,
                State::Queued,
            )
    };
    let tale = lost(lost(Tale::new(State::Interrupted), 1), 2)
        .told(|told| told.attempts[1].epoch = 1)
        .runs(3)
        .told(|told| told.attempts[2].epoch = 2)
        .sequel("runner_lost", last)
        .finished("runner_lost", "the runner died", State::Interrupted);
    insta::assert_snapshot!(tale.text());
}

#[test]
fn superseded() {
    let tale = Tale::new(State::Cancelled)
        .finished("superseded", "replaced by task 43", State::Cancelled)
        .told(|told| told.key_holder = Some(relative(43, State::Running, "")));
    insta::assert_snapshot!(tale.text());
}

/// What it says of a task that failed, with what its reruns came to.
fn run_again_as(reruns: &[(u64, State, &str)]) -> String {
    let reruns = reruns.iter();
    let reruns = reruns.map(|&(id, state, reason)| relative(id, state, reason));
    let reruns: Vec<_> = reruns.collect();
    let holder = reruns.last().cloned();
    let tale = Tale::new(State::Failed)
        .finished("queue_expired", "not started within 1s", State::Failed)
        .told(|told| (told.reruns, told.key_holder) = (reruns, holder));
    tale.text()
}

#[test]
fn a_task_that_was_run_again_says_what_became_of_that() {
    let failed = (43, State::Failed, "agent_error");
    insta::assert_snapshot!(run_again_as(&[failed]));
    insta::assert_snapshot!(run_again_as(&[failed, (44, State::Succeeded, "")]));
    insta::assert_snapshot!(run_again_as(&[failed, (44, State::Running, "")]));
}

#[test]
fn a_claim_that_came_to_nothing() {
    let tale = held("none", 0, 0)
        .claimed(1)
        .sequel(
            "spawn_failed",
            v1::Sequel {
                follows: "uncounted".to_owned(),
                ..v1::Sequel::default()
            },
        )
        .event(
            "retry",
            "the daemon died before the runner was started",
            1,
            State::Queued,
        );
    insta::assert_snapshot!(tale.text());
}

#[test]
fn cancelled_while_starting() {
    let tale = Tale::new(State::Cancelled)
        .claimed(1)
        .event("stop_requested", "cancelled by ann", 1, State::Stopping)
        .sequel("cancelled", refused("person", "a person ended it", 1))
        .finished(
            "cancelled",
            "cancelled; the runner did not start the agent",
            State::Cancelled,
        );
    insta::assert_snapshot!(tale.text());
}

#[test]
fn stopped_for_doing_nothing() {
    let why = "no output, hardly any CPU time and no new process for 30m";
    let tale = Tale::new(State::Stopping)
        .task(|task| task.stop_reason = "idle".to_owned())
        .runs(1)
        .event("stop_requested", why, 1, State::Stopping)
        .told(|told| {
            told.expected = Some(v1::Sequel {
                attempt: 1,
                reason: "idle".to_owned(),
                max_attempts: 3,
                ..retry("infrastructure", 1, 0)
            });
            told.phase = "recovering".to_owned();
        });
    insta::assert_snapshot!(tale.text());
}

#[test]
fn timed_out() {
    let why = "stopped after 1h, its timeout; signal 15";
    let tale = Tale::new(State::Failed)
        .runs(1)
        .event("stop_requested", "ran longer than 1h", 1, State::Stopping)
        .sequel("timeout", refused("infrastructure", "no attempts left", 3))
        .finished("timeout", why, State::Failed);
    insta::assert_snapshot!(tale.text());
}

#[test]
fn an_agent_that_says_how_it_goes() {
    let running = State::Running;
    let tale = Tale::new(State::Aborted)
        .runs(1)
        .event("session_gone", "s-0", 1, running)
        .event("started", "agent pid 702", 1, running)
        .event("session_pinned", "s-1", 1, running)
        .event("progress", "looks around", 1, running)
        .event("progress", "", 1, running)
        .event("limited", "usage_limit: back at noon", 1, running)
        .event("fault", "auth_failed: log in", 1, running)
        .event("declined", "not for me", 1, running)
        .finished("", "declined: not for me; exit code 0", State::Aborted);
    insta::assert_snapshot!(tale.text());
}

#[test]
fn a_chain_of_reruns() {
    let tale = Tale::new(State::Cancelled)
        .task(|task| {
            task.rerun_of = 40;
            task.trigger = v1::Trigger::Rerun.into();
        })
        .told(|told| {
            told.ancestors = vec![
                relative(38, State::Failed, "agent_error"),
                relative(40, State::Cancelled, "cancelled"),
            ];
            told.events_left_out = 7;
        })
        .finished("cancelled", "cancelled by ann\u{1b}[2J", State::Cancelled);
    insta::assert_snapshot!(tale.text());
}

#[test]
fn for_scripts() {
    let view = View::of(lost_and_retried().told, now(), &TimeZone::UTC);
    let mut view = serde_json::to_value(view).unwrap();
    // Tested where they are at home.
    for known in ["task", "attempts", "events"] {
        assert!(!view[known].is_null());
        view.as_object_mut().unwrap().remove(known);
    }
    view["story"].as_array_mut().unwrap().truncate(2);
    insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
}
