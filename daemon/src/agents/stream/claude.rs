//! The events of Claude Code: one object a line, each with the session.
//!
//! ```text
//! system/init ─► assistant, user (results of tools) … ─► result
//!      ▲                                                   │ something in the
//!      └───────────────────────────────────────────────────┘ background has ended
//! ```
//!
//! Neither `subtype` nor the exit code says how it went; `is_error` does.

use std::collections::HashMap;

use super::{
    Seen,
    common::{self, Tools, object, pin, progress},
    json::Object,
    provider::{Refusal, refused},
};
use crate::{
    task::{id::Timestamp, reason::FailureReason, usage::Usage},
    transcript::Source,
};

/// What stands for the model in messages that Claude Code makes up itself.
const MADE_UP: &str = "<synthetic>";
/// Answers that are told apart within one turn; what is more is added up.
const MAX_ANSWERS: usize = 4096;
/// Words of a resume that found nothing.
const GONE: [&str; 2] = ["No conversation found", "does not match any session"];

#[derive(Clone)]
pub(super) struct Claude {
    now: fn() -> Timestamp,
    before: Usage,
    resumed: bool,
    /// An `init` has come: it knows its session.
    begun: bool,
    /// A model has answered.
    answered: bool,
    tools: Tools,
    /// Up to the last result.
    settled: Usage,
    /// Since then, by answer: each is told several times.
    answers: HashMap<String, Usage>,
    /// The kind of the last error that took the place of an answer.
    kind: String,
    /// When the limit of a subscription is over that it has met; seconds since
    /// 1970. Its words say it only to the hour.
    resets_at: Option<u64>,
}

impl Claude {
    pub(super) fn new(before: Usage, resumed: bool, now: fn() -> Timestamp) -> Self {
        Self {
            now,
            before,
            resumed,
            begun: false,
            answered: false,
            tools: Tools::default(),
            settled: Usage::default(),
            answers: HashMap::new(),
            kind: String::new(),
            resets_at: None,
        }
    }

    /// A whole line without its end.
    pub(super) fn line(&mut self, source: Source, line: &[u8], seen: &mut Seen) {
        match source {
            Source::Output => {
                // What is no object is for the transcript only.
                let _known = object(line, |event| self.event(event, seen));
            }
            Source::Errors => common::complaint(line, seen),
        }
    }

    fn event(&mut self, event: &Object<'_>, seen: &mut Seen) {
        let kind = event.text("type").unwrap_or_default();
        if &*kind == "result" && self.is_gone(event) {
            let message = errors(event);
            common::stale(&message, seen);
            common::failed(&message, seen);
            seen.over = true;
            return;
        }
        pin(event.text("session_id"), seen);
        match &*kind {
            "system" => self.system(event, seen),
            "assistant" => self.assistant(event, seen),
            "user" => {
                for part in content(event) {
                    self.tools.ended(part.text("tool_use_id"));
                }
            }
            "rate_limit_event" => {
                let info = event.object("rate_limit_info");
                let rejected = info.is("status", "rejected");
                let resets_at = info.number("resetsAt");
                self.resets_at = resets_at.filter(|_| rejected);
            }
            "result" => self.result(event, seen),
            _other => {}
        }
        seen.tool = self.tools.any();
    }

    fn system(&mut self, event: &Object<'_>, seen: &mut Seen) {
        match &*event.text("subtype").unwrap_or_default() {
            "init" => {
                self.begun = true;
                seen.over = false;
                seen.stale = false;
                common::model(event.text("model"), seen);
            }
            "api_retry" => {
                let error = event.text("error").unwrap_or_default();
                let number = |key| event.number(key).unwrap_or(0);
                let (attempt, most) = (number("attempt"), number("max_retries"));
                let text = format!("asks the provider again ({error}), {attempt} of {most}");
                progress(&text, seen);
            }
            _other => {}
        }
    }

    fn assistant(&mut self, event: &Object<'_>, seen: &mut Seen) {
        let message = event.object("message");
        let mut text = String::new();
        for part in content(event) {
            if part.is("type", "tool_use") {
                self.tools.started(part.text("id"));
            } else if let Some(words) = part.text("text") {
                text = words.into_owned();
            }
        }
        if let Some(kind) = event.text("error") {
            self.kind = kind.into_owned();
            self.refused(event, &text, seen);
            return;
        }
        if message.is("model", MADE_UP) {
            return;
        }
        self.answered = true;
        common::model(message.text("model"), seen);
        // What helpers say is not what the agent itself is at.
        if event.text("parent_tool_use_id").is_none() {
            progress(&text, seen);
        }
        self.count(&message, seen);
    }

