//! The events of Gemini CLI: one object a line.
//!
//! `init`, messages in pieces, tools, and `result` with a status, which may be
//! an error though the process exits with 0. What the provider answered stands
//! on its standard error, if anywhere.

use super::{
    Seen,
    common::{self, Tools, object, pin, progress},
    json::Object,
    provider::{Refusal, refused, status_in},
};
use crate::{
    task::{id::Timestamp, limits::MAX_MESSAGE, usage::Usage},
    transcript::Source,
};

/// Words of a resume that found nothing.
const GONE: &str = "Error resuming session";
/// Errors of a connection, as they are called on its standard error.
const BROKEN: [&str; 4] = ["ECONNRE", "ENOTFOUND", "ETIMEDOUT", "fetch failed"];

#[derive(Clone)]
pub(super) struct Gemini {
    now: fn() -> Timestamp,
    resumed: bool,
    begun: bool,
    tools: Tools,
    /// The message that comes in pieces.
    said: String,
    answers: u64,
    /// The last error of an event of its own.
    error: String,
    /// The provider's last status, and whether the connection broke.
    status: Option<u64>,
    broken: bool,
    /// Why it failed, once it has.
    failed: Option<String>,
}

impl Gemini {
    pub(super) fn new(resumed: bool, now: fn() -> Timestamp) -> Self {
        Self {
            now,
            resumed,
            begun: false,
            tools: Tools::default(),
            said: String::new(),
            answers: 0,
            error: String::new(),
            status: None,
            broken: false,
            failed: None,
        }
    }

    /// A whole line without its end.
    pub(super) fn line(&mut self, source: Source, line: &[u8], seen: &mut Seen) {
        match source {
            Source::Output => {
                // What is no object is for the transcript only.
                let _known = object(line, |event| self.event(event, seen));
            }
            Source::Errors => self.error_line(line, seen),
        }
    }

    fn event(&mut self, event: &Object<'_>, seen: &mut Seen) {
        let kind = event.text("type").unwrap_or_default();
        let speaks = &*kind == "message" && event.is("role", "assistant");
        if !speaks && &*kind != "result" {
            self.said.clear();
        }
        match &*kind {
            "init" => {
                self.begun = true;
                seen.over = false;
                seen.stale = false;
                pin(event.text("session_id"), seen);
                common::model(event.text("model"), seen);
            }
            "message" if speaks => self.speaks(&event.text("content").unwrap_or_default(), seen),
            "tool_use" => self.tools.started(event.text("tool_id")),
            "tool_result" => self.tools.ended(event.text("tool_id")),
            "error" => self.error = event.text("message").unwrap_or_default().into_owned(),
            "result" => self.result(event, seen),
            _other => {}
        }
        seen.tool = self.tools.any();
    }

    fn speaks(&mut self, piece: &str, seen: &mut Seen) {
        if self.said.is_empty() {
            self.answers += 1;
        }
        // Its beginning is enough to be shown.
        if self.said.len() < MAX_MESSAGE {
            self.said.push_str(piece);
            progress(&self.said, seen);
        }
    }

    fn result(&mut self, event: &Object<'_>, seen: &mut Seen) {
        seen.over = true;
        self.tools.none();
        let stats = event.object("stats");
        let figure = |key| stats.number(key).unwrap_or(0);
        let cached = figure("cached");
        let input = stats.number("input");
        seen.observed.usage = Some(Usage {
            input: input.unwrap_or(figure("input_tokens").saturating_sub(cached)),
            output: figure("output_tokens"),
            cached,
            cost: None,
            turns: self.answers,
        });
        if event.is("status", "success") {
            self.failed = None;
            return common::done(&self.said, seen);
        }
        let error = event.object("error");
        let message = error.text("message").map(|text| text.into_owned());
        let message = message.unwrap_or_else(|| self.error.clone());
        common::failed(&message, seen);
        self.failed = Some(message);
        self.judge(seen);
    }

    /// What stands on its two outputs comes in any order.
    fn judge(&self, seen: &mut Seen) {
        let Some(message) = &self.failed else { return };
        let said = status_in(message);
        let refusal = Refusal {
            status: said.or(self.status),
            kind: if self.broken { "connection" } else { "" },
            message,
            retry_after: None,
            resets_at: None,
            conversation: self.resumed || self.answers > 0,
        };
        seen.observed.limited = None;
        seen.observed.fault = None;
        refused(refusal, (self.now)(), seen);
    }

    fn error_line(&mut self, line: &[u8], seen: &mut Seen) {
        let text = String::from_utf8_lossy(line);
        if self.resumed && !self.begun && text.contains(GONE) {
            return common::stale(&text, seen);
        }
        let before = (self.status, self.broken);
        let trimmed = text.trim_start();
        if trimmed.starts_with("status: ") || trimmed.starts_with("code: ") {
            self.status = status_in(trimmed).or(self.status);
        }
        self.broken |= BROKEN.iter().any(|word| text.contains(word));
        if before != (self.status, self.broken) {
            self.judge(seen);
        }
        if !self.begun {
            common::complaint(line, seen);
        }
    }
}
