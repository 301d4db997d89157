//! Agents go on with their conversations, or are told that they are gone.

use std::{fs, os::unix::fs::PermissionsExt as _};

use agentd_tests::{TestDaemon, kill_pid, wait_until};
use serde_json::Value;

/// Keeps each conversation in a file: a line for what it was given, where it
/// works and what was asked of it, and names it. What it does then is the last
/// line of the prompt.
const TALKER: &str = r#"#!/bin/sh
dir=$1
prompt=$(cat)
id=${AGENTD_SESSION:-}
if [ "${2:-}" = strict ] && [ -n "$id" ] && [ ! -f "$dir/talks/$id" ]; then
  echo "no such conversation"
  exit 1
fi
if [ -z "$id" ] || [ ! -f "$dir/talks/$id" ]; then id=s-$AGENTD_TASK-$$; fi
printf '%s %s %s\n' "$AGENTD_TASK" "${AGENTD_SESSION-none}" "$PWD" >>"$dir/talks/$id"
printf '%s\n' "$prompt" >>"$dir/prompts"
printf '%s\n' "${AGENTD_NOTE-nothing}" >>"$dir/notes"
echo "session $id"
case $(printf '%s\n' "$prompt" | tail -n 1) in
  hold) echo $$ >>"$dir/held"; exec sleep 1000 ;;
  full) echo "prompt is too long"; exit 1 ;;
  fail) exit 3 ;;
esac
"#;

/// A daemon with two agents of this kind, and a repository.
struct World {
    daemon: TestDaemon,
    repo: String,
}

impl World {
    fn new() -> Self {
        let mut daemon = TestDaemon::prepared("");
        let talker = daemon.arg("talker");
        fs::write(&talker, TALKER).unwrap();
        fs::set_permissions(&talker, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(daemon.path("talks")).unwrap();
        let dir = daemon.arg(".");
        let agent = |name: &str| {
            format!(
                "[agents.{name}]\ntype = 'command'\ncommand = ['{talker}', '{dir}']\n\
                 [agents.{name}.session]\nfile = '{dir}/talks/{{session}}'\n\
                 [agents.{name}.output]\nsession = '^session (\\S+)'\n\
                 context_overflow = '^prompt is too long'\n"
            )
        };
        // Nobody can see whether its conversations are there.
        let strict = format!(
            "[agents.strict]\ntype = 'command'\ncommand = ['{talker}', '{dir}', 'strict']\n\
             [agents.strict.session]\n[agents.strict.output]\nsession = '^session (\\S+)'\n\
             session_lost = '^no such conversation'\n"
        );
        let agents = agent("talker") + &agent("other") + &strict;
        daemon.configure(&format!("[daemon]\nmax_running = 4\n{agents}"));
        daemon.launch();
        let repo = daemon.repo("app").arg().to_owned();
        Self { daemon, repo }
    }

    fn submit(&self, agent: &str, issue: &str, prompt: &str) -> u64 {
        let repo = self.repo.as_str();
        self.daemon
            .submit(&["-a", agent, "-C", repo, "--issue", issue, prompt])
    }

    /// The session of a task's newest attempt, once the daemon knows it.
    fn session(&self, task: u64) -> String {
        let mut session = String::new();
        wait_until("the session is pinned", || {
            let shown = self.daemon.show(task);
            let named = shown["attempt"]["session"].as_str();
            session = named.unwrap_or_default().to_owned();
            !session.is_empty()
        });
        session
    }

    /// The lines of a conversation: task, what it was given, where it worked.
    fn talk(&self, session: &str) -> Vec<[String; 3]> {
        let text = fs::read_to_string(self.daemon.path("talks").join(session)).unwrap();
        let words = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            <[String; 3]>::try_from(words).unwrap()
        };
        text.lines().map(words).collect()
    }

    fn last_line(&self, file: &str) -> String {
        let text = fs::read_to_string(self.daemon.path(file)).unwrap();
        text.lines().last().unwrap_or_default().to_owned()
    }

