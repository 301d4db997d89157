//! A daemon's answers, for the tests of model and drawing.

use agentd_proto::v1::{self, State};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    event::{Event, Key, Snapshot},
    health::Health,
    model::Model,
    row::Row,
    transcript::Line,
};

/// Noon of 1 March 2026.
pub(super) const NOON: i64 = 1_772_366_400_000;
const MINUTE: i64 = 60_000;

/// The moment of all tests.
pub(super) fn noon() -> Timestamp {
    Timestamp::from_millisecond(NOON).unwrap()
}

/// A screen that knows nothing yet.
pub(super) fn blank(size: (u16, u16)) -> Model {
    Model::new(size, noon(), TimeZone::UTC)
}

/// A screen with tasks of every kind, and the story of the chosen one.
pub(super) fn full(size: (u16, u16)) -> Model {
    let mut model = blank(size);
    tell(&mut model, Event::Connected(Box::new(snapshot())));
    tell(&mut model, Event::Today(Some(4_150_000)));
    if let Some(id) = model.target() {
        tell(&mut model, Event::Explained(id, Ok(Box::new(story(id)))));
    }
    model
}

/// Has the model take it; what it wants is of no interest.
pub(super) fn tell(model: &mut Model, event: Event) {
    drop(model.update(event));
}

/// Types keys.
pub(super) fn type_keys(model: &mut Model, keys: &[Key]) {
    for key in keys {
        tell(model, Event::Key(*key));
    }
}

/// What the daemon answers first.
pub(super) fn snapshot() -> Snapshot {
    Snapshot {
        health: health(),
        rows: tasks().into_iter().map(Row::from).collect(),
        left_out: 0,
    }
}

/// How the daemon is.
pub(super) fn health() -> Health {
    Health::from(v1::StatusResponse {
        version: "0.1.0".to_owned(),
        phase: "ready".to_owned(),
        started_at: NOON - 190 * MINUTE,
        queued: 3,
        running: 1,
        slots: 4,
        host: Some(v1::Host {
            load1: 1.5,
            cpus: 8,
            memory: 16 << 30,
            memory_available: 9 << 30,
            io_pressure: Some(v1::host::Pressure {
                some10: 12.4,
                ..v1::host::Pressure::default()
            }),
            ..v1::Host::default()
        }),
        state_free: 57 << 30,
        min_free_disk: 1 << 30,
        parked: vec![v1::Account {
            name: "team-a".to_owned(),
            until: NOON + 35 * MINUTE,
            reason: "usage_limit".to_owned(),
            ..v1::Account::default()
        }],
        ..v1::StatusResponse::default()
    })
}

/// One task.
pub(super) fn task(id: u64, state: State, title: &str) -> v1::Task {
    v1::Task {
        id,
        revision: id * 10,
        state: state.into(),
        agent: "claude".to_owned(),
        title: title.to_owned(),
        repo: "/home/ann/src/app".to_owned(),
        created_at: NOON - i64::try_from(60 - id).unwrap() * MINUTE,
        ..v1::Task::default()
    }
}

fn attempt(task: u64, number: u32, cost: u64) -> v1::Attempt {
    v1::Attempt {
        task,
        number,
        phase: "running".to_owned(),
        started_at: NOON - 10 * MINUTE,
        usage: Some(v1::Usage {
            cost: Some(cost),
            ..v1::Usage::default()
        }),
        ..v1::Attempt::default()
    }
}

fn queued(id: u64, kind: &str, title: &str) -> v1::Task {
    v1::Task {
        hold: Some(v1::Hold {
            kind: kind.to_owned(),
            ..v1::Hold::default()
        }),
        ..task(id, State::Queued, title)
    }
}

fn tasks() -> Vec<v1::Task> {
    let ended = |id, state, reason: &str, message: &str, title: &str| v1::Task {
        finished_at: NOON - 2 * MINUTE,
        failure_reason: reason.to_owned(),
        message: message.to_owned(),
        attempts: 2,
        attempt: Some(v1::Attempt {
            ended_at: NOON - 2 * MINUTE,
            ..attempt(id, 2, 1_250_000)
        }),
        ..task(id, state, title)
    };
    let running = v1::Task {
        issue: "17".to_owned(),
        attempts: 1,
        attempt: Some(v1::Attempt {
            progress: "runs the tests of the parser".to_owned(),
            ..attempt(45, 1, 310_000)
        }),
        ..task(45, State::Running, "Mend the parser of dates")
    };
    vec![
        ended(
            40,
            State::Failed,
            "agent_error",
            "exit code 3",
            "Write the changelog",
        ),
        ended(41, State::Succeeded, "", "", "Make the button blue"),
        ended(42, State::Cancelled, "cancelled", "", "Try again"),
        queued(43, "held", "Later, when ann is back"),
        queued(44, "quota", "翻訳する: 全角文字の長い題名"),
        running,
        queued(
            46,
            "none",
            "A title\u{1b}[2J that\nwould steer the terminal",
        ),
    ]
}

/// What the daemon tells of a task.
pub(super) fn story(id: u64) -> v1::ExplainResponse {
    let event = |minutes: i64, attempt: u32, what: &str, why: &str| v1::Event {
        task: id,
        attempt,
        at: NOON - minutes * MINUTE,
        what: what.to_owned(),
        why: why.to_owned(),
        ..v1::Event::default()
    };
    v1::ExplainResponse {
        task: Some(v1::Task {
            user: "ann".to_owned(),
            model: "opus".to_owned(),
            ..queued(id, "none", "A title")
        }),
        attempts: vec![v1::Attempt {
            ended_at: NOON - 5 * MINUTE,
            outcome: "failed".to_owned(),
            failure_reason: "provider_error".to_owned(),
            message: "overloaded".to_owned(),
            ..attempt(id, 1, 20_000)
        }],
        events: vec![
            event(14, 0, "submitted", ""),
            event(10, 1, "claimed", ""),
            event(10, 1, "started", "pid 4711"),
        ],
        phase: "ready".to_owned(),
        ..v1::ExplainResponse::default()
    }
}

/// A line of a transcript.
pub(super) fn line(stream: v1::log_line::Stream, text: &str) -> Line {
    Line::from(v1::LogLine {
        stream: stream.into(),
        data: text.as_bytes().to_vec(),
        ..v1::LogLine::default()
    })
}
