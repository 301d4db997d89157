//! opencode.

use serde_json::Value;

use super::{Page, arguments, text};

pub(super) fn show(event: &Value, page: &mut Page) {
    let part = &event["part"];
    match text(event, "/type") {
        "text" => page.text(text(part, "/text")),
        "tool_use" => {
            let state = &part["state"];
            page.call(text(part, "/tool"), &arguments(&state["input"]));
            let failed = text(state, "/status") == "error";
            let came = match text(state, "/output") {
                "" => text(state, "/error"),
                output => output,
            };
            page.result(came, failed);
        }
        "step_finish" => match text(part, "/reason") {
            "tool-calls" => {}
            "stop" => page.status("ended"),
            why => page.status(&format!("its answer ended: {why}")),
        },
        "error" => {
            let words = match text(event, "/error/data/message") {
                "" => text(event, "/error/name"),
                words => words,
            };
            page.status(&format!("failed: {words}"));
        }
        _other => {}
    }
}