    fn standing(&self, session: &str) -> Value {
        let shown = self
            .daemon
            .ctl(&["sessions", "show", session, "-o", "json"])
            .json();
        shown["state"].clone()
    }

    fn explain(&self, task: u64) -> String {
        let told = self.daemon.ctl(&["explain", &task.to_string()]).ok();
        told.text().to_owned()
    }

    /// Daemon and runner are killed while the agent of a task works.
    fn crash(&mut self, task: u64) {
        self.daemon.wait_state(task, "running");
        let runner = self.daemon.runners()[0].pid;
        self.daemon.kill();
        kill_pid(runner);
    }

    fn wait_attempt(&self, task: u64, number: u64) -> Value {
        wait_until("the next attempt runs", || {
            let shown = self.daemon.show(task);
            shown["state"] == "running" && shown["attempt"]["number"] == number
        });
        self.daemon.show(task)["attempt"].clone()
    }
}

#[test]
fn a_crash_of_daemon_and_runner_loses_no_session() {
    let mut world = World::new();
    let task = world.submit("talker", "7", "hold");
    let session = world.session(task);
    world.crash(task);
    world.daemon.launch();
    wait_until("it has begun again", || world.talk(&session).len() == 2);
    let attempt = world.wait_attempt(task, 2);
    assert_eq!(attempt["session_way"], "seen", "{attempt}");
    assert_eq!(attempt["session_given"], session.as_str());
    let talk = world.talk(&session);
    assert_eq!(talk[0][1], "none");
    assert_eq!(talk[1][1], session, "what it was given");
    assert_eq!(talk[0][2], talk[1][2], "where it works");
    let note = world.last_line("notes");
    assert!(
        note.starts_with(&format!(
            "You go on in your earlier conversation ({session})"
        )) && note.contains("(runner_lost)"),
        "{note}"
    );
    let prompts = fs::read_to_string(world.daemon.path("prompts")).unwrap();
    assert!(
        prompts.ends_with(&format!("[agentd: {note}]\n\nhold\n")),
        "{prompts}"
    );
    let story = world.explain(task);
    let resumes = format!("resumes: goes on with session {session} of attempt {task}.1");
    assert!(story.contains(&resumes), "{story}");
    assert_eq!(world.standing(&session), "good");
    let show = world.daemon.ctl(&["show", &task.to_string()]).ok();
    let resumed = format!("{session} (resumed)");
    assert!(show.text().contains(&resumed), "{}", show.text());
}

#[test]
fn one_that_is_gone_is_retired_and_the_agent_is_told() {
    let mut world = World::new();
    let task = world.submit("talker", "7", "hold");
    let session = world.session(task);
    world.crash(task);
    fs::remove_file(world.daemon.path("talks").join(&session)).unwrap();
    world.daemon.launch();
    let attempt = world.wait_attempt(task, 2);
    assert_eq!(attempt["session_way"], "gone", "{attempt}");
    let fresh = world.session(task);
    assert_ne!(fresh, session);
    assert_eq!(world.talk(&fresh)[0][1], "none");
    assert_eq!(world.standing(&session), "retired");
    let note = world.last_line("notes");
    let gone = format!("Your earlier conversation ({session}) is gone");
    assert!(note.starts_with(&gone), "{note}");
    let story = world.explain(task);
    let begins = format!("begins a new session: session {session} is not there any more");
    assert!(story.contains(&begins), "{story}");
    let show = world.daemon.ctl(&["show", &task.to_string()]).ok();
    assert!(show.text().contains(&fresh), "{}", show.text());
    assert!(
        show.text().contains("is not there any more"),
        "{}",
        show.text()
    );
}

