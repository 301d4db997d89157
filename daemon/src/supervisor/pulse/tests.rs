use std::sync::Arc;

use tokio::sync::mpsc;

use super::*;
use crate::{
    process::Containment,
    spool::StateDir,
    supervisor::Place,
    task::testing::{NONCE, named, process},
};

const AFTER: Duration = Duration::from_secs(30);

fn expected(task: u64) -> Expected {
    Expected {
        attempt: named(task, 1, NONCE),
        runner: Some(process(7)),
        idle_timeout: Some(60_000),
        tool_idle_timeout: Some(90_000),
    }
}

#[test]
fn silence_makes_suspect_and_any_sign_clears_it() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let me = named(1, 1, NONCE);
    let pulses = Pulses::new(AFTER);
    assert_eq!(pulses.next(), None);
    pulses.expect(expected(1), start);
    assert_eq!(pulses.next(), Some(at(30)));
    assert!(!pulses.heard(me, Timestamp(5), at(20)));
    assert!(pulses.due(at(49)).is_empty());
    assert_eq!(pulses.due(at(50)).len(), 1);
    let vitals = pulses.vitals(me).unwrap();
    assert!(vitals.suspect && vitals.heard_at == Some(Timestamp(5)));
    // Looked at, and looked at again after the same time.
    pulses.found(me, Life::Alive);
    assert_eq!(pulses.vitals(me).unwrap().probe, Some(Life::Alive));
    assert!(pulses.due(at(79)).is_empty());
    assert!(pulses.due(at(80))[0].1);
    assert!(pulses.heard(me, Timestamp(6), at(81)));
    // The look was under way when it was heard of.
    pulses.found(me, Life::Unknown);
    let well = Vitals {
        heard_at: Some(Timestamp(6)),
        ..Vitals::default()
    };
    assert_eq!(pulses.vitals(me), Some(well));
    pulses.forget(me);
    assert_eq!((pulses.vitals(me), pulses.next()), (None, None));
}

#[test]
fn only_those_count_that_are_expected() {
    let now = Instant::now();
    let pulses = Pulses::new(AFTER);
    pulses.expect(expected(1), now);
    let other = named(2, 1, NONCE);
    let beat = Beat {
        idle: u64::MAX,
        ..Beat::default()
    };
    assert!(!pulses.heard(other, Timestamp(1), now));
    assert!(!pulses.beat(other, beat));
    assert_eq!(pulses.vitals(other), None);
}

#[test]
fn idleness_is_held_against_the_limit() {
    let me = named(1, 1, NONCE);
    let pulses = Pulses::new(AFTER);
    for (limit, idle, tool, is) in [
        (Some(60_000), 59_999, false, false),
        (Some(60_000), 60_000, false, true),
        (Some(60_000), 89_999, true, false),
        (Some(60_000), 90_000, true, true),
        (None, u64::MAX, false, false),
    ] {
        let idle_timeout = limit;
        pulses.expect(
            Expected {
                idle_timeout,
                ..expected(1)
            },
            Instant::now(),
        );
        let beat = Beat {
            idle,
            tool,
            ..Beat::default()
        };
        assert_eq!(pulses.beat(me, beat), is, "{limit:?} {idle} {tool}");
        assert_eq!(pulses.vitals(me).unwrap().beat, Some(beat));
    }
}

/// A supervisor that suspects soon, and what it reports.
fn supervisor(state: &StateDir) -> (Supervisor, mpsc::Receiver<Report>) {
    let (reports, inbox) = mpsc::channel(8);
    let socket = state.path().join("socket");
    let soon = Duration::from_millis(10);
    let place = Place {
        state: state.clone(),
        boot_id: "boot".to_owned(),
        socket,
        open_files: None,
        containment: Arc::new(Containment::none()),
    };
    let supervisor = Supervisor::new(place, reports, soon, Arc::default());
    supervisor.watch_pulses();
    (supervisor, inbox)
}

#[track_caller]
fn tells(supervisor: &Supervisor, line: &str) {
    let text = supervisor.shared.metrics.told();
    assert!(text.contains(line), "{text}");
}

/// Waits until a look has found this.
async fn until_found(supervisor: &Supervisor, life: Life) {
    let attempt = named(1, 1, NONCE);
    let found = async {
        while supervisor.vitals(attempt).unwrap().probe != Some(life) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(30), found).await;
    assert!(found.is_ok(), "{life:?}: {:?}", supervisor.vitals(attempt));
}

/// Without a guard it is one of too many that look dead: nobody acts.
#[tokio::test]
async fn a_death_is_told_and_left_to_the_guard() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    let (supervisor, mut reports) = supervisor(&state);
    let attempt = named(1, 1, NONCE);
    state.attempt(attempt.id).create().unwrap();
    supervisor.expect(expected(1));
    until_found(&supervisor, Life::Dead).await;
    assert!(reports.try_recv().is_err(), "nothing follows");
    supervisor.adopt(attempt, None, false);
    let report = reports.recv().await.unwrap();
    assert!(
        matches!(&report, Report::Event(Event::NeverStarted { attempt: named }) if *named == attempt),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_held_lock_is_a_life_and_leads_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    let (supervisor, mut reports) = supervisor(&state);
    let attempt = named(1, 1, NONCE);
    let files = state.attempt(attempt.id);
    files.create().unwrap();
    let _held = files.lock_for_runner().unwrap();
    let me = process::identity(std::process::id()).unwrap();
    // The first is this very process, the second never was one.
    for (runner, life) in [(me, Life::Alive), (Some(process(7)), Life::Unknown)] {
        supervisor.expect(Expected {
            runner,
            ..expected(1)
        });
        until_found(&supervisor, life).await;
    }
    // It was late once, however often it was looked at.
    tells(&supervisor, "agentd_runner_heartbeats_late_total 1\n");
    supervisor.heard(attempt, Timestamp(1));
    assert!(supervisor.beat(attempt, Beat::default()).is_none());
    tells(&supervisor, "agentd_runner_heartbeats_total 1\n");
    assert!(reports.try_recv().is_err(), "nothing follows");
}
