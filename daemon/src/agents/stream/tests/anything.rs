//! Whatever is printed.

use proptest::prelude::*;

use super::*;

fn agent_type() -> impl Strategy<Value = AgentType> {
    prop::sample::select(AgentType::ALL.to_vec())
}

/// Lines of the right shape with anything in them.
fn line() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "type",
        "system",
        "init",
        "result",
        "assistant",
        "user",
        "message",
        "content",
        "text",
        "is_error",
        "session_id",
        "thread.started",
        "thread_id",
        "item.started",
        "item.completed",
        "item",
        "id",
        "turn.failed",
        "turn.completed",
        "error",
        "usage",
        "input_tokens",
        "model_usage_since_last_result",
        "status",
        "success",
        "stats",
        "step_finish",
        "part",
        "tokens",
        "cost",
        "sessionID",
        "tool_use",
        "tool_result",
        "tool_id",
        "role",
        "subtype",
    ]);
    let leaf = prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        "\\PC{0,12}".prop_map(serde_json::Value::from),
        word.clone().prop_map(serde_json::Value::from),
    ];
    let value = leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(word.clone().prop_map(String::from), inner, 0..6)
                .prop_map(|map| map.into_iter().collect()),
        ]
    });
    prop_oneof![
        8 => value.prop_map(|value| value.to_string()),
        1 => "\\PC{0,40}",
        1 => "(Error: |status: |code: )[0-9a-z ]{0,12}",
    ]
}

proptest! {
    #[test]
    fn nothing_that_is_printed_stops_it(
        agent_type in agent_type(),
        resumed: bool,
        lines in prop::collection::vec((line(), any::<bool>()), 0..12),
    ) {
        let resumed = resumed.then(|| "asked".to_owned());
        let mut stream = Stream::at(reads(agent_type, Usage::default(), resumed), now);
        for (line, errors) in lines {
            let before = stream.seen().clone();
            let source = if errors { Source::Errors } else { Source::Output };
            stream.feed(source, format!("{line}\n").as_bytes());
            let (was, is) = (before.observed.session, &stream.seen().observed.session);
            prop_assert!(was.is_none() || was == *is);
        }
        let known = stream.seen().observed.clone();
        prop_assert_eq!(known.clone().bounded(), known);
    }

    #[test]
    fn no_bytes_stop_it(agent_type in agent_type(), bytes: Vec<u8>) {
        let mut stream = Stream::at(reads(agent_type, Usage::default(), None), now);
        stream.feed(Source::Output, &bytes);
        stream.feed(Source::Errors, &bytes);
        stream.finish();
    }
}
