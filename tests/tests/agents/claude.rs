//! Claude Code.

use std::{path::Path, process::Command};

use agentd_tests::{
    model::{Call, Course, Purpose, Reply, Script, Usage, claude},
    wait_until,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::{Run, World, start, wait};

const SESSION: &str = "0c6dd2f8-9d0e-4a43-a7a1-2d7a0f5b7c11";

impl World {
    fn claude(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = self.program(&claude(), dir);
        command
            .args(["-p", "--output-format", "stream-json", "--verbose"])
            .arg("--dangerously-skip-permissions")
            .args(args)
            .env("ANTHROPIC_BASE_URL", self.endpoint.url())
            .env("ANTHROPIC_API_KEY", "key")
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .env("DISABLE_AUTOUPDATER", "1")
            .env("CLAUDE_CODE_MAX_RETRIES", "0")
            // Root may not skip permissions elsewhere.
            .env("IS_SANDBOX", "1");
        command
    }

    fn run_claude(&self, args: &[&str], prompt: &str) -> Run {
        wait(start(self.claude(self.repo.path(), args), prompt))
    }
}

/// An attempt that failed with this status of the API.
#[track_caller]
fn failed(run: &Run, status: u16) {
    assert_eq!(run.output.code, 1, "{run:?}");
    let result = run.one("result");
    assert_eq!(result["is_error"], true);
    assert_eq!(result["api_error_status"], status);
}

#[test]
fn a_plain_answer() {
    let usage = Usage {
        input: 11,
        cached: 22,
        output: 33,
    };
    let world = World::new(Script::new([Reply::text("all is well").usage(usage)]));
    let run = world.run_claude(&["--session-id", SESSION], "how is it?");
    assert_eq!(run.output.code, 0, "{run:?}");
    let result = run.one("result");
    assert_eq!(result["subtype"], "success");
    assert_eq!(result["is_error"], false);
    assert_eq!(result["result"], "all is well");
    assert_eq!(result["session_id"], SESSION);
    assert_eq!(result["usage"]["input_tokens"], 11);
    assert_eq!(result["usage"]["cache_read_input_tokens"], 22);
    assert_eq!(result["usage"]["output_tokens"], 33);
    world.only_turns(1);
    let turn = &world.endpoint.turns()[0];
    assert_eq!(turn.prompts(), ["how is it?"]);
    assert_eq!(turn.header("x-api-key"), Some("key"));
}

#[test]
fn it_commits_in_a_worktree() {
    let commit = "git add . && git commit -qm mended && echo committed";
    let world = World::new(Script::new([
        Reply::write("new.txt", "new\n"),
        Reply::shell(format!("echo more >>README && {commit}")),
        Reply::text("mended"),
    ]));
    let worktree = world.worktree();
    let run = wait(start(world.claude(&worktree, &[]), "mend it"));
    assert_eq!(run.output.code, 0, "{run:?}");
    assert_eq!(run.one("result")["result"], "mended");
    let shown = world
        .repo
        .git(&["show", "--stat=80", "--format=%s", "agent/1"]);
    assert!(shown.starts_with("mended\n"), "{shown}");
    assert!(shown.contains("README"), "{shown}");
    assert_eq!(world.repo.git(&["show", "agent/1:new.txt"]), "new\n");
    world.only_turns(3);
    let results = world.endpoint.turns()[2].results();
    assert_eq!(results.last().unwrap(), "committed");
}

#[test]
fn a_resumed_session_knows_what_was_said() {
    let world = World::new(Script::new([Reply::text("noted"), Reply::text("again")]));
    let run = world.run_claude(&["--session-id", SESSION], "the first prompt");
    assert_eq!(run.output.code, 0, "{run:?}");
    let run = world.run_claude(&["--resume", SESSION], "the second prompt");
    assert_eq!(run.one("result")["session_id"], SESSION);
    let turn = &world.endpoint.turns()[1];
    assert_eq!(turn.prompts(), ["the first prompt", "the second prompt"]);
    assert_eq!(turn.answers(), ["noted"]);
}

#[test]
fn what_it_asks_aside_takes_no_reply() {
    let search = Call::Tool {
        name: "WebSearch".to_owned(),
        arguments: json!({"query": "rust"}),
    };
    let world = World::new(Script::new([Reply::calls([search]), Reply::text("found")]));
    let run = world.run_claude(&[], "look for it");
    assert_eq!(run.one("result")["result"], "found");
    let requests = world.endpoint.requests();
    let purposes: Vec<Purpose> = requests.iter().map(|request| request.purpose).collect();
    assert_eq!(purposes, [Purpose::Turn, Purpose::Side, Purpose::Turn]);
}

#[test]
fn a_session_that_is_gone() {
    let world = World::new(Script::default());
    let run = world.run_claude(&["--resume", SESSION], "go on");
    assert_eq!(run.output.code, 1);
    let result = run.one("result");
    assert_eq!(result["subtype"], "error_during_execution");
    assert!(run.output.stderr.contains("No conversation found"));
    world.only_turns(0);
}

#[test]
fn errors_end_it() {
    let world = World::new(Script::default());
    for status in [400, 401, 403, 404, 429, 500, 529] {
        world
            .endpoint
            .set_script(Script::always(Reply::error(status)));
        failed(&world.run_claude(&[], "x"), status);
    }
    let script = Script::always(Reply::error(429).retry_after(3600));
    world.endpoint.set_script(script);
    failed(&world.run_claude(&[], "x"), 429);
}

#[test]
fn it_repeats_by_itself_if_it_may() {
    let errors = [Reply::error(529), Reply::error(500)];
    let world = World::new(Script::new(errors).otherwise(Reply::text("well")));
    let mut command = world.claude(world.repo.path(), &[]);
    command.env("CLAUDE_CODE_MAX_RETRIES", "3");
    let run = wait(start(command, "x"));
    assert_eq!(run.output.code, 0, "{run:?}");
    let retries = run.of("system");
    let retries = retries
        .iter()
        .filter(|event| event["subtype"] == "api_retry");
    assert_eq!(retries.count(), 2);
    world.only_turns(3);
}

#[test]
fn the_limit_of_a_subscription() {
    let resets_at = 4_000_000_000_u64;
    let world = World::new(Script::always(Reply::UsageLimit { resets_at }));
    // With a key it is an error as any other.
    failed(&world.run_claude(&[], "x"), 429);
    let mut command = world.claude(world.repo.path(), &[]);
    command.env_remove("ANTHROPIC_API_KEY");
    command.env("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-test");
    let run = wait(start(command, "x"));
    failed(&run, 429);
    let told = &run.one("rate_limit_event")["rate_limit_info"];
    assert_eq!(told["status"], "rejected");
    assert_eq!(told["resetsAt"], resets_at);
    assert_eq!(run.one("result")["api_error"], "usage_limit_reached");
    world.only_turns(2);
}

#[test]
fn a_stream_that_breaks() {
    let world = World::new(Script::default());
    let half = |course| Reply::text("half of it").course(course);
    // What broke as a stream it asks for once more without one.
    for (reply, streams) in [
        (half(Course::Cut), &[true, false][..]),
        (half(Course::Short), &[true, false]),
        (half(Course::Fails), &[true, false]),
        (Reply::Hangup, &[true]),
    ] {
        let before = world.endpoint.turns().len();
        world.endpoint.set_script(Script::always(reply.clone()));
        let run = world.run_claude(&[], "x");
        assert_eq!(run.output.code, 1, "{reply:?}: {run:?}");
        assert_eq!(run.one("result")["is_error"], true);
        let turns = &world.endpoint.turns()[before..];
        let asked = turns.iter().map(|turn| turn.body["stream"] == true);
        assert_eq!(asked.collect::<Vec<bool>>(), streams, "{reply:?}");
    }
}

#[test]
fn silence_is_ended_by_a_signal() {
    for reply in [
        Reply::text("half of it").course(Course::Silent),
        Reply::NoAnswer,
    ] {
        let world = World::new(Script::always(reply));
        let child = start(world.claude(world.repo.path(), &[]), "x");
        wait_until("it asks", || world.endpoint.turns().len() == 1);
        let pid = i32::try_from(child.id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
        let run = wait(child);
        assert_ne!(run.one("result")["result"], "half of it");
        wait_until("it left", || world.endpoint.turns()[0].left());
    }
}

#[test]
fn nobody_listens() {
    let world = World::new(Script::default());
    world.endpoint.refuse();
    let run = world.run_claude(&[], "x");
    assert_eq!(run.output.code, 1, "{run:?}");
    assert_eq!(run.one("result")["is_error"], true);
    world.endpoint.listen_again();
    let run = world.run_claude(&[], "x");
    assert_eq!(run.output.code, 0, "{run:?}");
}
