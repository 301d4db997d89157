//! OpenAI Responses.

use agentd_tests::model::{By, Course, ModelEndpoint, Purpose, Reply, Said, Script, Stop, Usage};
use serde_json::{Value, json};

use crate::client::{names, post};

const PATH: &str = "/v1/responses";

/// As Codex asks: the tools are an item of the input, in namespaces.
fn turn(prompt: &str) -> Value {
    let exec = json!({"type": "custom", "name": "exec"});
    let functions = json!({"type": "namespace", "name": "functions", "tools": [exec]});
    let message = |role, text| json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]});
    json!({
        "model": "gpt-x",
        "stream": true,
        "input": [
            {"type": "additional_tools", "role": "developer", "tools": [functions]},
            message("developer", "You are Codex"),
            message("user", "<environment_context>\n</environment_context>"),
            message("user", prompt),
        ],
    })
}

/// The answer in the last event; the events have their numbers in order.
fn told(asked: &Value, endpoint: &ModelEndpoint) -> (Vec<String>, Value) {
    let events = post(endpoint.url(), PATH, asked).events();
    for (index, event) in events.iter().enumerate() {
        let data = event.json();
        assert_eq!(data["type"], json!(event.name));
        assert_eq!(data["sequence_number"], index);
    }
    let last = events.last().unwrap().json()["response"].clone();
    let names = names(&events).into_iter().map(str::to_owned).collect();
    (names, last)
}

#[test]
fn a_text_is_streamed_word_by_word() {
    let usage = Usage {
        input: 7,
        cached: 3,
        output: 5,
    };
    let endpoint = ModelEndpoint::start(Script::new([Reply::text("all well").usage(usage)]));
    let (order, response) = told(&turn("hello"), &endpoint);
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(order, expected);
    assert_eq!(response["status"], "completed");
    assert_eq!(response["output"][0]["content"][0]["text"], "all well");
    // What was cached is a part of what was read.
    assert_eq!(response["usage"]["input_tokens"], 10);
    assert_eq!(
        response["usage"]["input_tokens_details"]["cached_tokens"],
        3
    );
    assert_eq!(response["usage"]["output_tokens"], 5);
    assert_eq!(response["usage"]["total_tokens"], 15);
}

#[test]
fn the_tool_around_all_others_gets_a_program() {
    let replies = [Reply::shell("echo \"1\""), Reply::write("a.txt", "x\ny\n")];
    let endpoint = ModelEndpoint::start(Script::new(replies));
    for program in [
        r#"text(await tools.exec_command({"cmd":"echo \"1\"","yield_time_ms":30000}))"#,
        r#"text(await tools.apply_patch("*** Begin Patch\n*** Add File: a.txt\n+x\n+y\n*** End Patch\n"))"#,
    ] {
        let (order, response) = told(&turn("hello"), &endpoint);
        let call = &response["output"][1];
        assert_eq!(call["type"], "custom_tool_call");
        assert_eq!(call["name"], "exec");
        assert_eq!(call["input"], program);
        let end = [
            "response.output_item.added",
            "response.output_item.done",
            "response.completed",
        ];
        assert_eq!(order[order.len() - 3..], end);
    }
}

#[test]
fn a_function_gets_json() {
    let endpoint = ModelEndpoint::start(Script::new([Reply::shell("make")]));
    let mut asked = turn("hello");
    asked["input"] = json!("hello");
    asked["tools"] = json!([{"type": "function", "name": "exec_command", "parameters": {}}]);
    let (_, response) = told(&asked, &endpoint);
    let call = &response["output"][1];
    assert_eq!(call["type"], "function_call");
    let given: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(given["cmd"], "make");
    assert_eq!(endpoint.turns()[0].prompts(), ["hello"]);
}

#[test]
fn a_conversation_is_understood() {
    let endpoint = ModelEndpoint::start(Script::default());
    let mut asked = turn("hello");
    let input = asked["input"].as_array_mut().unwrap();
    input.extend([
        json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}),
        json!({"type": "custom_tool_call", "name": "exec", "input": "1 + 1"}),
        json!({"type": "custom_tool_call_output", "output": [{"type": "input_text", "text": "2"}]}),
        json!({"type": "function_call", "name": "f", "arguments": "{}"}),
        json!({"type": "function_call_output", "output": "3"}),
    ]);
    post(endpoint.url(), PATH, &asked).events();
    let request = &endpoint.turns()[0];
    assert_eq!(request.prompts(), ["hello"]);
    assert_eq!(request.answers(), ["hi"]);
    assert_eq!(request.results(), ["2", "3"]);
    let calls = request.said.iter().filter(|said| said.by == By::Call);
    let calls: Vec<&Said> = calls.collect();
    assert_eq!(calls[0].text, "1 + 1");
    assert_eq!(calls[1].text, "{}");
}

#[test]
fn an_answer_may_stop_early() {
    let endpoint = ModelEndpoint::start(Script::always(Reply::text("a b").stop(Stop::MaxTokens)));
    let (order, response) = told(&turn("hello"), &endpoint);
    assert_eq!(order.last().unwrap(), "response.incomplete");
    let reason = &response["incomplete_details"]["reason"];
    assert_eq!(*reason, "max_output_tokens");
    let mut asked = turn("hello");
    asked["stream"] = json!(false);
    let whole = post(endpoint.url(), PATH, &asked).json();
    assert_eq!(whole["status"], "incomplete");
}

#[test]
fn a_failure_in_the_stream_is_its_last_event() {
    let reply = Reply::text("one two").course(Course::Fails);
    let endpoint = ModelEndpoint::start(Script::always(reply));
    let (order, response) = told(&turn("hello"), &endpoint);
    assert_eq!(order.last().unwrap(), "response.failed");
    assert_eq!(response["error"]["code"], "server_is_overloaded");
}

#[test]
fn errors_have_the_words_of_the_api() {
    let limit = Reply::UsageLimit { resets_at: 1234 };
    let quota = Reply::error(429).kind("insufficient_quota");
    let endpoint = ModelEndpoint::start(Script::new([Reply::error(401), quota, limit]));
    let mut bodies = Vec::new();
    for status in [401, 429, 429] {
        let answer = post(endpoint.url(), PATH, &turn("hello"));
        assert_eq!(answer.status, status);
        bodies.push(answer.json()["error"].clone());
    }
    assert_eq!(bodies[0]["code"], "invalid_api_key");
    assert_eq!(bodies[1]["code"], "insufficient_quota");
    assert_eq!(bodies[2]["type"], "usage_limit_reached");
    assert_eq!(bodies[2]["resets_at"], 1234);
}

#[test]
fn without_tools_it_is_a_side_request() {
    let endpoint = ModelEndpoint::start(Script::new([Reply::error(500)]));
    let mut asked = turn("hello");
    asked["input"].as_array_mut().unwrap().remove(0);
    assert_eq!(post(endpoint.url(), PATH, &asked).status, 200);
    assert_eq!(endpoint.requests()[0].purpose, Purpose::Side);
    // The reply is still there.
    assert_eq!(post(endpoint.url(), PATH, &turn("hello")).status, 500);
}