#[test]
fn one_that_only_the_agent_misses_is_replaced_in_the_same_attempt() {
    let world = World::new();
    let first = world.submit("strict", "7", "fail");
    world.daemon.wait(first);
    let session = world.session(first);
    fs::remove_file(world.daemon.path("talks").join(&session)).unwrap();
    let again = world.daemon.ctl(&["rerun", "1"]).id();
    let again = world.daemon.wait(again);
    assert_eq!(again["attempt_count"], 1, "{again}");
    assert_eq!(again["failure_reason"], "agent_error");
    let attempt = &again["attempt"];
    assert_eq!(attempt["session_way"], "unseen");
    assert_eq!(attempt["session_gone"], session.as_str());
    let fresh = attempt["session"].as_str().unwrap();
    assert_ne!(fresh, session);
    assert_eq!(world.talk(fresh)[0][1], "none", "what it was given");
    let note = world.last_line("notes");
    let gone = format!("Your earlier conversation ({session}) is gone");
    assert!(note.starts_with(&gone), "{note}");
    let prompts = fs::read_to_string(world.daemon.path("prompts")).unwrap();
    assert!(
        prompts.ends_with(&format!("[agentd: {note}]\n\nfail\n")),
        "{prompts}"
    );
    assert_eq!(world.standing(&session), "retired");
    assert_eq!(world.standing(fresh), "good");
}

#[test]
fn a_rerun_goes_on_and_a_fresh_one_does_not() {
    let world = World::new();
    let first = world.submit("talker", "7", "fail");
    assert_eq!(world.daemon.wait(first)["failure_reason"], "agent_error");
    let session = world.session(first);
    let again = world.daemon.ctl(&["rerun", "1"]).id();
    let again = world.daemon.wait(again);
    assert_eq!(again["attempt"]["session"], session.as_str());
    assert_eq!(world.talk(&session).len(), 2);

    let fresh = world.daemon.ctl(&["rerun", "2", "--fresh"]).id();
    let fresh = world.daemon.wait(fresh);
    assert_eq!(fresh["fresh"], true);
    let other = fresh["attempt"]["session"].as_str().unwrap();
    assert_ne!(other, session);
    assert_eq!(world.talk(other)[0][1], "none");
    assert_eq!(world.talk(&session).len(), 2);
    // A new task of the issue has the newest one.
    let next = world.submit("talker", "7", "fail");
    world.daemon.wait(next);
    assert_eq!(world.session(next), other);
}

/// A task without an issue has the same session as its reruns.
#[test]
fn a_rerun_without_an_issue_goes_on() {
    let world = World::new();
    let first = world.daemon.submit(&["-a", "talker", "fail"]);
    world.daemon.wait(first);
    let session = world.session(first);
    for id in 2..4 {
        assert_eq!(world.daemon.ctl(&["rerun", "@last-failed"]).id(), id);
        world.daemon.wait(id);
        assert_eq!(world.session(id), session);
    }
    let listed = world.daemon.ctl(&["sessions", "-o", "json"]).json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(listed["sessions"][0]["key"], "talker::@1");
    assert_eq!(listed["sessions"][0]["attempt"], "3.1");
}

#[test]
fn a_session_of_another_agent_is_never_used() {
    let world = World::new();
    let task = world.submit("talker", "7", "fail");
    world.daemon.wait(task);
    let session = world.session(task);
    let other = world.submit("other", "7", "fail");
    let shown = world.daemon.wait(other);
    assert_eq!(shown["attempt"]["session_way"], "fresh");
    assert_ne!(world.session(other), session);
    assert_eq!(world.talk(&session).len(), 1);
}

