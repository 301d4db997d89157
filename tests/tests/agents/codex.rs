//! Codex.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::Command,
};

use agentd_tests::{
    model::{Course, Reply, Script, Usage, codex},
    wait_until,
};

use crate::{Run, World, start, wait};

const NO_THREAD: &str = "0199a213-81c0-7800-8aa1-bbab2a035a53";

impl World {
    /// `settings` of the endpoint, for example `request_max_retries=1`.
    fn codex(&self, dir: &Path, settings: &[&str], args: &[&str]) -> Command {
        let home = self.home().join("codex");
        fs::create_dir_all(&home).unwrap();
        let url = self.endpoint.url();
        let mut provider = format!(
            "model_providers.p={{name=\"p\",base_url=\"{url}/v1\",wire_api=\"responses\",env_key=\"CODEX_API_KEY\""
        );
        for setting in settings {
            provider += ",";
            provider += setting;
        }
        let mut command = self.program(&codex(), dir);
        command
            .args(["exec", "--json", "-C"])
            .arg(dir)
            .arg("--dangerously-bypass-approvals-and-sandbox")
            .args(["-c", &format!("{provider}}}"), "-c", "model_provider=p"])
            // Else it asks GitHub and its maker for more than a model.
            .args([
                "-c",
                "features.plugins=false",
                "-c",
                "analytics.enabled=false",
            ])
            .args(args)
            .arg("-")
            .env("CODEX_HOME", home)
            .env("CODEX_API_KEY", "key");
        command
    }

    fn run_codex(&self, args: &[&str], prompt: &str) -> Run {
        let settings = ["request_max_retries=0", "stream_max_retries=0"];
        wait(start(self.codex(self.repo.path(), &settings, args), prompt))
    }
}

/// What it says of its failure.
#[track_caller]
fn failed(run: &Run) -> String {
    assert_eq!(run.output.code, 1, "{run:?}");
    let failed = run.one("turn.failed");
    failed["error"]["message"].as_str().unwrap().to_owned()
}

fn last_message(run: &Run) -> String {
    let items = run.of("item.completed");
    let mut texts = items
        .iter()
        .filter_map(|event| event["item"]["text"].as_str());
    texts.next_back().unwrap().to_owned()
}

#[test]
fn a_plain_answer() {
    let usage = Usage {
        input: 11,
        cached: 22,
        output: 33,
    };
    let world = World::new(Script::new([Reply::text("all is well").usage(usage)]));
    let run = world.run_codex(&[], "how is it?");
    assert_eq!(run.output.code, 0, "{run:?}");
    assert_eq!(last_message(&run), "all is well");
    let usage = &run.one("turn.completed")["usage"];
    assert_eq!(usage["input_tokens"], 33);
    assert_eq!(usage["cached_input_tokens"], 22);
    assert_eq!(usage["output_tokens"], 33);
    world.only_turns(1);
    let turn = &world.endpoint.turns()[0];
    assert_eq!(turn.prompts(), ["how is it?"]);
    assert_eq!(turn.header("authorization"), Some("Bearer key"));
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
    let run = wait(start(world.codex(&worktree, &[], &[]), "mend it"));
    assert_eq!(run.output.code, 0, "{run:?}");
    assert_eq!(last_message(&run), "mended");
    let shown = world
        .repo
        .git(&["show", "--stat=80", "--format=%s", "agent/1"]);
    assert!(shown.starts_with("mended\n"), "{shown}");
    assert!(shown.contains("README"), "{shown}");
    assert_eq!(world.repo.git(&["show", "agent/1:new.txt"]), "new\n");
    world.only_turns(3);
    let results = world.endpoint.turns()[2].results();
    let last = results.last().unwrap();
    assert!(last.contains("committed"), "{last}");
}

#[test]
fn a_resumed_thread_knows_what_was_said() {
    let world = World::new(Script::new([Reply::text("noted"), Reply::text("again")]));
    let run = world.run_codex(&[], "the first prompt");
    let thread = run.one("thread.started")["thread_id"].clone();
    let run = world.run_codex(&["resume", thread.as_str().unwrap()], "the second prompt");
    assert_eq!(run.one("thread.started")["thread_id"], thread);
    assert_eq!(last_message(&run), "again");
    let turn = &world.endpoint.turns()[1];
    assert_eq!(turn.prompts(), ["the first prompt", "the second prompt"]);
    assert_eq!(turn.answers(), ["noted"]);
}

