use std::{env, fs, path::PathBuf};

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::*;
use crate::task::{
    event::What,
    id::Revision,
    limits::{MAX_LABEL, MAX_LABELS, MAX_MESSAGE, MAX_TEXT},
    observed::{Claim, Observed},
    state::StateKind,
    testing,
    transition::{Context, Decision, decide, reference},
};

/// A task with an attempt that failed, changed before it is told.
fn notice(change: impl FnOnce(&mut Task, &mut Vec<Attempt>)) -> Notice {
    let mut task = testing::claimed(42, 2);
    for event in [testing::registered, |attempt, _| testing::started(attempt)] {
        let attempt = task.live_attempt().map(reference).unwrap();
        task = after(&task, &event(attempt, crate::task::event::Stage::Waiting));
    }
    let attempt = task.live_attempt().map(reference).unwrap();
    task = after(&task, &testing::exited(attempt, 3));
    let mut attempts: Vec<_> = task.attempt.clone().into_iter().collect();
    change(&mut task, &mut attempts);
    let event = JournalEntry {
        revision: Revision(17),
        task: task.id,
        attempt: 2,
        at: Timestamp(9),
        what: What::Finished,
        why: String::new(),
        state: StateKind::Failed,
    };
    Notice::made(&event, task, &attempts, "build-1").unwrap()
}

fn after(task: &Task, event: &crate::task::event::Event) -> Task {
    let context = Context {
        now: Moment::of_wall(Timestamp(5_000)),
        random: 0,
    };
    match decide(task, event, context) {
        Decision::Apply(change) => change.next,
        Decision::Repeat(_) | Decision::Ignore(_) => panic!("it does not fit"),
    }
}

fn value(notice: &Notice) -> Value {
    let json = notice.to_json();
    assert_eq!(json.iter().filter(|byte| **byte == b'\n').count(), 1);
    serde_json::from_slice(&json).unwrap()
}

#[test]
fn a_notice_says_what_ended_how_and_what_to_do() {
    let told = value(&notice(|task, attempts| {
        task.spec.title = "mend\nit".to_owned();
        let claim = Claim {
            done: false,
            message: "no luck".to_owned(),
        };
        attempts[0].observed = Observed {
            claim: Some(claim),
            ..Observed::default()
        };
    }));
    for (key, value) in [
        ("schema", json!(SCHEMA)),
        ("event", json!(17)),
        ("host", json!("build-1")),
        ("id", json!(42)),
        ("state", json!("failed")),
        ("failure_reason", json!("agent_error")),
        ("message", json!("exit code 3")),
        ("said", json!("no luck")),
        ("text", json!("task 42 failed (agent_error): mend it")),
        ("attempt_count", json!(2)),
        ("rerun", json!("agentctl rerun 42")),
        ("started_at", json!("1970-01-01T00:00:02.000Z")),
    ] {
        assert_eq!(told[key], value, "{key}");
    }
}

#[test]
fn a_success_is_not_to_be_run_again() {
    let told = value(&notice(|task, _| {
        if let State::Finished(ending) = &mut task.state {
            ending.outcome = Outcome::Succeeded;
            ending.reason = None;
        }
    }));
    assert_eq!(told["rerun"], Value::Null);
    assert_eq!(told["text"], "task 42 succeeded: a task");
}

#[test]
fn what_attempts_used_is_added_up() {
    let used = |cost| Usage {
        input: 1,
        output: 2,
        cost,
        ..Usage::default()
    };
    let told = value(&notice(|_, attempts| {
        attempts[0].ran = 5;
        attempts[0].observed.usage = Some(used(Some(7)));
        let mut second = attempts[0].clone();
        second.reported.usage = Some(used(None));
        second.observed.usage = None;
        attempts.push(second);
    }));
    let expected = json!({
        "input_tokens": 2, "output_tokens": 4, "cached_tokens": 0, "turns": 0,
        "cost_micro_usd": 7, "ran_ms": 10,
    });
    assert_eq!(told["usage"], expected);
}

/// Whatever agents and submitters say, a notice has an end.
#[test]
fn a_notice_is_bounded() {
    // What costs most as JSON.
    let long = |bytes| "\u{1}".repeat(bytes);
    let told = notice(|task, attempts| {
        let spec = &mut task.spec;
        spec.title = long(MAX_TEXT);
        spec.issue = Some(long(MAX_TEXT));
        spec.model = Some(long(MAX_TEXT));
        spec.repo = Some(long(MAX_TEXT).into());
        spec.user = long(MAX_TEXT);
        spec.labels = (0..MAX_LABELS)
            .map(|n| (format!("{n:02}{}", long(MAX_LABEL - 2)), long(MAX_LABEL)))
            .collect();
        if let State::Finished(ending) = &mut task.state {
            ending.message = long(MAX_MESSAGE);
        }
        attempts[0].observed.claim = Some(Claim {
            done: true,
            message: long(MAX_MESSAGE),
        });
        attempts[0].observed.model = Some(long(MAX_MESSAGE));
    });
    let bytes = told.to_json().len();
    assert!(bytes < 512 * 1024, "{bytes}");
    assert!(told.text.len() <= LINE && !told.text.contains(char::is_control));
}

#[test]
fn the_document_has_its_schema_in_the_docs() {
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let mut schema = generator.into_root_schema_for::<Notice>().to_value();
    schema["title"] = json!(SCHEMA);
    schema["properties"]["schema"] = json!({ "const": SCHEMA });
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/notice.v1.json");
    if env::var_os("RENEW").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == text,
        "{} is out of date: RENEW=1 cargo test -p agentd --lib notify::document renews it; \
         a key that was renamed or removed needs v2",
        file.display()
    );
}
