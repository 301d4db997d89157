//! Anthropic Messages, as Claude Code speaks it.

use serde_json::{Value, json};

use super::{
    api::{self, Api, By, Event, Refusal, Said, Stops, Stream, Turn},
    script::ApiError,
    tools::{Arguments, Tool},
};

#[derive(Debug)]
pub(super) struct Messages;

const STOPS: Stops = Stops {
    end: "end_turn",
    call: "tool_use",
    max_tokens: "max_tokens",
    refusal: "refusal",
};

impl Api for Messages {
    fn streams(&self, _: &str, body: &Value) -> bool {
        body["stream"] == true
    }

    /// Not those that the API itself would carry out: with them a search of the
    /// web is asked for, aside.
    fn tools(&self, body: &Value) -> Vec<Tool> {
        let tools = api::items(&body["tools"]).iter();
        let own = tools.filter(|tool| tool["input_schema"].is_object());
        let names = own.filter_map(|tool| tool["name"].as_str().map(str::to_owned));
        names.map(|name| Tool { name, free: false }).collect()
    }

    fn said(&self, body: &Value) -> Vec<Said> {
        let mut said = Vec::new();
        for message in api::items(&body["messages"]) {
            let by = match message["role"].as_str() {
                Some("user") => By::User,
                Some("assistant") => By::Model,
                _ => By::System,
            };
            if let Some(text) = message["content"].as_str() {
                said.push(Said::new(by, text));
            }
            for block in api::items(&message["content"]) {
                match block["type"].as_str() {
                    Some("text") => said.push(Said::new(by, text(&block["text"]))),
                    Some("tool_use") => said.push(Said::new(By::Call, block["input"].to_string())),
                    Some("tool_result") => {
                        let result = api::texts(&block["content"]).join("\n");
                        said.push(Said::new(By::Tool, result));
                    }
                    _ => {}
                }
            }
        }
        said
    }

    fn stream(&self, turn: &Turn<'_>) -> Stream {
        let mut begin = message(turn);
        begin["content"] = json!([]);
        begin["stop_reason"] = Value::Null;
        begin["usage"]["output_tokens"] = json!(1);
        let mut said = vec![Event::named("message_start", json!({"message": begin}))];
        let mut rest = Vec::new();
        let blocks = content(turn);
        for (index, block) in blocks.iter().enumerate() {
            let started = |block: Value| {
                let data = json!({"index": index, "content_block": block});
                Event::named("content_block_start", data)
            };
            let grown = |delta: Value| {
                Event::named(
                    "content_block_delta",
                    json!({"index": index, "delta": delta}),
                )
            };
            if block["type"] == "text" {
                said.push(started(json!({"type": "text", "text": ""})));
                said.push(Event::named("ping", json!({})));
                let words = turn.words();
                said.extend(words.map(|word| grown(json!({"type": "text_delta", "text": word}))));
            } else {
                let mut empty = block.clone();
                empty["input"] = json!({});
                rest.push(started(empty));
                let input = block["input"].to_string();
                rest.push(grown(
                    json!({"type": "input_json_delta", "partial_json": input}),
                ));
            }
            rest.push(Event::named("content_block_stop", json!({"index": index})));
        }
        let reason = turn.stopped(&STOPS);
        let usage = json!({"output_tokens": turn.answer.usage.output});
        let delta = json!({"stop_reason": reason, "stop_sequence": null});
        rest.push(Event::named(
            "message_delta",
            json!({"delta": delta, "usage": usage}),
        ));
        rest.push(Event::named("message_stop", json!({})));
        let overloaded = ApiError {
            status: 529,
            ..ApiError::default()
        };
        Stream {
            said,
            rest,
            failure: Event::named("error", self.error(&overloaded)),
        }
    }

    fn whole(&self, turn: &Turn<'_>) -> Value {
        message(turn)
    }

    fn error(&self, error: &ApiError) -> Value {
        let [kind, _, _, message] = api::usual(error.status);
        let kind = error.kind.as_deref().unwrap_or(kind);
        let message = error.message.as_deref().unwrap_or(message);
        json!({"type": "error", "error": {"type": kind, "message": message}})
    }

    /// The headers tell of the limit.
    fn usage_limit(&self, resets_at: u64) -> Refusal {
        let error = ApiError {
            status: 429,
            message: Some("This request would exceed your account's rate limit.".to_owned()),
            ..ApiError::default()
        };
        let header = |name, value: &str| (name, value.to_owned());
        Refusal {
            status: 429,
            headers: vec![
                header("anthropic-ratelimit-unified-status", "rejected"),
                header(
                    "anthropic-ratelimit-unified-representative-claim",
                    "five_hour",
                ),
                header("anthropic-ratelimit-unified-reset", &resets_at.to_string()),
            ],
            body: self.error(&error),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The whole message.
fn message(turn: &Turn<'_>) -> Value {
    let usage = turn.answer.usage;
    json!({
        "id": format!("msg_{}", turn.id),
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": content(turn),
        "stop_reason": turn.stopped(&STOPS),
        "stop_sequence": null,
        "usage": {
            "input_tokens": usage.input,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached,
            "output_tokens": usage.output,
        },
    })
}

fn content(turn: &Turn<'_>) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !turn.answer.text.is_empty() {
        blocks.push(json!({"type": "text", "text": turn.answer.text}));
    }
    for (index, call) in turn.calls.iter().enumerate() {
        let input = match &call.arguments {
            Arguments::Json(input) => input.clone(),
            Arguments::Free(text) => json!({"input": text}),
        };
        let id = format!("tool{}", turn.call_id(index));
        blocks.push(json!({"type": "tool_use", "id": id, "name": call.name, "input": input}));
    }
    blocks
}