#[test]
fn a_thread_that_is_gone() {
    let world = World::new(Script::default());
    let run = world.run_codex(&["resume", NO_THREAD], "go on");
    assert_eq!(run.output.code, 1);
    assert!(run.events.is_empty(), "{run:?}");
    assert!(run.output.stderr.contains("no rollout found for thread id"));
    world.only_turns(0);
}

#[test]
fn errors_end_it() {
    let world = World::new(Script::default());
    // Some statuses have words of their own instead of those of the API.
    for (status, words) in [
        (400, "invalid_request_error"),
        (401, "status 401 Unauthorized"),
        (403, "status 403 Forbidden"),
        (404, "no such model"),
        (429, "last status: 429"),
        (500, "high demand"),
        (529, "status 529"),
    ] {
        world
            .endpoint
            .set_script(Script::always(Reply::error(status)));
        let message = failed(&world.run_codex(&[], "x"));
        assert!(message.contains(words), "{status}: {message}");
    }
    let script = Script::always(Reply::error(429).retry_after(3600));
    world.endpoint.set_script(script);
    failed(&world.run_codex(&[], "x"));
    let script = Script::always(Reply::error(429).kind("insufficient_quota"));
    world.endpoint.set_script(script);
    let message = failed(&world.run_codex(&[], "x"));
    assert!(message.contains("Quota exceeded"), "{message}");
}

#[test]
fn it_repeats_by_itself_if_it_may() {
    let error = Reply::error(500);
    let world = World::new(Script::new([error]).otherwise(Reply::text("well")));
    let settings = ["request_max_retries=1"];
    let run = wait(start(world.codex(world.repo.path(), &settings, &[]), "x"));
    assert_eq!(run.output.code, 0, "{run:?}");
    assert_eq!(last_message(&run), "well");
    world.only_turns(2);
}

#[test]
fn the_limit_of_a_subscription() {
    let resets_at = 4_000_000_000;
    let world = World::new(Script::always(Reply::UsageLimit { resets_at }));
    let message = failed(&world.run_codex(&[], "x"));
    assert!(message.contains("hit your usage limit"), "{message}");
    assert!(message.contains("2096"), "{message}");
    world.only_turns(1);
}

#[test]
fn a_stream_that_breaks() {
    let world = World::new(Script::default());
    for course in [Course::Cut, Course::Short, Course::Fails] {
        let reply = Reply::text("half of it").course(course);
        world.endpoint.set_script(Script::always(reply));
        failed(&world.run_codex(&[], "x"));
    }
    world.endpoint.set_script(Script::always(Reply::Hangup));
    failed(&world.run_codex(&[], "x"));
}

#[test]
fn silence_is_not_waited_for_for_ever() {
    let reply = Reply::text("half of it").course(Course::Silent);
    let world = World::new(Script::always(reply));
    let settings = ["stream_max_retries=0", "stream_idle_timeout_ms=300"];
    let run = wait(start(world.codex(world.repo.path(), &settings, &[]), "x"));
    let message = failed(&run);
    assert!(message.contains("idle timeout"), "{message}");
    wait_until("it left", || world.endpoint.turns()[0].left());
}

#[test]
fn nobody_listens_for_a_while() {
    let world = World::new(Script::new([Reply::text("well")]));
    world.endpoint.refuse();
    let settings = ["request_max_retries=0", "stream_max_retries=0"];
    let mut child = start(world.codex(world.repo.path(), &settings, &[]), "x");
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    // It has no limit of its own for this.
    let mut line = String::new();
    while !line.contains("Reconnecting") {
        line.clear();
        assert_ne!(printed.read_line(&mut line).unwrap(), 0, "it ended");
    }
    world.endpoint.listen_again();
    let mut rest = String::new();
    printed.read_to_string(&mut rest).unwrap();
    assert!(rest.contains(r#""text":"well""#), "{rest}");
    assert_eq!(wait(child).output.code, 0);
}