#[test]
fn a_session_without_room_is_quarantined_and_the_retry_is_fresh() {
    let world = World::new();
    let task = world.submit("talker", "7", "full");
    let shown = world.daemon.wait(task);
    assert_eq!(shown["failure_reason"], "context_overflow");
    let sessions: Vec<&str> = shown["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["session"].as_str().unwrap())
        .collect();
    assert_eq!(sessions.len(), 2);
    assert_ne!(sessions[0], sessions[1]);
    for session in &sessions {
        assert_eq!(world.standing(session), "quarantined");
        assert_eq!(world.talk(session)[0][1], "none");
    }
    // Nor is it resumed later.
    let next = world.submit("talker", "7", "fail");
    let next = world.daemon.wait(next);
    assert_eq!(next["attempt"]["session_way"], "fresh");
    let story = world.explain(task);
    let line = format!("session {} is quarantined", sessions[0]);
    assert!(story.contains(&line), "{story}");
}

#[test]
fn two_at_once_never_have_one_session() {
    let world = World::new();
    let first = world.submit("talker", "7", "fail");
    world.daemon.wait(first);
    let session = world.session(first);
    // Both are asked for while nothing is dispatched, and claimed in one turn.
    let _paused = world.daemon.ctl(&["pause"]).ok();
    let one = world.daemon.ctl(&["rerun", "1", "--prompt", "hold"]).id();
    let again = world.daemon.ctl(&["rerun", "1", "--prompt", "hold"]);
    again.refused(4, &["task 2"]);
    let two = world
        .daemon
        .ctl(&["rerun", "1", "--queue", "--prompt", "fail"])
        .id();
    let _resumed = world.daemon.ctl(&["resume"]).ok();
    world.daemon.wait_state(one, "running");
    wait_until("one has it", || world.talk(&session).len() == 2);
    let used = world
        .daemon
        .ctl(&["sessions", "show", &session, "-o", "json"])
        .json();
    assert_eq!(used["used_by"], format!("{one}.1"));
    assert_eq!(world.daemon.state_of(two), "queued");
    let forget = world.daemon.ctl(&["sessions", "forget", &session]);
    forget.refused(4, &["works in it"]);
    let _ended = world.daemon.ctl(&["cancel", &one.to_string()]).ok();
    let shown = world.daemon.wait(two);
    assert_eq!(shown["attempt"]["session"], session.as_str());
    let tasks: Vec<String> = world
        .talk(&session)
        .into_iter()
        .map(|[task, ..]| task)
        .collect();
    assert_eq!(tasks, ["1", "2", "3"], "one after the other");
}

#[test]
fn sessions_are_listed_shown_and_forgotten() {
    let world = World::new();
    let empty = world.daemon.ctl(&["sessions"]).ok();
    assert!(empty.stderr.contains("no sessions"), "{empty:?}");
    for (agent, issue) in [("talker", "7"), ("other", "8")] {
        world.daemon.wait(world.submit(agent, issue, "fail"));
    }
    let (one, two) = (world.session(1), world.session(2));
    let names = world.daemon.ctl(&["sessions", "-q"]).ok();
    assert_eq!(names.text(), format!("{two}\n{one}\n"), "newest first");
    let of_one = world
        .daemon
        .ctl(&["sessions", "ls", "--agent", "talker", "-q"])
        .ok();
    assert_eq!(of_one.text(), format!("{one}\n"));
    let none = world
        .daemon
        .ctl(&["sessions", "--state", "quarantined,retired", "-q"])
        .ok();
    assert_eq!(none.text(), "");
    let page = world.daemon.ctl(&["sessions", "show", &one]).ok();
    for part in ["session:", "good", "talker:", "attempt:", "1.1"] {
        assert!(page.text().contains(part), "{}", page.text());
    }
    let gone = world.daemon.ctl(&["sessions", "forget", &one]).ok();
    assert!(gone.stderr.contains("forgotten"), "{gone:?}");
    for verb in ["show", "forget"] {
        let refused = world.daemon.ctl(&["sessions", verb, &one]);
        refused.refused(3, &["no session", "agentctl sessions"]);
    }
    world
        .daemon
        .ctl(&["sessions", "show", "../x"])
        .refused(2, &["cannot be the id"]);
    // What is forgotten is not gone on with, though the agent still has it.
    let again = world.daemon.ctl(&["rerun", "1"]).id();
    let again = world.daemon.wait(again);
    assert_eq!(again["attempt"]["session_way"], "fresh");
    let why = again["attempt"]["session_why"].as_str().unwrap();
    assert!(why.contains("not in the registry"), "{why}");
}
