//! Claude Code.

use serde_json::Value;

use super::{Page, arguments, number, text};

pub(super) fn show(event: &Value, page: &mut Page) {
    match text(event, "/type") {
        "system" => system(event, page),
        "assistant" => {
            for part in parts(event) {
                match text(part, "/type") {
                    "text" => page.text(text(part, "/text")),
                    "tool_use" => page.call(text(part, "/name"), &arguments(&part["input"])),
                    _other => {}
                }
            }
        }
        "user" => {
            for part in parts(event) {
                if text(part, "/type") == "tool_result" {
                    let failed = part["is_error"].as_bool().unwrap_or(false);
                    page.result(&content(&part["content"]), failed);
                }
            }
        }
        "result" => result(event, page),
        _other => {}
    }
}

fn system(event: &Value, page: &mut Page) {
    match text(event, "/subtype") {
        "init" => {
            let (session, model) = (text(event, "/session_id"), text(event, "/model"));
            page.status(&format!("session {session}, model {model}"));
        }
        "api_retry" => {
            let (attempt, most) = (number(event, "/attempt"), number(event, "/max_retries"));
            let error = text(event, "/error");
            page.status(&format!(
                "asks the provider again ({error}), {attempt} of {most}"
            ));
        }
        _other => {}
    }
}

fn result(event: &Value, page: &mut Page) {
    if !event["is_error"].as_bool().unwrap_or(false) {
        return page.status("ended");
    }
    let why = match text(event, "/result") {
        "" => text(event, "/subtype"),
        words => words,
    };
    page.status(&format!("failed: {why}"));
}

fn parts(event: &Value) -> impl Iterator<Item = &Value> {
    let parts = event.pointer("/message/content").and_then(Value::as_array);
    parts.into_iter().flatten()
}

/// A result is a text or a list of parts.
fn content(value: &Value) -> String {
    match value {
        Value::String(words) => words.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().map(|part| text(part, "/text"));
            texts.collect::<Vec<_>>().join("\n")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}
