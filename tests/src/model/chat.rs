//! OpenAI Chat Completions, as opencode speaks it.

use serde_json::{Value, json};

use super::{
    api::{self, Api, By, Event, Refusal, Said, Stops, Stream, Turn},
    responses::Responses,
    script::ApiError,
    tools::Tool,
};

#[derive(Debug)]
pub(super) struct Completions;

const STOPS: Stops = Stops {
    end: "stop",
    call: "tool_calls",
    max_tokens: "length",
    refusal: "content_filter",
};

impl Api for Completions {
    fn streams(&self, _: &str, body: &Value) -> bool {
        body["stream"] == true
    }

    fn tools(&self, body: &Value) -> Vec<Tool> {
        let name = |tool: &Value| tool["function"]["name"].as_str().map(str::to_owned);
        let names = api::items(&body["tools"]).iter().filter_map(name);
        names.map(|name| Tool { name, free: false }).collect()
    }

    fn said(&self, body: &Value) -> Vec<Said> {
        let mut said = Vec::new();
        for message in api::items(&body["messages"]) {
            let by = match message["role"].as_str() {
                Some("user") => By::User,
                Some("assistant") => By::Model,
                Some("tool") => By::Tool,
                _ => By::System,
            };
            let texts = api::texts(&message["content"]);
            said.extend(texts.into_iter().map(|text| Said::new(by, text)));
            for call in api::items(&message["tool_calls"]) {
                let given = call["function"]["arguments"].as_str();
                said.push(Said::new(By::Call, given.unwrap_or_default()));
            }
        }
        said
    }

    fn stream(&self, turn: &Turn<'_>) -> Stream {
        let mut said = vec![chunk(
            turn,
            json!({"role": "assistant", "content": ""}),
            None,
        )];
        let words = turn.words();
        said.extend(words.map(|word| chunk(turn, json!({"content": word}), None)));
        let mut rest = Vec::new();
        for (index, mut call) in calls(turn).into_iter().enumerate() {
            call["index"] = json!(index);
            rest.push(chunk(turn, json!({"tool_calls": [call]}), None));
        }
        rest.push(chunk(turn, json!({}), Some(turn.stopped(&STOPS))));
        let mut figures = head(turn, "chat.completion.chunk");
        figures["choices"] = json!([]);
        figures["usage"] = usage(turn);
        rest.push(Event::plain(&figures));
        rest.push(Event::raw("[DONE]"));
        let failure = ApiError {
            status: 503,
            ..ApiError::default()
        };
        Stream {
            said,
            rest,
            failure: Event::plain(&self.error(&failure)),
        }
    }

    fn whole(&self, turn: &Turn<'_>) -> Value {
        let mut message = json!({"role": "assistant", "content": turn.answer.text});
        if !turn.calls.is_empty() {
            message["tool_calls"] = json!(calls(turn));
        }
        let finish = turn.stopped(&STOPS);
        let mut whole = head(turn, "chat.completion");
        whole["choices"] = json!([{"index": 0, "message": message, "finish_reason": finish}]);
        whole["usage"] = usage(turn);
        whole
    }

    fn error(&self, error: &ApiError) -> Value {
        Responses.error(error)
    }

    fn usage_limit(&self, resets_at: u64) -> Refusal {
        Responses.usage_limit(resets_at)
    }
}

fn head(turn: &Turn<'_>, kind: &str) -> Value {
    json!({
        "id": format!("chatcmpl_{}", turn.id),
        "object": kind,
        "created": 0,
        "model": turn.model,
    })
}

fn chunk(turn: &Turn<'_>, delta: Value, finish: Option<&str>) -> Event {
    let mut chunk = head(turn, "chat.completion.chunk");
    chunk["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    Event::plain(&chunk)
}

fn calls(turn: &Turn<'_>) -> Vec<Value> {
    let calls = turn.calls.iter().enumerate();
    let call = calls.map(|(index, call)| {
        let function = json!({"name": call.name, "arguments": call.arguments.text()});
        json!({"id": turn.call_id(index), "type": "function", "function": function})
    });
    call.collect()
}

fn usage(turn: &Turn<'_>) -> Value {
    let usage = turn.answer.usage;
    let input = usage.input + usage.cached;
    json!({
        "prompt_tokens": input,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens": usage.output,
        "total_tokens": input + usage.output,
    })
}
