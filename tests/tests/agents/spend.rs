//! What attempts of the real agents are said to have used is their own, also in
//! a conversation that goes on.

use agentd_tests::model::{Reply, Script, Usage};
use serde_json::Value;

use crate::{
    kind::{AGENTS, Kind},
    shop::Shop,
};

const STEP: Usage = Usage {
    input: 1100,
    cached: 210,
    output: 70,
};

fn number(usage: &Value, key: &str) -> u64 {
    usage[key].as_u64().unwrap_or(0)
}

#[test]
fn figures_of_resumed_attempts_are_their_own() {
    for agent in AGENTS {
        let shop = Shop::new(Script::default());
        let mut tasks = Vec::new();
        for run in 1..=3 {
            let steps = (0..run).map(|_| Reply::shell("true").usage(STEP));
            let steps = steps.chain([Reply::text("well").usage(STEP)]);
            shop.endpoint.set_script(Script::new(steps));
            let task = match tasks.last() {
                None => shop.submit(agent, &["mend it"]),
                Some(last) => shop.rerun(*last, &["--force"]),
            };
            shop.well(task);
            tasks.push(task);
        }
        let shown: Vec<Value> = tasks.iter().map(|task| shop.daemon.show(*task)).collect();
        let mut costs = Vec::new();
        let session = shown[0]["attempt"]["session"].as_str().unwrap();
        for (shown, turns) in shown.iter().zip(2..) {
            assert_eq!(shown["attempt"]["session"], session, "{agent}");
            let usage = &shown["attempt"]["usage"];
            let of = |key| number(usage, key);
            assert_eq!(of("input_tokens"), turns * STEP.input, "{agent}: {usage}");
            assert_eq!(of("cached_tokens"), turns * STEP.cached, "{agent}: {usage}");
            assert_eq!(of("output_tokens"), turns * STEP.output, "{agent}: {usage}");
            costs.push(of("cost_micro_usd"));
        }
        for task in tasks {
            let logs = shop
                .daemon
                .ctl(&["logs", "-n", "1", &task.to_string()])
                .ok();
            assert_eq!(logs.text(), format!("# used: {}\n", shop.used(task)));
        }
        // Two of them know prices: as much for each answer.
        if matches!(agent, Kind::Claude | Kind::Opencode) {
            let steps = costs.iter().zip(2..).map(|(cost, turns)| cost / turns);
            let steps: Vec<u64> = steps.collect();
            assert_ne!(steps[0], 0, "{costs:?}");
            let near = |step: &u64| step.abs_diff(steps[0]) <= 1;
            assert!(steps.iter().all(near), "{costs:?}");
        }
        let spent = &shown[2]["lineage_spent"];
        assert_eq!(number(spent, "attempts"), 3, "{spent}");
        let tokens = 9 * (STEP.input + STEP.output);
        assert_eq!(number(spent, "tokens"), tokens, "{spent}");
        assert_eq!(number(spent, "cost_micro_usd"), costs.iter().sum::<u64>());
        let prompts = shop.endpoint.turns().last().unwrap().prompts();
        assert_eq!(prompts.len(), 3, "one conversation: {prompts:?}");
    }
}
