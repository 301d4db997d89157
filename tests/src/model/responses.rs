//! OpenAI Responses, as Codex speaks it.

use serde_json::{Value, json};

use super::{
    api::{self, Api, By, Event, Refusal, Said, Stream, Turn},
    script::{ApiError, Stop},
    tools::{Arguments, Tool},
};

#[derive(Debug)]
pub(super) struct Responses;

impl Api for Responses {
    fn streams(&self, _: &str, body: &Value) -> bool {
        body["stream"] == true
    }

    /// Beside the usual place, Codex sends its tools as an item of the input;
    /// in both they may stand in namespaces.
    fn tools(&self, body: &Value) -> Vec<Tool> {
        let more = api::items(&body["input"]).iter();
        let more = more.filter(|item| item["type"] == "additional_tools");
        let more = more.flat_map(|item| api::items(&item["tools"]));
        let all = api::items(&body["tools"]).iter().chain(more);
        let mut tools = Vec::new();
        for tool in all {
            let group = api::items(&tool["tools"]);
            for tool in std::iter::once(tool).chain(group) {
                let name = tool["name"].as_str().or(tool["type"].as_str());
                tools.extend(name.map(|name| Tool {
                    name: name.to_owned(),
                    free: tool["type"] == "custom",
                }));
            }
        }
        tools
    }

    fn said(&self, body: &Value) -> Vec<Said> {
        if let Some(text) = body["input"].as_str() {
            return vec![Said::new(By::User, text)];
        }
        let mut said = Vec::new();
        for item in api::items(&body["input"]) {
            let kind = item["type"].as_str().unwrap_or("message");
            if kind == "message" {
                let by = match item["role"].as_str() {
                    Some("user") => By::User,
                    Some("assistant") => By::Model,
                    _ => By::System,
                };
                let texts = api::texts(&item["content"]);
                said.extend(texts.into_iter().map(|text| Said::new(by, text)));
            } else if kind.ends_with("_call_output") {
                said.push(Said::new(By::Tool, api::texts(&item["output"]).join("\n")));
            } else if kind.ends_with("_call") {
                let given = item["arguments"].as_str().or(item["input"].as_str());
                said.push(Said::new(By::Call, given.unwrap_or_default()));
            }
        }
        said
    }

    fn stream(&self, turn: &Turn<'_>) -> Stream {
        let mut numbered = Numbered::default();
        let begun = response(turn, "in_progress", &[]);
        let mut said = vec![
            numbered.event("response.created", json!({"response": begun})),
            numbered.event("response.in_progress", json!({"response": begun})),
        ];
        let mut rest = Vec::new();
        let output = output(turn);
        for (index, item) in output.iter().enumerate() {
            let place = json!({"item_id": item["id"], "output_index": index, "content_index": 0});
            let at = |more: Value| merged(&place, more);
            let mut begun = item.clone();
            begun["status"] = json!("in_progress");
            let is_text = item["type"] == "message";
            if is_text {
                begun["content"] = json!([]);
            }
            let added = json!({"output_index": index, "item": begun});
            let added = numbered.event("response.output_item.added", added);
            if is_text {
                said.push(added);
                let empty = at(json!({"part": part("")}));
                said.push(numbered.event("response.content_part.added", empty));
                for word in turn.words() {
                    let delta = at(json!({"delta": word}));
                    said.push(numbered.event("response.output_text.delta", delta));
                }
                let text = &turn.answer.text;
                let done = at(json!({"text": text}));
                rest.push(numbered.event("response.output_text.done", done));
                let done = at(json!({"part": part(text)}));
                rest.push(numbered.event("response.content_part.done", done));
            } else {
                rest.push(added);
            }
            let done = json!({"output_index": index, "item": item});
            rest.push(numbered.event("response.output_item.done", done));
        }
        let whole = self.whole(turn);
        let end = if whole["status"] == "completed" {
            "response.completed"
        } else {
            "response.incomplete"
        };
        rest.push(numbered.event(end, json!({"response": whole})));
        let mut failed = response(turn, "failed", &[]);
        failed["error"] = json!({"code": "server_is_overloaded", "message": "Overloaded"});
        let mut instead = Numbered(said.len());
        Stream {
            said,
            rest,
            failure: instead.event("response.failed", json!({"response": failed})),
        }
    }

    fn whole(&self, turn: &Turn<'_>) -> Value {
        let reason = match turn.answer.stop {
            Stop::End => None,
            Stop::MaxTokens => Some("max_output_tokens"),
            Stop::Refusal => Some("content_filter"),
        };
        let status = reason.map_or("completed", |_| "incomplete");
        let mut whole = response(turn, status, &output(turn));
        if let Some(reason) = reason {
            whole["incomplete_details"] = json!({"reason": reason});
        }
        let usage = turn.answer.usage;
        let input = usage.input + usage.cached;
        whole["usage"] = json!({
            "input_tokens": input,
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input + usage.output,
        });
        whole
    }

    fn error(&self, error: &ApiError) -> Value {
        let [_, kind, _, message] = api::usual(error.status);
        let kind = error.kind.as_deref().unwrap_or(kind);
        let message = error.message.as_deref().unwrap_or(message);
        json!({"error": {"message": message, "type": kind, "code": kind, "param": null}})
    }

    fn usage_limit(&self, resets_at: u64) -> Refusal {
        let error = json!({
            "type": "usage_limit_reached",
            "message": "The usage limit has been reached",
            "plan_type": "plus",
            "resets_at": resets_at,
        });
        Refusal {
            status: 429,
            headers: Vec::new(),
            body: json!({"error": error}),
        }
    }
}

/// Gives events their numbers.
#[derive(Debug, Default)]
struct Numbered(usize);

impl Numbered {
    fn event(&mut self, name: &'static str, mut data: Value) -> Event {
        data["sequence_number"] = json!(self.0);
        self.0 += 1;
        Event::named(name, data)
    }
}

fn merged(base: &Value, more: Value) -> Value {
    let mut all = base.clone();
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": []})
}

fn response(turn: &Turn<'_>, status: &str, output: &[Value]) -> Value {
    json!({
        "id": format!("resp_{}", turn.id),
        "object": "response",
        "created_at": 0,
        "status": status,
        "model": turn.model,
        "output": output,
    })
}

/// The items of the answer.
fn output(turn: &Turn<'_>) -> Vec<Value> {
    let mut items = Vec::new();
    if !turn.answer.text.is_empty() {
        items.push(json!({
            "type": "message",
            "id": format!("msg_{}", turn.id),
            "role": "assistant",
            "status": "completed",
            "content": [part(&turn.answer.text)],
        }));
    }
    for (index, call) in turn.calls.iter().enumerate() {
        let id = turn.call_id(index);
        let (kind, field) = match &call.arguments {
            Arguments::Json(_) => ("function_call", "arguments"),
            Arguments::Free(_) => ("custom_tool_call", "input"),
        };
        items.push(json!({
            "type": kind,
            "id": format!("item_{id}"),
            "call_id": id,
            "name": call.name,
            field: call.arguments.text(),
            "status": "completed",
        }));
    }
    items
}
