//! What is known of runs that were recorded: real agents, with a stand-in for
//! their provider, see `fixtures/`.
//!
//! The first line of a fixture says how the process ended and what it was to
//! resume; `>` is its standard output, `!` its standard error. Fields that no
//! version of ours has looked at were taken out of most of them.

mod anything;
mod cuts;

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde::Deserialize;

use super::*;
use crate::{
    agents::classify,
    config::ABORT_CODE,
    task::{
        attempt::{Exit, Run, RunResult, Status},
        reason::{FailureReason, Outcome, Verdict},
        spec::AgentType,
        usage::Usage,
    },
};

/// 2026-11-21T12:00:00Z.
const NOW: Timestamp = Timestamp(1_795_262_400_000);

fn now() -> Timestamp {
    NOW
}

#[derive(Deserialize)]
struct Head {
    /// The exit code; negative: by that signal.
    exit: i32,
    resumed: Option<String>,
    #[serde(default)]
    before: Usage,
}

struct Recording {
    name: String,
    agent_type: AgentType,
    head: Head,
    lines: Vec<(Source, String)>,
}

impl Recording {
    fn reads(&self) -> Reads {
        reads(self.agent_type, self.head.before, self.head.resumed.clone())
    }

    fn verdict(&self, seen: &Seen) -> String {
        let verdict = judge(self.agent_type, self.head.exit, false, &seen.observed);
        let reason = verdict.reason.map_or("-", |reason| reason.as_str());
        format!("{} {reason} | {}", verdict.outcome, verdict.message)
    }
}

/// What a run with this exit comes to; negative: by that signal.
fn judge(agent_type: AgentType, exit: i32, lingered: bool, known: &Observed) -> Verdict {
    let status = match exit {
        code @ 0.. => Status::Code(code),
        signal => Status::Signal {
            number: -signal,
            core: false,
        },
    };
    let run = Run::Exited {
        started_at: NOW,
        exit: Exit {
            status,
            user_cpu: 0,
            system_cpu: 0,
            peak_memory: 0,
            oom_killed: false,
        },
    };
    let result = RunResult {
        run,
        ended_at: NOW,
        left_over: 0,
        by_itself: !lingered,
        lingered,
        observed: Box::default(),
    };
    classify(agent_type, ABORT_CODE, &result, known).unwrap()
}

fn reads(agent_type: AgentType, before: Usage, resumed: Option<String>) -> Reads {
    match agent_type {
        AgentType::Command => Reads::Nothing,
        AgentType::Claude => Reads::Claude { before, resumed },
        AgentType::Codex => Reads::Codex { before, resumed },
        AgentType::Gemini => Reads::Gemini { resumed },
        AgentType::Opencode => Reads::Opencode { resumed },
    }
}

fn recordings() -> Vec<Recording> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agents/stream/fixtures");
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let (head, rest) = text.split_once('\n').unwrap();
        let mut types = AgentType::ALL.into_iter();
        let agent_type = types.rfind(|of| name.starts_with(of.as_str()));
        let line = |line: &str| match line.split_at(2) {
            ("> ", text) => (Source::Output, text.to_owned()),
            ("! ", text) => (Source::Errors, text.to_owned()),
            (other, _) => panic!("{name}: {other:?} begins a line"),
        };
        found.push(Recording {
            agent_type: agent_type.unwrap(),
            head: serde_json::from_str(&head[2..]).unwrap(),
            lines: rest.lines().map(line).collect(),
            name,
        });
    }
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    assert!(found.len() > 100, "there are {} recordings", found.len());
    found
}

fn seen(recording: &Recording) -> Seen {
    let mut stream = Stream::at(recording.reads(), now);
    for (source, line) in &recording.lines {
        stream.feed(*source, format!("{line}\n").as_bytes());
    }
    stream.finish();
    stream.seen().clone()
}

fn shown(recording: &Recording) -> String {
    let seen = seen(recording);
    let mut text = format!("{}\n", recording.name);
    let mut line = |what: &str, value: String| {
        writeln!(text, "  {what}: {value}").unwrap();
    };
    line("verdict", recording.verdict(&seen));
    let known = &seen.observed;
    if let Some(limited) = &known.limited {
        let until = limited.until.map(|until| until.0 - NOW.0);
        line("limited", format!("{} in {until:?} ms", limited.reason));
    }
    line("session", known.session.clone().unwrap_or_default());
    if let Some(gone) = &known.session_gone {
        line("gone", gone.clone());
    }
    if let Some(used) = known.usage {
        let Usage {
            input,
            output,
            cached,
            cost,
            turns,
        } = used;
        let text = format!("{input} in, {output} out, {cached} cached, {cost:?}, {turns} turns");
        line("used", text);
    }
    line("model", known.model.clone().unwrap_or_default());
    line("progress", known.progress.clone().unwrap_or_default());
    let flags = [
        (seen.tool, "tool"),
        (seen.over, "over"),
        (seen.stale, "stale"),
    ];
    let flags: Vec<_> = flags
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| *name)
        .collect();
    line("state", flags.join(" "));
    text
}

