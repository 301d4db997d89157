//! The events of Codex: one object a line.
//!
//! `thread.started`, then a turn: `turn.started`, items, `turn.completed` or
//! `turn.failed`. An `error` in between is not the end: it tries again. It says
//! no codes, so that its words are all there is to go by.

use super::{
    Seen,
    common::{self, Tools, object, pin, progress},
    json::Object,
    provider::{Refusal, refused, status_in},
};
use crate::{
    task::{id::Timestamp, limits::MAX_MESSAGE, reason::FailureReason, usage::Usage},
    transcript::Source,
};

/// Items that are no tools.
const THOUGHTS: [&str; 4] = ["agent_message", "reasoning", "error", "todo_list"];
/// How it announces that it tries again.
const AGAIN: &str = "Reconnecting...";
/// So many announcements in a row without an end to come, and its provider is
/// not there. They come after 5, 10 and 20 seconds, in the end each minute; each
/// is a sign of life, so that no limit of idleness would ever be reached.
const MAX_WAITS: u32 = 4;
/// Words of a resume that found nothing.
const GONE: &str = "no rollout found";

#[derive(Clone)]
pub(super) struct Codex {
    now: fn() -> Timestamp,
    before: Usage,
    /// The thread that it is to resume, until it has begun one.
    asked: Option<String>,
    resumed: bool,
    tools: Tools,
    /// Its last words.
    said: String,
    answers: u64,
    /// Its announcements without an end since it has last got anywhere.
    waits: u32,
}

impl Codex {
    pub(super) fn new(before: Usage, asked: Option<String>, now: fn() -> Timestamp) -> Self {
        Self {
            now,
            before,
            resumed: asked.is_some(),
            asked,
            tools: Tools::default(),
            said: String::new(),
            answers: 0,
            waits: 0,
        }
    }

    /// A whole line without its end.
    pub(super) fn line(&mut self, source: Source, line: &[u8], seen: &mut Seen) {
        match source {
            Source::Output => {
                // What is no object is for the transcript only.
                let _known = object(line, |event| self.event(event, seen));
            }
            Source::Errors => {
                let text = String::from_utf8_lossy(line);
                if self.asked.is_some() && text.contains(GONE) {
                    common::stale(&text, seen);
                } else {
                    common::complaint(line, seen);
                }
            }
        }
    }

    fn event(&mut self, event: &Object<'_>, seen: &mut Seen) {
        match &*event.text("type").unwrap_or_default() {
            "thread.started" => self.begun(event, seen),
            "turn.started" => {
                seen.over = false;
            }
            "item.started" => {
                let item = event.object("item");
                let kind = item.text("type").unwrap_or_default();
                if !THOUGHTS.contains(&&*kind) {
                    self.tools.started(item.text("id"));
                }
                self.goes_on(&item, seen);
                seen.stale = false;
            }
            "item.completed" => self.item(&event.object("item"), seen),
            "error" => self.trouble(&event.text("message").unwrap_or_default(), seen),
            "turn.completed" => {
                self.settle(&event.object("usage"), seen);
                common::done(&self.said, seen);
                self.ended(seen);
            }
            "turn.failed" => {
                let error = event.object("error");
                let message = error.text("message").unwrap_or_default();
                self.refused(&message, seen);
                common::failed(&message, seen);
                self.ended(seen);
            }
            _other => {}
        }
        seen.tool = self.tools.any();
    }

    /// A name that is no thread's is passed over without a word, and a new
    /// thread is begun.
    fn begun(&mut self, event: &Object<'_>, seen: &mut Seen) {
        let thread = event.text("thread_id");
        if let Some(asked) = self.asked.take()
            && thread.as_ref().is_some_and(|thread| **thread != asked)
        {
            seen.stale = true;
            seen.observed.session_gone = Some(asked);
            self.before = Usage::default();
            self.resumed = false;
        }
        pin(thread, seen);
    }

    fn item(&mut self, item: &Object<'_>, seen: &mut Seen) {
        self.tools.ended(item.text("id"));
        self.goes_on(item, seen);
        if item.is("type", "agent_message") {
            seen.stale = false;
            self.answers += 1;
            let text = item.text("text").unwrap_or_default();
            progress(&text, seen);
            let end = text.floor_char_boundary(MAX_MESSAGE);
            self.said = text[..end].to_owned();
        }
    }

    /// It has met an error and goes on; for ever, if nobody listens at all: then
    /// it is as good as over.
    fn trouble(&mut self, message: &str, seen: &mut Seen) {
        progress(message, seen);
        let Some(how) = message.strip_prefix(AGAIN) else {
            return;
        };
        common::fault(FailureReason::ProviderUnreachable, message, seen);
        if is_counted(how) {
            return;
        }
        self.waits = self.waits.saturating_add(1);
        if self.waits >= MAX_WAITS {
            let words = format!("its provider is not there, and it asks without end: {message}");
            common::fault(FailureReason::ProviderUnreachable, &words, seen);
            common::failed(&words, seen);
            seen.over = true;
        }
    }

    /// Its provider has answered.
    fn goes_on(&mut self, item: &Object<'_>, seen: &mut Seen) {
        if item.is("type", "error") {
            return;
        }
        if self.waits >= MAX_WAITS {
            seen.over = false;
        }
        self.waits = 0;
    }

    fn settle(&mut self, usage: &Object<'_>, seen: &mut Seen) {
        let figure = |key| usage.number(key).unwrap_or(0);
        let cached = figure("cached_input_tokens");
        let whole = Usage {
            input: figure("input_tokens").saturating_sub(cached),
            output: figure("output_tokens"),
            cached,
            cost: None,
            turns: 0,
        };
        seen.observed.usage = Some(Usage {
            turns: self.answers,
            ..whole.since(self.before)
        });
    }

    fn refused(&self, message: &str, seen: &mut Seen) {
        // What it had met before is not why.
        seen.observed.fault = None;
        let refusal = Refusal {
            status: status_in(message),
            message,
            conversation: self.resumed || self.answers > 0,
            ..Refusal::default()
        };
        refused(refusal, (self.now)(), seen);
    }

    fn ended(&mut self, seen: &mut Seen) {
        self.tools.none();
        seen.stale = false;
        seen.over = true;
    }
}

/// Whether an announcement says which of how many it is, as `2/5`: then there is
/// a last one, after which it ends by itself.
fn is_counted(how: &str) -> bool {
    let first = how.split_whitespace().next().unwrap_or_default();
    let number = |text: &str| text.parse::<u32>().is_ok();
    first
        .split_once('/')
        .is_some_and(|(n, of)| number(n) && number(of))
}
