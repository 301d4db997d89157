//! Which turn gets what, and what goes wrong on purpose.

use std::{
    io::{self, Read as _},
    thread,
    time::{Duration, Instant},
};

use agentd_tests::{
    model::{Course, ModelEndpoint, Purpose, Reply, Script},
    wait_until,
};
use serde_json::{Value, json};

use crate::client::{Reading, ask, connect, names, post, send};

const PATH: &str = "/v1/messages";

fn turn(prompt: &str) -> Value {
    json!({
        "model": "claude-x",
        "stream": true,
        "tools": [{"name": "Bash", "input_schema": {}}],
        "messages": [{"role": "user", "content": prompt}],
    })
}

fn ask_turn(endpoint: &ModelEndpoint, prompt: &str) -> io::Result<Reading> {
    ask(endpoint.url(), "POST", PATH, &turn(prompt).to_string())
}

fn text(endpoint: &ModelEndpoint, prompt: &str) -> String {
    let events = ask_turn(endpoint, prompt).unwrap().events();
    let words = events
        .iter()
        .map(|event| event.json()["delta"]["text"].clone());
    words
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

#[test]
fn turns_take_replies_in_order() {
    let script = Script::new([Reply::text("one"), Reply::text("two")])
        .for_prompt("the other", [Reply::text("theirs")])
        .otherwise(Reply::text("no more"));
    let endpoint = ModelEndpoint::start(script);
    assert_eq!(text(&endpoint, "fix it"), "one");
    assert_eq!(text(&endpoint, "fix the other one"), "theirs");
    assert_eq!(text(&endpoint, "fix the other one"), "two");
    assert_eq!(text(&endpoint, "fix it"), "no more");
    endpoint.set_script(Script::new([Reply::text("changed")]));
    assert_eq!(text(&endpoint, "fix it"), "changed");
    assert_eq!(text(&endpoint, "fix it"), "done");
}

#[test]
fn a_script_may_be_json() {
    let script = json!({
        "replies": [
            {"answer": {"text": "hi", "course": {"slow": {"pause_ms": 1}}}},
            {"answer": {"calls": [{"shell": {"command": "make"}}], "usage": {"output": 9}}},
            {"error": {"status": 529, "retry_after": 3}},
            {"usage_limit": {"resets_at": 5}},
            "hangup",
        ],
        "prompts": [{"words": "the other", "replies": [{"answer": {"text": "theirs"}}]}],
        "otherwise": {"answer": {"text": "end"}},
    });
    let endpoint = ModelEndpoint::start(serde_json::from_value(script).unwrap());
    assert_eq!(text(&endpoint, "x"), "hi");
    let call = ask_turn(&endpoint, "x").unwrap().events();
    assert!(names(&call).contains(&"content_block_stop"));
    assert_eq!(ask_turn(&endpoint, "x").unwrap().status, 529);
    assert_eq!(ask_turn(&endpoint, "x").unwrap().status, 429);
    ask_turn(&endpoint, "x").unwrap_err();
    assert_eq!(text(&endpoint, "the other"), "theirs");
    assert_eq!(text(&endpoint, "x"), "end");
    let misspelt = json!({"reply": []});
    serde_json::from_value::<Script>(misspelt).unwrap_err();
}

#[test]
fn what_it_does_not_know_is_kept() {
    let endpoint = ModelEndpoint::start(Script::default());
    let answer = ask(endpoint.url(), "GET", "/v1/models?x=1", "").unwrap();
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["type"], "not_found_error");
    let answer = ask(endpoint.url(), "POST", PATH, "no json").unwrap();
    assert_eq!(answer.status, 404);
    let requests = endpoint.requests();
    let [first, second] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(first.purpose, Purpose::Unknown);
    assert_eq!((&*first.method, &*first.path), ("GET", "/v1/models?x=1"));
    assert_eq!(first.header("x-api-key"), Some("k"));
    assert_eq!(second.body, Value::Null);
    assert!(first.at <= second.at);
    let answer = ask(endpoint.url(), "HEAD", "/api/hello", "").unwrap();
    assert_eq!(answer.status, 404);
    assert!(!endpoint.requests()[2].left());
}