#[test]
fn every_recording_is_understood() {
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let recordings = recordings();
    for recording in &recordings {
        let text = texts.entry(recording.agent_type.as_str()).or_default();
        text.push_str(&shown(recording));
    }
    assert_eq!(texts.len(), AgentType::ALL.len() - 1);
    for (agent_type, text) in texts {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(agent_type, text);
        });
    }
}

/// What was known before, and what is known later. A fault and a limit may be
/// overcome, and nothing else is taken back.
fn stays(before: &Seen, after: &Seen, name: &str) {
    let (was, is) = (&before.observed, &after.observed);
    assert!(was.session.is_none() || was.session == is.session, "{name}");
    assert!(
        was.session_gone.is_none() || was.session_gone == is.session_gone,
        "{name}"
    );
    assert!(was.model.is_none() || is.model.is_some(), "{name}");
    assert!(was.claim.is_none() || is.claim.is_some(), "{name}");
    let trouble = |known: &Observed| known.limited.is_some() || known.fault.is_some();
    let done = is.claim.as_ref().is_some_and(|claim| claim.done);
    assert!(
        !trouble(was) || trouble(is) || done,
        "{name}: a fault went away"
    );
    let used = |known: &Observed| known.usage.map_or(0, |used| used.turns);
    assert!(
        used(was) <= used(is) || is.claim.is_some(),
        "{name}: fewer turns"
    );
}

/// Each line with each of its fields taken out, or changed into something else.
#[test]
fn a_field_that_is_missing_or_strange_is_no_trouble() {
    for recording in recordings() {
        for (number, (source, line)) in recording.lines.iter().enumerate() {
            let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(line) else {
                continue;
            };
            let strange = [
                serde_json::Value::Null,
                serde_json::json!({"a": [1, "x"]}),
                serde_json::json!(-1.5),
                serde_json::json!("\u{1b}\u{0}"),
            ];
            for key in fields.keys() {
                for value in &strange {
                    let mut changed = fields.clone();
                    changed.insert(key.clone(), value.clone());
                    let changed = serde_json::to_string(&changed).unwrap();
                    let mut stream = Stream::at(recording.reads(), now);
                    for (source, line) in &recording.lines[..number] {
                        stream.feed(*source, format!("{line}\n").as_bytes());
                    }
                    stream.feed(*source, format!("{changed}\n").as_bytes());
                    let known = stream.seen().observed.clone();
                    assert_eq!(known.clone().bounded(), known, "{}", recording.name);
                }
            }
        }
    }
}

fn known(agent_type: AgentType, resumed: bool, lines: &[&str]) -> Seen {
    let resumed = resumed.then(|| "asked".to_owned());
    let mut stream = Stream::at(reads(agent_type, Usage::default(), resumed), now);
    for line in lines {
        stream.feed(Source::Output, format!("{line}\n").as_bytes());
    }
    stream.seen().clone()
}

/// What real accounts have been seen to say, which no stand-in does.
#[test]
fn limits_of_subscriptions() {
    let until = |text: &str| {
        let line = serde_json::json!({
            "type": "result", "subtype": "success", "is_error": true,
            "api_error_status": 429, "result": text, "session_id": "s",
        });
        let seen = known(AgentType::Claude, false, &[&line.to_string()]);
        let limited = seen.observed.limited.unwrap();
        assert_eq!(limited.reason, FailureReason::UsageLimit);
        limited.until.map(|until| (until.0 - NOW.0) / 60_000)
    };
    let epoch = format!("Claude AI usage limit reached|{}", NOW.0 / 1000 + 600);
    assert_eq!(until(&epoch), Some(10));
    let words = "You've hit your limit · resets 3am (UTC)";
    assert_eq!(until(words), Some(15 * 60));
    assert_eq!(until("Usage limit reached"), None);

    let line = serde_json::json!({
        "type": "turn.failed",
        "error": {"message": "You've hit your usage limit. Try again in 3 hours 1 minute."},
    });
    let seen = known(AgentType::Codex, false, &[&line.to_string()]);
    let limited = seen.observed.limited.unwrap();
    assert_eq!(limited.until, Some(NOW.plus_millis(181 * 60_000)));
}

