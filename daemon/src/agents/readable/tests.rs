use proptest::prelude::*;

use super::*;

/// A recording, as a person reads it.
fn read(agent_type: AgentType, recording: &str) -> String {
    let mut readable = Readable::of(agent_type).unwrap();
    // The fixtures mark what was printed to standard output.
    let printed = recording.lines().filter_map(|line| line.strip_prefix("> "));
    let printed = printed.map(str::to_owned);
    let texts = printed.flat_map(|line| readable.line(line.as_bytes()));
    let lines = texts.map(|text| match text.goes_on {
        true => text.text,
        false => format!("{}\n", text.text),
    });
    lines.collect()
}

#[test]
fn recordings_are_readable() {
    use AgentType::{Claude, Codex, Gemini, Opencode};
    let claude = include_str!("../stream/fixtures/claude-edit-worktree.txt");
    insta::assert_snapshot!("claude", read(Claude, claude));
    let refused = include_str!("../stream/fixtures/claude-err401.txt");
    insta::assert_snapshot!("claude_refused", read(Claude, refused));
    let codex = include_str!("../stream/fixtures/codex-edit-worktree.txt");
    insta::assert_snapshot!("codex", read(Codex, codex));
    let gemini = include_str!("../stream/fixtures/gemini-edit-worktree.txt");
    insta::assert_snapshot!("gemini", read(Gemini, gemini));
    let opencode = include_str!("../stream/fixtures/opencode-edit-worktree.txt");
    insta::assert_snapshot!("opencode", read(Opencode, opencode));
}

/// What stands in these events is what the whole session has used.
#[test]
fn figures_of_a_session_are_not_taken_for_those_of_an_attempt() {
    let claude = include_str!("../stream/fixtures/claude-cost-2.txt");
    let claude = read(AgentType::Claude, claude);
    insta::assert_snapshot!("claude_resumed", claude);
    let codex = include_str!("../stream/fixtures/codex-resume-2.txt");
    let codex = read(AgentType::Codex, codex);
    insta::assert_snapshot!("codex_resumed", codex);
    for (text, figures) in [(claude, ["0.0154", "3000"]), (codex, ["3000", "120"])] {
        for figure in figures {
            assert!(!text.contains(figure), "{text}");
        }
    }
}

#[test]
fn what_was_used_is_said_as_show_says_it() {
    let mut usage = Usage {
        input: 12_000,
        output: 800,
        ..Usage::default()
    };
    let text = |usage| used(usage).text;
    assert_eq!(text(usage), "# used: 12000 tokens in, 800 out");
    usage.cached = 5;
    usage.turns = 1;
    usage.cost = Some(12_500);
    assert_eq!(
        text(usage),
        "# used: 12000 tokens in, 800 out, 5 cached, 1 turn, $0.0125"
    );
    usage.turns = 3;
    for (micros, cost) in [(3_000_000, "$3.00"), (1, "$0.000001")] {
        usage.cost = Some(micros);
        let all = format!("# used: 12000 tokens in, 800 out, 5 cached, 3 turns, {cost}");
        assert_eq!(text(usage), all);
    }
}

#[test]
fn text_of_commands_is_text_already() {
    assert!(Readable::of(AgentType::Command).is_none());
}

#[test]
fn long_and_steering_text_is_tamed() {
    let long = "x".repeat(2 * WIDTH);
    let call = serde_json::json!({"type": "assistant", "message": {"content": [
        {"type": "tool_use", "name": "Bash", "input": {"command": format!("{long}\nmore")}},
        {"type": "text", "text": "a\u{1b}[2Jb\n\tc"},
    ]}});
    let read = read(AgentType::Claude, &format!("> {call}"));
    let lines: Vec<&str> = read.lines().collect();
    assert_eq!(lines[0].chars().count(), WIDTH + 1);
    assert_eq!(lines[1..], ["a\u{fffd}[2Jb", "\tc"]);
    let result = "1\n2\n3\n4\n5\n6\n7";
    let mut page = Page::default();
    page.result(result, true);
    assert_eq!(page.0.len(), 1 + RESULT_LINES + 1);
    assert_eq!(page.0[6].text, "  | … 2 more lines");
}

proptest! {
    #[test]
    fn any_bytes_are_read(line: Vec<u8>) {
        for agent_type in AgentType::ALL {
            if let Some(mut readable) = Readable::of(agent_type) {
                for text in readable.line(&line) {
                    prop_assert!(!text.text.contains(|c: char| c.is_control() && c != '\t'));
                }
            }
        }
    }
}
