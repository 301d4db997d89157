//! Gemini CLI.

use serde_json::Value;

use super::{Page, arguments, text};

pub(super) fn show(event: &Value, page: &mut Page) {
    match text(event, "/type") {
        "init" => {
            let (session, model) = (text(event, "/session_id"), text(event, "/model"));
            page.status(&format!("session {session}, model {model}"));
        }
        "message" if text(event, "/role") == "assistant" => {
            let words = text(event, "/content");
            if event["delta"].as_bool().unwrap_or(false) {
                page.piece(words);
            } else {
                page.text(words);
            }
        }
        "tool_use" => page.call(text(event, "/tool_name"), &arguments(&event["parameters"])),
        "tool_result" => {
            let failed = text(event, "/status") == "error";
            page.result(text(event, "/output"), failed);
        }
        "error" => page.status(text(event, "/message")),
        "result" => page.status(&format!("ended, {}", text(event, "/status"))),
        _other => {}
    }
}
