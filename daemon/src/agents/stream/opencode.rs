//! The events of opencode: one object a line, each with the session.
//!
//! Steps begin and end, with texts and finished tools between. The last event
//! is like any other, so that only the end of the process is the end.

use super::{
    Seen,
    common::{self, object, pin, progress},
    json::Object,
    provider::{Refusal, refused, status_in},
};
use crate::{
    task::{id::Timestamp, limits::MAX_MESSAGE, reason::FailureReason, usage::Usage},
    transcript::Source,
};

/// So many answers in a row without a reason for their end, and none will come
/// that has one.
const MAX_BROKEN: u32 = 3;

/// Words of a resume that found nothing.
const GONE: &str = "Session not found";

#[derive(Clone)]
pub(super) struct Opencode {
    now: fn() -> Timestamp,
    resumed: bool,
    begun: bool,
    used: Usage,
    /// Its last words.
    said: String,
    /// The newest steps that ended without a reason, and did nothing.
    broken: u32,
}

impl Opencode {
    pub(super) fn new(resumed: bool, now: fn() -> Timestamp) -> Self {
        Self {
            now,
            resumed,
            begun: false,
            used: Usage::default(),
            said: String::new(),
            broken: 0,
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
                if self.resumed && !self.begun && text.contains(GONE) {
                    common::stale(&common::plain(&text), seen);
                } else {
                    common::complaint(line, seen);
                }
            }
        }
    }

    fn event(&mut self, event: &Object<'_>, seen: &mut Seen) {
        let id = event.text("sessionID");
        self.begun |= id.is_some();
        seen.stale &= !self.begun;
        pin(id, seen);
        let part = event.object("part");
        match &*event.text("type").unwrap_or_default() {
            "text" => {
                let text = part.text("text").unwrap_or_default();
                progress(&text, seen);
                let end = text.floor_char_boundary(MAX_MESSAGE);
                self.said = text[..end].to_owned();
            }
            "tool_use" => self.broken = 0,
            "step_finish" => self.step(&part, seen),
            "error" => self.error(&event.object("error"), seen),
            _other => {}
        }
    }

    fn step(&mut self, part: &Object<'_>, seen: &mut Seen) {
        let tokens = part.object("tokens");
        let cache = tokens.object("cache");
        let figure = |key| tokens.number(key).unwrap_or(0);
        let written = cache.number("write").unwrap_or(0);
        self.used = self.used.plus(Usage {
            input: figure("input").saturating_add(written),
            output: figure("output").saturating_add(figure("reasoning")),
            cached: cache.number("read").unwrap_or(0),
            cost: part.dollars("cost"),
            turns: 1,
        });
        seen.observed.usage = Some(self.used);
        if part.is("reason", "stop") {
            common::done(&self.said, seen);
        }
        if !part.is("reason", "unknown") {
            self.broken = 0;
            return;
        }
        self.broken += 1;
        if self.broken >= MAX_BROKEN {
            const WORDS: &str = "its provider's answers break off, and it asks again without end";
            common::fault(FailureReason::ProviderUnreachable, WORDS, seen);
            common::failed(WORDS, seen);
            seen.over = true;
        }
    }

    fn error(&mut self, error: &Object<'_>, seen: &mut Seen) {
        let data = error.object("data");
        let kind = error.text("name").unwrap_or_default();
        let code = data.object("metadata").text("code");
        let body = data.text("responseBody").unwrap_or_default();
        let end = body.floor_char_boundary(MAX_MESSAGE);
        let message = data.text("message").or_else(|| error.text("message"));
        let message = message.unwrap_or_else(|| kind.clone());
        let after = data.object("responseHeaders").text("retry-after");
        let refusal = Refusal {
            status: data.number("statusCode").or_else(|| status_in(&message)),
            kind: &format!("{kind} {} {}", code.unwrap_or_default(), &body[..end]),
            message: &message,
            retry_after: after.and_then(|seconds| seconds.parse().ok()),
            resets_at: None,
            conversation: self.resumed || self.used.turns > 0,
        };
        refused(refusal, (self.now)(), seen);
        common::failed(&message, seen);
    }
}
