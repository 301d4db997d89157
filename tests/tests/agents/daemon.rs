//! The real agents, run by the real daemon: what comes of their tasks.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
};

use agentd_tests::{
    Output,
    model::{Call, Reply, Script, Usage},
    wait_for, wait_until,
};
use serde_json::json;

use crate::{
    kind::{AGENTS, Kind},
    shop::Shop,
};

#[test]
fn they_commit_their_work_and_name_their_sessions() {
    for agent in AGENTS {
        let commit = "git add . && git commit -qm mended && echo committed";
        let shop = Shop::new(Script::new([
            Reply::write("new.txt", "new\n"),
            Reply::shell(format!("echo more >>README && {commit}")),
            Reply::text("mended"),
        ]));
        let repo = &shop.repo;
        let id = shop.succeeds(agent, "mend it");
        let branches = repo.git(&["branch", "--list", "agent/*", "--format=%(refname)"]);
        let branch = branches.trim();
        assert_eq!(repo.git(&["show", &format!("{branch}:new.txt")]), "new\n");
        let turns = shop.endpoint.turns();
        assert_eq!((agent, turns.len()), (agent, 3));
        assert_eq!(turns[0].prompts(), ["mend it"]);
        let story = shop.explain(id);
        assert!(story.contains("session"), "{story}");
    }
}

/// What a person types, and sees of it while it goes on and afterwards.
#[test]
fn who_runs_one_sees_what_it_does_and_what_it_cost() {
    let usage = Usage {
        input: 1100,
        cached: 210,
        output: 70,
    };
    for agent in AGENTS {
        let shop = Shop::new(Script::default());
        let (tool, gate) = shop.tool_at_gate("gate");
        let commit = "echo new >new.txt && git add . && git commit -qm mended";
        shop.endpoint.set_script(Script::new([
            tool.usage(usage),
            Reply::shell(commit).usage(usage),
            Reply::text("all is mended").usage(usage),
        ]));
        let args = ["run", "--agent", agent.name(), "--repo", shop.repo.arg()];
        let args = [&args[..], &["--issue", "7", "mend it"]].concat();
        let mut run = shop.daemon.agentctl().command(&args).spawn().unwrap();
        let mut out = BufReader::new(run.stdout.take().unwrap());
        let held = gate.reached();
        // It says what it does while the tool waits.
        let mut line = String::new();
        while !line.starts_with("> ") && !line.contains("Using a tool.") {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "{agent}: it ended");
        }
        gate.open();
        drop(held);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        let ended = Output::wait(run);
        assert_eq!(ended.code, 0, "{rest}\n{ended:?}");
        assert!(rest.contains("> "), "{agent}: its tools: {rest}");
        assert!(rest.contains("\nall is mended\n"), "{agent}: {rest}");
        let used = shop.used(1);
        assert!(rest.ends_with(&format!("\n# used: {used}\n")), "{rest}");
        let tokens = "3300 tokens in, 210 out, 630 cached";
        assert!(used.starts_with(tokens), "{agent}: {used}");
        // Two of them know prices.
        let priced = matches!(agent, Kind::Claude | Kind::Opencode);
        assert_eq!(used.contains('$'), priced, "{agent}: {used}");
        let branch = format!("agent/{agent}-7");
        let repo = &shop.repo;
        assert_eq!(repo.git(&["show", &format!("{branch}:new.txt")]), "new\n");
        assert_eq!(repo.git(&["log", "-1", "--format=%s", &branch]), "mended\n");
    }
}

#[test]
fn a_cancelled_agent_leaves_nothing_behind() {
    for agent in AGENTS {
        let shop = Shop::new(Script::new([Reply::shell(
            "setsid tail -f /dev/null & touch started; tail -f /dev/null",
        )]));
        let id = shop.submit(agent, &["wait"]);
        wait_until("the tool runs", || {
            let shown = shop.daemon.show(id);
            let dir = shown["attempts"][0]["workspace"]
                .as_str()
                .map(str::to_owned);
            dir.is_some_and(|dir| Path::new(&dir).join("started").exists())
        });
        let _cancelled = shop.daemon.ctl(&["cancel", &id.to_string()]).ok();
        assert_eq!(shop.ended(id)["state"], "cancelled", "{agent}");
    }
}

#[test]
fn a_refused_key_is_their_own_failure() {
    for agent in AGENTS {
        let shop = Shop::new(Script::always(Reply::error(401)));
        let id = shop.submit(agent, &["work"]);
        let task = shop.ended(id);
        assert_eq!(task["state"], "failed", "{task:#}");
        assert_eq!(task["failure_reason"], "auth_failed", "{task:#}");
        assert_eq!(task["attempts"].as_array().unwrap().len(), 1);
    }
}

/// Claude Code waits for what it runs in the background; its result counts
/// nevertheless.
#[test]
fn a_background_shell_does_not_hold_a_result_back() {
    let shell = Call::Tool {
        name: "Bash".to_owned(),
        arguments: json!({
            "command": "tail -f /dev/null",
            "description": "wait",
            "run_in_background": true,
        }),
    };
    let shop = Shop::new(Script::new([Reply::calls([shell]), Reply::text("done")]));
    let id = shop.succeeds(Kind::Claude, "wait in the background");
    let show = shop.daemon.ctl(&["show", &id.to_string()]).ok();
    assert!(
        show.text().contains("after its last word"),
        "{}",
        show.text()
    );
}

#[test]
fn what_is_there_is_listed() {
    let shop = Shop::new(Script::default());
    for kind in AGENTS {
        // A program that is slow to start on a busy machine is asked again.
        let (agent, version) = wait_for("its version is known", || {
            let agents = shop.daemon.ctl(&["agents", "-o", "json"]).json();
            let mut all = agents["agents"].as_array().unwrap().iter();
            let agent = all.find(|agent| agent["name"] == kind.name()).unwrap();
            Some((agent.clone(), agent["version"].as_str()?.to_owned()))
        });
        assert!(version.contains(|c: char| c.is_ascii_digit()), "{version}");
        assert_eq!(agent["logged_in"], true);
        assert_eq!(agent["troubles"], json!([]));
    }
}
