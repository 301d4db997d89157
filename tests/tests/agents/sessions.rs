//! Conversations of the real agents: gone on with, missed, and never shared.

use std::fs;

use agentd_tests::{
    Output,
    model::{Reply, Script},
};

use crate::{kind::AGENTS, shop::Shop};

/// What an agent is asked whose conversation is gone, and that has no other.
#[track_caller]
fn begins_anew(shop: &Shop, gone: &str) {
    let turns = shop.endpoint.turns();
    let prompts = turns.last().unwrap().prompts();
    let note = format!("[agentd: Your earlier conversation ({gone}) is gone");
    assert_eq!(prompts.len(), 1, "{prompts:?}");
    assert!(prompts[0].starts_with(&note), "{prompts:?}");
    assert!(prompts[0].ends_with("]\n\nmend it"), "{prompts:?}");
}

#[test]
fn one_whose_file_is_gone_is_retired() {
    for agent in AGENTS {
        let shop = Shop::new(Script::default());
        let (task, session) = shop.fails(agent, "mend it");
        fs::remove_file(agent.file(&shop.daemon.home(), &session)).unwrap();
        shop.endpoint.set_script(Script::default());
        let again = shop.rerun(task, &[]);
        let shown = shop.well(again);
        assert_eq!(shown["attempt"]["session_way"], "gone", "{shown:#}");
        assert_ne!(shown["attempt"]["session"], session.as_str());
        assert_eq!(shop.standing(&session), "retired");
        begins_anew(&shop, &session);
        let story = shop.explain(again);
        let begins = format!("begins a new session: session {session} is not there any more");
        assert!(story.contains(&begins), "{story}");
    }
}

#[test]
fn one_that_only_the_agent_misses_is_replaced_in_the_same_attempt() {
    for agent in AGENTS {
        let mut shop = Shop::new(Script::default());
        let (task, session) = shop.fails(agent, "mend it");
        // Its program looks elsewhere from now on, of which only that knows.
        let moved = shop.daemon.path("moved");
        fs::create_dir(&moved).unwrap();
        agent.furnish(&moved);
        let program = agent.program();
        let command = format!("command = ['{}']", program.display());
        let place = format!("{}={}", agent.place(), moved.display());
        let wrapped = format!("command = ['env', '{place}', '{}']", program.display());
        shop.change(&command, &wrapped);
        shop.endpoint.set_script(Script::default());
        let again = shop.rerun(task, &[]);
        let shown = shop.well(again);
        assert_eq!(shown["attempt_count"], 1);
        let attempt = &shown["attempt"];
        assert_eq!(attempt["session_way"], agent.way(), "{attempt:#}");
        assert_eq!(attempt["session_given"], session.as_str());
        assert_eq!(attempt["session_gone"], session.as_str());
        let fresh = attempt["session"].as_str().unwrap();
        assert_ne!(fresh, session);
        assert_eq!(shop.standing(&session), "retired");
        assert_eq!(shop.standing(fresh), "good");
        begins_anew(&shop, &session);
        let story = shop.explain(again);
        assert!(story.contains(&session), "{story}");
    }
}

#[test]
fn two_reruns_at_once_are_one() {
    for agent in AGENTS {
        let shop = Shop::new(Script::default());
        let (task, session) = shop.fails(agent, "mend it");
        let (tool, gate) = shop.tool_at_gate("gate");
        shop.endpoint
            .set_script(Script::new([tool, Reply::text("mended")]));
        let ctl = shop.daemon.agentctl();
        let rerun = || {
            let mut call = ctl.command(&["rerun", &task.to_string()]);
            call.spawn().unwrap()
        };
        let outputs = [rerun(), rerun()].map(Output::wait);
        let codes = outputs.each_ref().map(|output| output.code);
        assert!(codes == [0, 4] || codes == [4, 0], "{outputs:?}");
        let [mut won, mut lost] = outputs;
        if won.code == 4 {
            std::mem::swap(&mut won, &mut lost);
        }
        let again = won.id();
        lost.refused(4, &[&format!("task {again}")]);
        // Nor does another issue get the conversation.
        let _waiting = gate.reached();
        shop.endpoint.set_script(Script::default());
        let other = shop.submit(agent, &["--issue", "8", "mend it"]);
        shop.daemon.wait(other);
        gate.open();
        let again = shop.well(again);
        assert_eq!(again["attempt"]["session"], session.as_str());
        let other = shop.well(other);
        assert_ne!(other["attempt"]["session"], session.as_str());
        assert!(other["attempt"]["session"].is_string(), "{other:#}");
        // Its provider was asked to go on with it by one of them only.
        let turns = shop.endpoint.turns();
        let asked = turns.iter().filter(|turn| {
            let prompts = turn.prompts();
            prompts.last().is_some_and(|last| last.contains(&session))
        });
        // That is two steps: the tool, and what follows it.
        assert_eq!((agent, asked.count()), (agent, 2));
    }
}
