//! What killed daemons and runners cost the real agents: nothing, or an attempt,
//! never a conversation.

use std::io::Write as _;

use agentd_tests::{
    exists, kill_pid,
    model::{Reply, Script},
    wait_until,
};

use crate::{kind::AGENTS, shop::Shop};

#[test]
fn an_agent_goes_on_without_its_daemon() {
    for agent in AGENTS {
        let mut shop = Shop::new(Script::default());
        let (tool, gate) = shop.tool_at_gate("gate");
        shop.endpoint
            .set_script(Script::new([tool, Reply::text("mended")]));
        let task = shop.submit(agent, &["mend it"]);
        let mut waiting = gate.reached();
        let session = shop.session(task);
        shop.daemon.kill();
        shop.daemon.launch();
        wait_until("it is adopted", || {
            let status = shop.daemon.ctl(&["status", "-o", "json"]).json();
            status["recovery"]["adopted"] == 1
        });
        shop.daemon.kill();
        waiting.write_all(b"\n").unwrap();
        wait_until("it does its work", || shop.endpoint.turns().len() == 2);
        shop.daemon.launch();
        let shown = shop.well(task);
        assert_eq!(shown["attempt_count"], 1, "{shown:#}");
        assert_eq!(shown["attempt"]["session"], session.as_str());
        assert_eq!(shown["attempt"]["message"], "exit code 0");
        assert_eq!(shop.endpoint.turns().len(), 2);
    }
}

#[test]
fn a_conversation_goes_on_after_daemon_and_runner_died() {
    goes_on_after(|shop| {
        shop.crash();
        shop.daemon.launch();
    });
}

#[test]
fn a_conversation_goes_on_after_its_runner_died() {
    goes_on_after(|shop| {
        let runners = shop.daemon.runners();
        assert_eq!(runners.len(), 1, "{runners:?}");
        kill_pid(runners[0].pid);
    });
}

/// Nothing is left of an agent whose runner dies at its tool, and the next
/// attempt knows what was said.
fn goes_on_after(die: impl Fn(&mut Shop)) {
    for agent in AGENTS {
        let mut shop = Shop::new(Script::default());
        let (tool, gate) = shop.tool_at_gate("first");
        let (second, second_gate) = shop.tool_at_gate("second");
        shop.endpoint
            .set_script(Script::new([tool, second, Reply::text("mended")]));
        let task = shop.submit(agent, &["mend it"]);
        let _waiting = gate.reached();
        let session = shop.session(task);
        let first = shop.daemon.show(task);
        die(&mut shop);
        let mut waiting = second_gate.reached();
        // Of the first run no process is left, neither agent nor tool.
        assert!(!exists(shop.tools()[0]), "{agent}");
        let again = format!("{task}.2");
        for process in shop.daemon.agents() {
            assert_eq!(process.attempt, again, "{process:?}");
        }
        waiting.write_all(b"\n").unwrap();
        let shown = shop.well(task);
        let attempts = shown["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 2, "{shown:#}");
        assert_eq!(attempts[0]["failure_reason"], "runner_lost");
        for attempt in attempts {
            assert_eq!(attempt["session"], session.as_str());
            assert_eq!(attempt["workspace"], first["attempt"]["workspace"]);
        }
        assert_eq!(attempts[1]["session_way"], agent.way());
        let turns = shop.endpoint.turns();
        assert_eq!((agent, turns.len()), (agent, 3));
        let resumed = &turns[1];
        let prompts = resumed.prompts();
        assert_eq!(prompts[0], "mend it");
        let note = format!("[agentd: You go on in your earlier conversation ({session}).");
        let last = prompts.last().unwrap();
        assert!(last.starts_with(&note), "{prompts:?}");
        assert!(last.ends_with("]\n\nmend it"), "{prompts:?}");
        let answers = resumed.answers();
        assert!(answers.contains(&"Using a tool.".to_owned()), "{answers:?}");
        let story = shop.explain(task);
        let resumes = format!("resumes: goes on with session {session} of attempt {task}.1");
        assert!(story.contains(&resumes), "{story}");
    }
}