#[test]
fn a_proxy_leads_nowhere() {
    let endpoint = ModelEndpoint::start(Script::default());
    let [(_, url), _] = endpoint.proxy();
    let answer = ask(url, "CONNECT", "example.org:443", "").unwrap();
    assert_eq!(answer.status, 404);
    let asked = &endpoint.requests()[0];
    assert_eq!(asked.purpose, Purpose::Elsewhere);
    assert_eq!(asked.path, "example.org:443");
}

#[test]
fn a_tool_that_the_agent_has_not_is_said_to_be_missing() {
    let endpoint = ModelEndpoint::start(Script::new([Reply::write("a", "b")]));
    let answer = ask_turn(&endpoint, "x").unwrap();
    assert_eq!(answer.status, 400);
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains("Write"), "{message}");
    assert!(message.contains("Bash"), "{message}");
}

#[test]
fn a_stream_may_be_cut_or_end_short() {
    let reply = |course| Reply::text("one two").course(course);
    let endpoint = ModelEndpoint::start(Script::new([reply(Course::Cut), reply(Course::Short)]));
    for whole in [false, true] {
        let body = ask_turn(&endpoint, "x").unwrap().body(None);
        assert_eq!(body.whole, whole);
        let events = body.events();
        assert_eq!(*names(&events).last().unwrap(), "content_block_delta");
        assert_eq!(events.last().unwrap().json()["delta"]["text"], "two");
    }
    // It is not the agent that left.
    assert!(endpoint.turns().iter().all(|turn| !turn.left()));
}

#[test]
fn silence_lasts_until_the_agent_leaves() {
    let silent = Reply::text("one two").course(Course::Silent);
    let endpoint = ModelEndpoint::start(Script::new([silent, Reply::NoAnswer]));
    let patience = Some(Duration::from_millis(50));
    let body = ask_turn(&endpoint, "x").unwrap().body(patience);
    assert!(!body.whole);
    let last = body.events().pop().unwrap();
    assert_eq!(last.json()["delta"]["text"], "two");
    let mut asked = send(endpoint.url(), "POST", PATH, &turn("x").to_string());
    asked.get_ref().set_read_timeout(patience).unwrap();
    let waited = asked.read(&mut [0]).unwrap_err();
    assert_eq!(waited.kind(), io::ErrorKind::WouldBlock);
    assert!(!endpoint.turns()[1].left());
    drop(asked);
    wait_until("both are seen to have left", || {
        endpoint.turns().iter().all(|turn| turn.left())
    });
}

#[test]
fn a_slow_stream_takes_its_time() {
    let slow = Course::Slow { pause_ms: 20 };
    let endpoint = ModelEndpoint::start(Script::always(Reply::text("a b c").course(slow)));
    let begin = Instant::now();
    assert_eq!(text(&endpoint, "x"), "a b c");
    assert!(begin.elapsed() >= Duration::from_millis(60));
}

#[test]
fn nobody_listens_while_it_refuses() {
    let endpoint = ModelEndpoint::start(Script::always(Reply::NoAnswer));
    let mut waiting = send(endpoint.url(), "POST", PATH, &turn("x").to_string());
    wait_until("it is asked", || endpoint.turns().len() == 1);
    endpoint.refuse();
    // What was open is closed.
    assert_eq!(waiting.read(&mut [0]).unwrap_or(0), 0);
    for _ in 0..3 {
        let refused = connect(endpoint.url()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
    endpoint.set_script(Script::default());
    endpoint.listen_again();
    assert_eq!(text(&endpoint, "x"), "done");
}

#[test]
fn many_ask_at_the_same_time() {
    let replies = (0..40).map(|number| Reply::text(format!("reply {number}")));
    let endpoint = ModelEndpoint::start(Script::new(replies));
    let mut texts: Vec<String> = thread::scope(|scope| {
        let asked = (0..40).map(|_| scope.spawn(|| text(&endpoint, "x")));
        let asked: Vec<_> = asked.collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 40, "{texts:?}");
    assert!(texts.iter().all(|text| text.starts_with("reply ")));
    let requests = endpoint.requests();
    assert!(requests.is_sorted_by_key(|request| request.at));
    let asked = post(endpoint.url(), PATH, &turn("x"));
    assert_eq!(asked.status, 200);
}
