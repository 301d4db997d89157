//! Codex.

use serde_json::Value;

use super::{Page, text};

pub(super) fn show(event: &Value, page: &mut Page) {
    match text(event, "/type") {
        "thread.started" => page.status(&format!("session {}", text(event, "/thread_id"))),
        "item.started" if text(event, "/item/type") == "command_execution" => {
            page.call("Shell", text(event, "/item/command"));
        }
        "item.completed" => item(&event["item"], page),
        "error" => page.status(text(event, "/message")),
        "turn.failed" => page.status(&format!("failed: {}", text(event, "/error/message"))),
        "turn.completed" => page.status("ended"),
        _other => {}
    }
}

fn item(item: &Value, page: &mut Page) {
    match text(item, "/type") {
        "agent_message" => page.text(text(item, "/text")),
        "error" => page.status(text(item, "/message")),
        "command_execution" => {
            let failed = item["exit_code"].as_i64().is_some_and(|code| code != 0);
            page.result(text(item, "/aggregated_output"), failed);
        }
        "file_change" => {
            for change in item["changes"].as_array().into_iter().flatten() {
                page.call(text(change, "/kind"), text(change, "/path"));
            }
        }
        _other => {}
    }
}
