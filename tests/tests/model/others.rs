//! The two other APIs, in short.

use agentd_tests::model::{ModelEndpoint, Reply, Script};
use serde_json::{Value, json};

use crate::client::post;

#[test]
fn chat_completions() {
    let endpoint = ModelEndpoint::start(Script::new([Reply::shell("make")]));
    let asked = json!({
        "model": "gpt-x",
        "stream": true,
        "tools": [{"type": "function", "function": {"name": "bash"}}],
        "messages": [
            {"role": "system", "content": "You are opencode"},
            {"role": "user", "content": "hello"},
        ],
    });
    let events = post(endpoint.url(), "/v1/chat/completions", &asked).events();
    assert_eq!(events.last().unwrap().data, "[DONE]");
    let chunks = events[..events.len() - 1].iter().map(|event| event.json());
    let chunks: Vec<Value> = chunks.collect();
    let text = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    assert_eq!(text.collect::<String>(), "Using a tool.");
    let [.., call, end, figures] = &chunks[..] else {
        panic!("{chunks:?}");
    };
    let call = &call["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "bash");
    assert_eq!(end["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(figures["usage"]["prompt_tokens"], 1200);
    assert_eq!(endpoint.turns()[0].prompts(), ["hello"]);
}

#[test]
fn generate_content() {
    let endpoint = ModelEndpoint::start(Script::new([Reply::shell("make")]));
    let asked = json!({
        "tools": [{"functionDeclarations": [{"name": "run_shell_command"}]}],
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
    });
    let path = "/v1beta/models/gemini-x:streamGenerateContent?alt=sse";
    let events = post(endpoint.url(), path, &asked).events();
    let chunks: Vec<Value> = events.iter().map(|event| event.json()).collect();
    let part = |chunk: &Value| chunk["candidates"][0]["content"]["parts"][0].clone();
    assert_eq!(part(&chunks[0])["text"], "Using ");
    let last = chunks.last().unwrap();
    assert_eq!(last["modelVersion"], "gemini-x");
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(part(last)["functionCall"]["args"]["command"], "make");
    assert_eq!(last["usageMetadata"]["promptTokenCount"], 1200);
    assert_eq!(endpoint.turns()[0].prompts(), ["hello"]);
}