    fn count(&mut self, message: &Object<'_>, seen: &mut Seen) {
        let usage = message.object("usage");
        let figure = |key| usage.number(key).unwrap_or(0);
        let answer = Usage {
            input: figure("input_tokens").saturating_add(figure("cache_creation_input_tokens")),
            output: figure("output_tokens"),
            cached: figure("cache_read_input_tokens"),
            cost: None,
            turns: 1,
        };
        if self.answers.len() >= MAX_ANSWERS {
            self.settled = self.so_far();
            self.answers.clear();
        }
        if let Some(id) = message.text("id") {
            self.answers.insert(id.into_owned(), answer);
        }
        seen.observed.usage = Some(self.so_far());
    }

    fn so_far(&self) -> Usage {
        self.answers.values().fold(self.settled, |a, b| a.plus(*b))
    }

    fn result(&mut self, event: &Object<'_>, seen: &mut Seen) {
        seen.over = true;
        self.tools.none();
        self.settle(event, seen);
        let said = event.text("result");
        if event.flag("is_error") == Some(false) {
            let said = said.unwrap_or_default();
            let denied = event.get("permission_denials");
            let denied = denied.map_or(0, |denied| denied.items().len());
            match denied {
                0 => common::done(&said, seen),
                denied => common::done(&format!("{said} ({denied} not permitted)"), seen),
            }
            return;
        }
        let mut message = said.map_or_else(|| errors(event), |said| said.into_owned());
        let ended = event.text("terminal_reason").unwrap_or_default();
        match &*event.text("subtype").unwrap_or_default() {
            "error_max_budget_usd" => {
                common::fault(FailureReason::BudgetExceeded, &message, seen);
            }
            "error_max_turns" => common::fault(FailureReason::AgentError, &message, seen),
            _other if ended.starts_with("aborted") => {
                "it was interrupted".clone_into(&mut message);
                common::fault(FailureReason::AgentError, &message, seen);
            }
            _other => self.refused(event, &message, seen),
        }
        common::failed(&message, seen);
    }

    /// What was used since the last result, as it says itself; older versions
    /// say only what the whole session has used.
    fn settle(&mut self, event: &Object<'_>, seen: &mut Seen) {
        let turns = self.settled.turns;
        let turns = turns.saturating_add(event.number("num_turns").unwrap_or(0));
        self.settled = match event.get("model_usage_since_last_result") {
            Some(since) => self.settled.plus(by_model(&since.object())),
            None => {
                let whole = Usage {
                    cost: event.dollars("total_cost_usd"),
                    ..by_model(&event.object("modelUsage"))
                };
                whole.since(self.before)
            }
        };
        self.settled.turns = turns;
        self.settled.cost = self.settled.cost.or(Some(0));
        self.answers.clear();
        seen.observed.usage = Some(self.settled);
    }

    fn refused(&self, event: &Object<'_>, message: &str, seen: &mut Seen) {
        let keys = ["terminal_reason", "api_error_type", "api_error"];
        let words = keys.iter().filter_map(|key| event.text(key));
        let kind = words.fold(self.kind.clone(), |all, word| format!("{all} {word}"));
        let refusal = Refusal {
            status: event.number("api_error_status"),
            kind: &kind,
            message,
            retry_after: None,
            resets_at: self.resets_at,
            conversation: self.resumed || self.answered,
        };
        refused(refusal, (self.now)(), seen);
    }

    fn is_gone(&self, event: &Object<'_>) -> bool {
        self.resumed && !self.begun && event.flag("is_error") == Some(true) && {
            let errors = errors(event);
            GONE.iter().any(|words| errors.contains(words))
        }
    }
}

/// The parts of an event's message.
fn content<'a>(event: &Object<'a>) -> Vec<Object<'a>> {
    let content = event.object("message").get("content");
    let parts = content.map(|content| content.items()).unwrap_or_default();
    parts.into_iter().map(|part| part.object()).collect()
}

fn errors(event: &Object<'_>) -> String {
    let errors = event.get("errors").map(|errors| errors.items());
    let errors = errors.unwrap_or_default();
    let texts: Vec<_> = errors
        .into_iter()
        .filter_map(|error| error.text())
        .collect();
    texts.join(" ")
}

/// The sum over all models.
fn by_model(models: &Object<'_>) -> Usage {
    models.values().fold(Usage::default(), |sum, model| {
        let model = model.object();
        let figure = |key| model.number(key).unwrap_or(0);
        sum.plus(Usage {
            input: figure("inputTokens").saturating_add(figure("cacheCreationInputTokens")),
            output: figure("outputTokens"),
            cached: figure("cacheReadInputTokens"),
            cost: model.dollars("costUSD"),
            turns: 0,
        })
    })
}
