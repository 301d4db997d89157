//! What the APIs have in common.

use std::fmt;

use serde_json::{Value, json};

use super::{
    anthropic::Messages,
    chat::Completions,
    gemini::Generate,
    responses::Responses,
    script::{Answer, ApiError, Course, Stop},
    tools::{Called, Tool},
};

/// One of the APIs that agents speak.
pub(super) trait Api: fmt::Debug + Send + Sync {
    /// Whether this request wants its answer as a stream.
    fn streams(&self, path: &str, body: &Value) -> bool;

    /// The tools that the agent offers.
    fn tools(&self, body: &Value) -> Vec<Tool>;

    /// The conversation so far, oldest first.
    fn said(&self, body: &Value) -> Vec<Said>;

    /// An answer as a stream.
    fn stream(&self, turn: &Turn<'_>) -> Stream;

    /// An answer as one document.
    fn whole(&self, turn: &Turn<'_>) -> Value;

    /// An error before the stream: kind and message, or the usual ones.
    fn error(&self, error: &ApiError) -> Value;

    /// What is answered when the limit of a subscription is reached: status,
    /// headers, body.
    fn usage_limit(&self, resets_at: u64) -> Refusal;
}

/// A refusal in the words of an API.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

/// The API at this path, if there is one.
pub(super) fn at(path: &str) -> Option<&'static dyn Api> {
    match path {
        "/v1/messages" => Some(&Messages),
        "/v1/responses" => Some(&Responses),
        "/v1/chat/completions" => Some(&Completions),
        _ if path.ends_with(":streamGenerateContent") || path.ends_with(":generateContent") => {
            Some(&Generate)
        }
        _ => None,
    }
}

/// Something in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who said it.
    pub by: By,
    /// The text; of a call what it was given, of a result what the model sees.
    pub text: String,
}

/// Who said something in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The agent program: instructions, and what it knows of its surroundings.
    System,
    /// Who gave the agent its prompt.
    User,
    /// The model.
    Model,
    /// The model, to a tool.
    Call,
    /// A tool.
    Tool,
}

impl Said {
    pub(super) fn new(by: By, text: impl Into<String>) -> Self {
        let text = text.into();
        // Programs put what they have to say into the user's mouth, in tags.
        let tagged = by == By::User && text.trim_start().starts_with('<');
        Self {
            by: if tagged { By::System } else { by },
            text,
        }
    }
}

/// An answer that is to be told.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    /// Tells this answer from all others.
    pub(super) id: String,
    pub(super) model: &'a str,
    pub(super) answer: &'a Answer,
    pub(super) calls: Vec<Called>,
}

impl Turn<'_> {
    /// The text word by word.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.answer.text.split_inclusive(' ')
    }

    /// The id of a call of a tool.
    pub(super) fn call_id(&self, index: usize) -> String {
        format!("call_{}_{index}", self.id)
    }

    /// The word for why the model stopped, out of those of an API.
    pub(super) fn stopped(&self, words: &Stops) -> &'static str {
        match self.answer.stop {
            Stop::End if self.calls.is_empty() => words.end,
            Stop::End => words.call,
            Stop::MaxTokens => words.max_tokens,
            Stop::Refusal => words.refusal,
        }
    }
}

/// The words of an API for why a model stopped.
#[derive(Debug)]
pub(super) struct Stops {
    pub(super) end: &'static str,
    pub(super) call: &'static str,
    pub(super) max_tokens: &'static str,
    pub(super) refusal: &'static str,
}

/// One server-sent event.
#[derive(Debug)]
pub(super) struct Event {
    /// None for APIs that do not name their events.
    name: Option<&'static str>,
    data: String,
}

impl Event {
    /// An event whose data tells its name, too.
    pub(super) fn named(name: &'static str, mut data: Value) -> Self {
        data["type"] = json!(name);
        Self {
            name: Some(name),
            data: data.to_string(),
        }
    }

    /// An event without a name.
    pub(super) fn plain(data: &Value) -> Self {
        Self {
            name: None,
            data: data.to_string(),
        }
    }

    /// Data that is no JSON.
    pub(super) fn raw(data: &str) -> Self {
        Self {
            name: None,
            data: data.to_owned(),
        }
    }

    /// As it is sent.
    pub(super) fn encode(&self) -> String {
        let name = self.name.map(|name| format!("event: {name}\n"));
        format!("{}data: {}\n\n", name.unwrap_or_default(), self.data)
    }
}

/// The events of an answer.
#[derive(Debug)]
pub(super) struct Stream {
    /// To the last word of the text.
    pub(super) said: Vec<Event>,
    /// What follows, and the end.
    pub(super) rest: Vec<Event>,
    /// Instead of the rest, if the model fails in between.
    pub(super) failure: Event,
}

impl Stream {
    /// The events that are sent on this course.
    pub(super) fn on(self, course: Course) -> Vec<Event> {
        let mut events = self.said;
        match course {
            Course::Whole | Course::Slow { .. } => events.extend(self.rest),
            Course::Fails => events.push(self.failure),
            Course::Cut | Course::Short | Course::Silent => {}
        }
        events
    }
}

/// What is usual for an error of this status: the words of Anthropic, OpenAI and
/// Google for it, and a message.
pub(super) fn usual(status: u16) -> [&'static str; 4] {
    match status {
        400 => [
            "invalid_request_error",
            "invalid_request_error",
            "INVALID_ARGUMENT",
            "bad request",
        ],
        401 => [
            "authentication_error",
            "invalid_api_key",
            "UNAUTHENTICATED",
            "invalid API key",
        ],
        403 => [
            "permission_error",
            "forbidden",
            "PERMISSION_DENIED",
            "not permitted",
        ],
        404 => [
            "not_found_error",
            "model_not_found",
            "NOT_FOUND",
            "no such model",
        ],
        413 => [
            "request_too_large",
            "request_too_large",
            "INVALID_ARGUMENT",
            "request too large",
        ],
        429 => [
            "rate_limit_error",
            "rate_limit_exceeded",
            "RESOURCE_EXHAUSTED",
            "rate limit reached",
        ],
        529 => [
            "overloaded_error",
            "server_is_overloaded",
            "UNAVAILABLE",
            "Overloaded",
        ],
        503 => [
            "api_error",
            "server_error",
            "UNAVAILABLE",
            "service unavailable",
        ],
        _ => [
            "api_error",
            "server_error",
            "INTERNAL",
            "internal server error",
        ],
    }
}

/// The texts in a content that is a text or a list of parts.
pub(super) fn texts(content: &Value) -> Vec<String> {
    if let Some(text) = content.as_str() {
        return vec![text.to_owned()];
    }
    let text = |part: &Value| part["text"].as_str().map(str::to_owned);
    items(content).iter().filter_map(text).collect()
}

/// The items of a list; none if it is no list.
pub(super) fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}
