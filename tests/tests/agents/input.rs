//! What people get wrong, and what they may write: the real agents get it as it
//! is, or say what is wrong.

use std::fs;

use agentd_tests::model::{Reply, Script};

use crate::{
    kind::{AGENTS, Kind},
    shop::Shop,
};

#[test]
fn a_model_that_does_not_exist() {
    for agent in AGENTS {
        let words = "The model `no-such-model` does not exist or you do not have access to it.";
        let shop = Shop::new(Script::always(Reply::error(404).message(words)));
        let model = agent.model("no-such-model");
        let task = shop.submit(agent, &["--model", &model, "mend it"]);
        let shown = shop.ended(task);
        assert_eq!(shown["state"], "failed", "{shown:#}");
        let reason = match agent {
            Kind::Claude | Kind::Codex | Kind::Gemini => "invalid_model",
            // It says no more than that its server has failed.
            Kind::Opencode => "agent_error",
        };
        assert_eq!(shown["failure_reason"], reason, "{shown:#}");
        assert_eq!(shown["attempt_count"], 1);
        match (agent, shop.endpoint.turns().as_slice()) {
            // Claude Code may ask the same once more.
            (Kind::Claude | Kind::Codex, [turn, ..]) => {
                assert_eq!(turn.body["model"], "no-such-model");
            }
            (Kind::Gemini, [turn]) => {
                assert!(turn.path.contains("/no-such-model:"), "{}", turn.path);
            }
            // It knows the models of its providers.
            (Kind::Opencode, []) => {}
            (_, turns) => panic!("{agent}: {} turns", turns.len()),
        }
    }
}

#[test]
fn a_program_that_is_missing() {
    for agent in AGENTS {
        let mut shop = Shop::new(Script::default());
        let command = format!("command = ['{}']", agent.program().display());
        shop.change(&command, "command = ['agent-of-no-path']");
        let task = shop.submit(agent, &["mend it"]);
        let shown = shop.ended(task);
        assert_eq!(shown["failure_reason"], "agent_missing", "{shown:#}");
        assert_eq!(shown["attempt_count"], 1);
        let page = shop.daemon.ctl(&["show", &task.to_string()]).ok();
        assert!(page.text().contains("agent-of-no-path"), "{}", page.text());
        let story = shop.explain(task);
        assert!(story.contains("agentctl agents"), "{story}");
    }
}

#[test]
fn a_prompt_arrives_byte_for_byte() {
    let long: String = (0..500 * 1024 / 16)
        .map(|line| format!("{line:>7} is long\u{a}"))
        .collect();
    assert!(long.len() >= 500 * 1024);
    let prompts = [
        "--help \"quoted\" 'too' $(touch hacked) `touch hacked` $HOME\n\n\ttab \\n é 漢字 🦀\n- end",
        "-p",
        long.trim(),
    ];
    for agent in AGENTS {
        let shop = Shop::new(Script::default());
        let file = shop.daemon.arg("prompt");
        for prompt in prompts {
            fs::write(&file, prompt).unwrap();
            let task = shop.submit(agent, &["--prompt-file", &file]);
            shop.well(task);
            let turns = shop.endpoint.turns();
            let asked = turns.last().unwrap().prompts();
            assert!(asked == [prompt], "{agent}: {:.300?}", asked);
        }
    }
}