/// Claude Code before it told what a result has used says only what the whole
/// session has.
#[test]
fn figures_of_a_whole_session_are_told_apart() {
    let line = r#"{"type":"result","is_error":false,"num_turns":2,"total_cost_usd":0.03,
        "modelUsage":{"m":{"inputTokens":300,"outputTokens":30,"cacheReadInputTokens":3}}}"#
        .replace('\n', " ");
    let before = Usage {
        input: 100,
        output: 10,
        cached: 1,
        cost: Some(10_000),
        turns: 7,
    };
    let resumed = Some("s".to_owned());
    let mut stream = Stream::at(Reads::Claude { before, resumed }, now);
    stream.feed(Source::Output, format!("{line}\n").as_bytes());
    let expected = Usage {
        input: 200,
        output: 20,
        cached: 2,
        cost: Some(20_000),
        turns: 2,
    };
    assert_eq!(stream.seen().observed.usage, Some(expected));
}

/// The conversation that a provider refuses is at fault only if there is one.
#[test]
fn a_refused_conversation_is_poisoned() {
    let line = r#"{"type":"result","subtype":"success","is_error":true,
        "api_error_status":400,"result":"messages.3: tool_use ids must be unique"}"#
        .replace('\n', " ");
    let reason = |resumed| {
        let seen = known(AgentType::Claude, resumed, &[&line]);
        seen.observed.fault.unwrap().reason
    };
    assert_eq!(reason(true), FailureReason::SessionPoisoned);
    assert_eq!(reason(false), FailureReason::AgentError);
}

/// A thread that Codex has begun anew without a word is known to be another.
#[test]
fn another_thread_than_was_asked_for_shows() {
    let started = r#"{"type":"thread.started","thread_id":"new"}"#;
    let seen = known(AgentType::Codex, true, &[started]);
    assert!(seen.stale);
    assert_eq!(seen.observed.session_gone.as_deref(), Some("asked"));
    assert_eq!(seen.observed.session.as_deref(), Some("new"));
    let item = r#"{"type":"item.started","item":{"id":"i","type":"command_execution"}}"#;
    let seen = known(AgentType::Codex, true, &[started, item]);
    assert!(!seen.stale && seen.tool, "it has done something");
}

/// Codex waits for a provider that is not there without end, and says so again
/// and again. What it counts, it ends by itself.
#[test]
fn a_wait_without_an_end_is_ended() {
    let waits = r#"{"type":"error","message":"Reconnecting... waiting for network (no)"}"#;
    let counted = r#"{"type":"error","message":"Reconnecting... 2/5 (no)"}"#;
    let warning = r#"{"type":"item.completed","item":{"id":"w","type":"error","message":"old"}}"#;
    let answer =
        r#"{"type":"item.completed","item":{"id":"a","type":"agent_message","text":"ah"}}"#;
    let of = |lines: &[&str]| known(AgentType::Codex, false, lines);
    assert!(!of(&[counted; 9]).over);
    assert!(!of(&[waits, waits, waits]).over);
    assert!(!of(&[waits, waits, waits, answer, waits]).over);
    let ended = of(&[waits, waits, counted, warning, waits, waits]);
    assert!(ended.over);
    let verdict = judge(AgentType::Codex, 1, true, &ended.observed);
    assert_eq!(verdict.reason, Some(FailureReason::ProviderUnreachable));
    assert!(
        verdict.message.contains("waiting for network (no)"),
        "{verdict:?}"
    );
    // It is there again just in time.
    let back = of(&[waits, waits, waits, waits, answer]);
    assert!(!back.over);
    let done = r#"{"type":"turn.completed","usage":{}}"#;
    let done = of(&[waits, waits, waits, waits, answer, done]);
    assert!(done.over && done.observed.fault.is_none());
    assert!(done.observed.claim.unwrap().done);
}

#[test]
fn what_comes_after_the_end_is_not_read() {
    let mut stream = Stream::at(reads(AgentType::Claude, Usage::default(), None), now);
    let done = r#"{"type":"result","is_error":false,"result":"done"}"#;
    stream.feed(Source::Output, format!("{done}\n{{\"type\"").as_bytes());
    let known = stream.seen().clone();
    assert!(known.over);
    stream.close();
    let late = br#":"result","is_error":true,"result":"interrupted"}"#;
    assert!(!stream.feed(Source::Output, late));
    stream.finish();
    assert_eq!(*stream.seen(), known);
}
