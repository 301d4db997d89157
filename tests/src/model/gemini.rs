//! Gemini's generateContent, as Gemini CLI speaks it.

use serde_json::{Value, json};

use super::{
    api::{self, Api, By, Event, Refusal, Said, Stops, Stream, Turn},
    script::ApiError,
    tools::{Arguments, Tool},
};

#[derive(Debug)]
pub(super) struct Generate;

/// A call does not show in the reason.
const STOPS: Stops = Stops {
    end: "STOP",
    call: "STOP",
    max_tokens: "MAX_TOKENS",
    refusal: "SAFETY",
};

impl Api for Generate {
    fn streams(&self, path: &str, _: &Value) -> bool {
        path.ends_with(":streamGenerateContent")
    }

    fn tools(&self, body: &Value) -> Vec<Tool> {
        let groups = api::items(&body["tools"]).iter();
        let tools = groups.flat_map(|group| api::items(&group["functionDeclarations"]));
        let names = tools.filter_map(|tool| tool["name"].as_str().map(str::to_owned));
        names.map(|name| Tool { name, free: false }).collect()
    }

    fn said(&self, body: &Value) -> Vec<Said> {
        let mut said = Vec::new();
        for content in api::items(&body["contents"]) {
            let by = if content["role"] == "model" {
                By::Model
            } else {
                By::User
            };
            for part in api::items(&content["parts"]) {
                if let Some(text) = part["text"].as_str() {
                    said.push(Said::new(by, text));
                } else if let Some(call) = part.get("functionCall") {
                    said.push(Said::new(By::Call, call["args"].to_string()));
                } else if let Some(result) = part.get("functionResponse") {
                    said.push(Said::new(By::Tool, result["response"].to_string()));
                }
            }
        }
        said
    }

    fn stream(&self, turn: &Turn<'_>) -> Stream {
        let words = turn.words();
        let said = words.map(|word| chunk(turn, &[json!({"text": word})], None));
        let said = said.map(|chunk| Event::plain(&chunk)).collect();
        let mut end = calls(turn);
        if end.is_empty() {
            end.push(json!({"text": ""}));
        }
        let end = chunk(turn, &end, Some(turn.stopped(&STOPS)));
        let failure = ApiError {
            status: 503,
            ..ApiError::default()
        };
        Stream {
            said,
            rest: vec![Event::plain(&end)],
            failure: Event::plain(&self.error(&failure)),
        }
    }

    fn whole(&self, turn: &Turn<'_>) -> Value {
        let mut parts = vec![json!({"text": turn.answer.text})];
        parts.extend(calls(turn));
        chunk(turn, &parts, Some(turn.stopped(&STOPS)))
    }

    fn error(&self, error: &ApiError) -> Value {
        let [_, _, kind, message] = api::usual(error.status);
        let kind = error.kind.as_deref().unwrap_or(kind);
        let message = error.message.as_deref().unwrap_or(message);
        let mut error = json!({"code": error.status, "message": message, "status": kind});
        error["details"] = json!([]);
        json!({"error": error})
    }

    /// There is no moment of the reset in what Google answers.
    fn usage_limit(&self, _: u64) -> Refusal {
        let error = ApiError {
            status: 429,
            message: Some("You exceeded your current quota.".to_owned()),
            ..ApiError::default()
        };
        Refusal {
            status: 429,
            headers: Vec::new(),
            body: self.error(&error),
        }
    }
}

fn calls(turn: &Turn<'_>) -> Vec<Value> {
    let calls = turn.calls.iter().enumerate();
    let call = calls.map(|(index, call)| {
        let args = match &call.arguments {
            Arguments::Json(args) => args.clone(),
            Arguments::Free(text) => json!({"input": text}),
        };
        json!({"functionCall": {"id": turn.call_id(index), "name": call.name, "args": args}})
    });
    call.collect()
}

fn chunk(turn: &Turn<'_>, parts: &[Value], finish: Option<&str>) -> Value {
    let usage = turn.answer.usage;
    let input = usage.input + usage.cached;
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": input,
            "cachedContentTokenCount": usage.cached,
            "candidatesTokenCount": usage.output,
            "totalTokenCount": input + usage.output,
        },
        "modelVersion": turn.model,
        "responseId": turn.id,
    })
}
