//! Anthropic Messages.

use agentd_tests::model::{Call, Course, ModelEndpoint, Purpose, Reply, Script, Stop, Usage};
use serde_json::{Value, json};

use crate::client::{names, post};

const PATH: &str = "/v1/messages?beta=true";

/// As Claude Code asks: with tools, as a stream.
fn turn(prompt: &str) -> Value {
    json!({
        "model": "claude-x",
        "stream": true,
        "tools": [{"name": "Bash", "input_schema": {}}, {"name": "Write", "input_schema": {}}],
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "<system-reminder>\nnot the user\n</system-reminder>"},
            {"type": "text", "text": prompt},
        ]}],
    })
}

#[test]
fn a_text_is_streamed_word_by_word() {
    let usage = Usage {
        input: 7,
        cached: 3,
        output: 5,
    };
    let endpoint = ModelEndpoint::start(Script::new([Reply::text("all is well").usage(usage)]));
    let events = post(endpoint.url(), PATH, &turn("hello")).events();
    let order = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names(&events), order);
    for event in &events {
        assert_eq!(event.json()["type"], json!(event.name));
    }
    let begin = &events[0].json()["message"];
    assert_eq!(begin["model"], "claude-x");
    assert_eq!(begin["content"], json!([]));
    assert_eq!(begin["stop_reason"], Value::Null);
    assert_eq!(begin["usage"]["input_tokens"], 7);
    assert_eq!(begin["usage"]["cache_read_input_tokens"], 3);
    let words = events[3..6]
        .iter()
        .map(|event| event.json()["delta"].clone());
    let words: Vec<Value> = words.collect();
    let word = |text| json!({"type": "text_delta", "text": text});
    assert_eq!(words, [word("all "), word("is "), word("well")]);
    let end = events[7].json();
    assert_eq!(end["delta"]["stop_reason"], "end_turn");
    assert_eq!(end["usage"]["output_tokens"], 5);
}

#[test]
fn tools_are_called_after_the_text() {
    let calls = [
        Call::Shell {
            command: "make".to_owned(),
        },
        Call::Write {
            path: "a.txt".to_owned(),
            content: "a\n".to_owned(),
        },
    ];
    let endpoint = ModelEndpoint::start(Script::new([Reply::calls(calls)]));
    let events = post(endpoint.url(), PATH, &turn("hello")).events();
    let mut ids = Vec::new();
    for (index, name, input) in [
        (1, "Bash", json!({"command": "make"})),
        (2, "Write", json!({"file_path": "a.txt", "content": "a\n"})),
    ] {
        let of_block = events.iter().filter(|event| event.json()["index"] == index);
        let of_block: Vec<_> = of_block.collect();
        let order: Vec<_> = of_block
            .iter()
            .filter_map(|event| event.name.as_deref())
            .collect();
        let whole = [
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
        ];
        assert_eq!(order, whole);
        let block = of_block[0].json()["content_block"].clone();
        assert_eq!(block["type"], "tool_use");
        assert_eq!(block["name"], name);
        assert_eq!(block["input"], json!({}));
        ids.push(block["id"].clone());
        let delta = of_block[1].json()["delta"].clone();
        let given: Value = serde_json::from_str(delta["partial_json"].as_str().unwrap()).unwrap();
        for (key, value) in input.as_object().unwrap() {
            assert_eq!(given[key], *value);
        }
    }
    assert_ne!(ids[0], ids[1]);
    let end = events[events.len() - 2].json();
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
}

#[test]
fn what_is_no_stream_is_one_message() {
    let reply = Reply::shell("make").stop(Stop::End);
    let endpoint = ModelEndpoint::start(Script::new([reply]));
    let mut asked = turn("hello");
    asked["stream"] = json!(false);
    let message = post(endpoint.url(), PATH, &asked).json();
    assert_eq!(message["type"], "message");
    assert_eq!(message["content"][0]["text"], "Using a tool.");
    assert_eq!(message["content"][1]["input"]["command"], "make");
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(message["usage"]["output_tokens"], 50);
}

#[test]
fn tokens_are_counted_without_a_turn() {
    let endpoint = ModelEndpoint::start(Script::default());
    let path = "/v1/messages/count_tokens";
    let counted = post(endpoint.url(), path, &turn("hello")).json();
    assert!(counted["input_tokens"].as_u64().unwrap() > 10);
    assert_eq!(endpoint.requests()[0].purpose, Purpose::Count);
}

#[test]
fn what_offers_no_tools_of_the_agent_takes_no_reply() {
    let endpoint = ModelEndpoint::start(Script::new([Reply::error(500)]));
    for tools in [
        json!([]),
        json!([{"type": "web_search_20250305", "name": "web_search"}]),
    ] {
        let mut asked = turn("hello");
        asked["tools"] = tools;
        assert_eq!(post(endpoint.url(), PATH, &asked).status, 200);
    }
    let purposes: Vec<_> = endpoint
        .requests()
        .iter()
        .map(|asked| asked.purpose)
        .collect();
    assert_eq!(purposes, [Purpose::Side, Purpose::Side]);
    assert_eq!(post(endpoint.url(), PATH, &turn("hello")).status, 500);
}

#[test]
fn errors_have_the_words_of_the_api() {
    let endpoint = ModelEndpoint::start(Script::default());
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ] {
        endpoint.set_script(Script::new([Reply::error(status)]));
        let answer = post(endpoint.url(), PATH, &turn("hello"));
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("retry-after"), None);
        let body = answer.json();
        assert_eq!(body["type"], "error");
        assert_eq!(body["error"]["type"], kind);
    }
    let error = Reply::error(429)
        .retry_after(90)
        .kind("odd")
        .message("wait");
    endpoint.set_script(Script::new([error]));
    let answer = post(endpoint.url(), PATH, &turn("hello"));
    assert_eq!(answer.header("retry-after"), Some("90"));
    let error = json!({"type": "odd", "message": "wait"});
    assert_eq!(answer.json()["error"], error);
}

#[test]
fn a_usage_limit_is_told_in_headers() {
    let limit = Reply::UsageLimit { resets_at: 1234 };
    let endpoint = ModelEndpoint::start(Script::always(limit));
    let answer = post(endpoint.url(), PATH, &turn("hello"));
    assert_eq!(answer.status, 429);
    let unified = |name: &str| answer.header(&format!("anthropic-ratelimit-unified-{name}"));
    assert_eq!(unified("status"), Some("rejected"));
    assert_eq!(unified("reset"), Some("1234"));
}

#[test]
fn a_failure_in_the_stream_is_its_last_event() {
    let reply = Reply::text("one two").course(Course::Fails);
    let endpoint = ModelEndpoint::start(Script::always(reply));
    let events = post(endpoint.url(), PATH, &turn("hello")).events();
    let last = events.last().unwrap();
    assert_eq!(last.name.as_deref(), Some("error"));
    assert_eq!(last.json()["error"]["type"], "overloaded_error");
    assert!(!names(&events).contains(&"message_stop"));
    // An agent that asks again without a stream is told, too.
    let mut asked = turn("hello");
    asked["stream"] = json!(false);
    assert_eq!(post(endpoint.url(), PATH, &asked).status, 529);
}
