//! Which session an attempt was given, and what became of it.

use super::*;

/// What the newest attempt was given of a session.
fn given(tale: Tale, way: &str, session: &str, why: &str) -> Tale {
    tale.told(|told| {
        let attempt = told.attempts.last_mut().unwrap();
        attempt.session_way = way.to_owned();
        attempt.session_given = session.to_owned();
        attempt.session_why = why.to_owned();
    })
}

fn left(id: &str, standing: &str, attempt: u32) -> v1::Session {
    v1::Session {
        id: id.to_owned(),
        standing: standing.to_owned(),
        task: 42,
        attempt,
        ..v1::Session::default()
    }
}

const PLACE: &str = "/w/12 on branch agent/claude-12";

/// The first attempt, which names a session and comes to this end.
fn worked_in_a_session(state: State, reason: &str, class: &str, why: &str) -> Tale {
    Tale::new(state)
        .claimed(1)
        .event("workspace_ready", PLACE, 1, State::Starting)
        .event("started", "agent pid 701", 1, State::Running)
        .event("session_pinned", "s-1", 1, State::Running)
        .sequel(reason, retry(class, 1, 0))
        .event("retry", why, 1, State::Queued)
}

fn done(tale: Tale) -> Tale {
    let sequel = v1::Sequel {
        follows: "nothing".to_owned(),
        spent: 2,
        ..v1::Sequel::default()
    };
    tale.sequel("", sequel)
        .finished("", "exit code 0", State::Succeeded)
}

#[test]
fn retried_after_a_crash_with_resume() {
    let why = "goes on with session s-1 of attempt 42.1";
    let lost = "runner_lost: the runner died";
    let tale = worked_in_a_session(State::Succeeded, "runner_lost", "infrastructure", lost);
    let tale = given(tale.claimed(2), "seen", "s-1", why)
        .event("workspace_ready", PLACE, 2, State::Starting)
        .event("started", "agent pid 801", 2, State::Running)
        .event("session_pinned", "s-1", 2, State::Running);
    let tale = done(tale).told(|told| told.sessions = vec![left("s-1", "good", 2)]);
    insta::assert_snapshot!(tale.text());
}

#[test]
fn retried_fresh_after_a_stale_session() {
    let lost = "host_rebooted: the machine was restarted";
    let tale = worked_in_a_session(State::Succeeded, "host_rebooted", "infrastructure", lost);
    let why = "session s-1 is not there any more";
    let tale = given(tale.claimed(2), "gone", "s-1", why)
        .event("workspace_ready", PLACE, 2, State::Starting)
        .event("started", "agent pid 801", 2, State::Running)
        .event("session_pinned", "s-2", 2, State::Running);
    let tale = done(tale).told(|told| {
        told.sessions = vec![left("s-1", "retired", 1), left("s-2", "good", 2)];
    });
    insta::assert_snapshot!(tale.text());
}

#[test]
fn fell_back_to_a_fresh_session() {
    let why = "goes on with session s-0 of attempt 41.1, the newest of claude:/src/app:12";
    let tale = given(Tale::new(State::Running).claimed(1), "unseen", "s-0", why)
        .event("workspace_ready", PLACE, 1, State::Starting)
        .event("started", "agent pid 701", 1, State::Running)
        .event("session_gone", "s-0", 1, State::Running)
        .event("session_pinned", "s-1", 1, State::Running)
        .told(|told| told.attempts[0].session_gone = "s-0".to_owned());
    insta::assert_snapshot!(tale.text());
}

#[test]
fn session_quarantined_after_context_overflow() {
    let full = "context_overflow: prompt is too long; exit code 1";
    let tale = worked_in_a_session(State::Succeeded, "context_overflow", "session", full);
    let why = "session s-1 of attempt 42.1 is not used: quarantined: context_overflow in attempt 42.1: prompt is too long";
    let tale = given(tale.claimed(2), "fresh", "", why)
        .event("workspace_ready", PLACE, 2, State::Starting)
        .event("started", "agent pid 801", 2, State::Running)
        .event("session_pinned", "s-2", 2, State::Running);
    let tale = done(tale).told(|told| {
        told.sessions = vec![left("s-1", "quarantined", 1), left("s-2", "good", 2)];
    });
    insta::assert_snapshot!(tale.text());
}
