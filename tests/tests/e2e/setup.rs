//! What a repository is set up with: once a worktree, supervised as an agent is.

use std::{fs, path::PathBuf};

use agentd_tests::{Repo, TestDaemon, exists, kill_pid, wait_for, wait_until};
use serde_json::Value;

/// A daemon whose repository has these settings besides its path.
fn prepared(settings: &str) -> (TestDaemon, Repo) {
    let daemon = TestDaemon::prepared("");
    let repo = daemon.repo("app");
    configure(&daemon, &repo, settings);
    (daemon, repo)
}

fn configure(daemon: &TestDaemon, repo: &Repo, settings: &str) {
    daemon.configure(&format!(
        "[defaults]\nkill_grace = \"200ms\"\ninitial_interval = \"10ms\"\n\
         maximum_interval = \"20ms\"\n\n[repos.app]\npath = '{}'\n{settings}\n",
        repo.arg()
    ));
}

fn with(settings: &str) -> (TestDaemon, Repo) {
    let (mut daemon, repo) = prepared(settings);
    daemon.launch();
    (daemon, repo)
}

fn submit(daemon: &TestDaemon, repo: &Repo, issue: &str, script: &str) -> u64 {
    daemon.submit(&["-C", repo.arg(), "--issue", issue, "--", "sh", "-c", script])
}

fn run(daemon: &TestDaemon, repo: &Repo, issue: &str, script: &str) -> Value {
    let task = submit(daemon, repo, issue, script);
    daemon.settled(task)
}

fn worktree(task: &Value) -> PathBuf {
    PathBuf::from(task["attempt"]["workspace"].as_str().unwrap())
}

/// What was printed, and the notes.
fn logs(daemon: &TestDaemon, id: &str) -> String {
    let logs = daemon.ctl(&["logs", id]).ok();
    format!("{}{}", logs.text(), logs.stderr)
}

fn lines(daemon: &TestDaemon, name: &str) -> usize {
    let text = fs::read_to_string(daemon.path(name)).unwrap_or_default();
    text.lines().count()
}

fn what(daemon: &TestDaemon, task: u64) -> Vec<String> {
    let events = daemon.events(task);
    let words = events.iter().map(|event| event["what"].as_str().unwrap());
    words.map(str::to_owned).collect()
}

/// The process whose number a script has written there.
fn pid_in(daemon: &TestDaemon, name: &str) -> u32 {
    wait_for("a script says who it is", || {
        let text = fs::read_to_string(daemon.path(name)).ok()?;
        text.trim_end()
            .parse()
            .ok()
            .filter(|_| text.ends_with('\n'))
    })
}

#[test]
fn a_worktree_is_set_up_once_and_again_when_it_has_to_be() {
    let script = "setup = ['sh', '-c', 'echo run >>../../../../ran; echo ready >made; \
                  echo \"token ${AGENTD_TOKEN-none} task $AGENTD_TASK\"; echo oh >&2']";
    let (mut daemon, repo) = with(script);
    let first = run(&daemon, &repo, "1", "cat made; exit 7");
    assert_eq!(first["failure_reason"], "agent_error", "{first}");
    assert_eq!(first["attempt"]["exit"]["code"], 7);
    assert_eq!(lines(&daemon, "ran"), 1);
    let said = logs(&daemon, "1");
    for words in [
        "setup: sh -c",
        "token none task 1",
        "oh",
        "setup: done",
        "ready",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let story = what(&daemon, 1);
    let at = |word: &str| story.iter().position(|what| what == word).unwrap();
    assert!(at("registered") < at("setting_up") && at("setting_up") < at("started"));
    let told = daemon.ctl(&["explain", "1"]).ok();
    assert!(told.text().contains("set up with sh -c"), "{}", told.text());
    let progress = &first["attempt"]["progress"];
    assert!(progress.is_null() || progress == "", "{progress}");

    // Its next task, a retry of it, and another daemon.
    run(&daemon, &repo, "1", "test -f made");
    daemon.terminate();
    daemon.launch();
    let again = run(&daemon, &repo, "1", "test -f made");
    assert_eq!(again["state"], "succeeded", "{again}");
    assert_eq!(lines(&daemon, "ran"), 1);
    // Set back, made anew, another worktree, another command.
    for (count, how) in [(2, "reset"), (3, "fresh"), (4, "keep")] {
        if how == "keep" {
            let removed = ["workspace", "rm", "--force", "1"];
            let _said = daemon.ctl(&removed).ok();
        }
        let rerun = daemon
            .ctl(&["rerun", "1", "--force", "--workspace", how])
            .id();
        daemon.settled(rerun);
        assert_eq!(lines(&daemon, "ran"), count, "{how}");
    }
    run(&daemon, &repo, "2", "true");
    assert_eq!(lines(&daemon, "ran"), 5);
    daemon.terminate();
    configure(&daemon, &repo, &script.replace("oh", "ah"));
    daemon.launch();
    run(&daemon, &repo, "2", "true");
    assert_eq!(lines(&daemon, "ran"), 6);
}

#[test]
fn one_that_fails_fails_the_attempt_and_no_agent_is_started() {
    let (mut daemon, repo) = with("setup = ['sh', '-c', 'echo half >made; echo why; exit 3']");
    let task = run(&daemon, &repo, "1", "touch agent-ran");
    assert_eq!(task["state"], "failed", "{task}");
    assert_eq!(task["failure_reason"], "workspace_failed");
    let message = task["message"].as_str().unwrap();
    for words in ["setup `sh -c ", "exit code 3", "agentctl logs 1.1"] {
        assert!(message.contains(words), "{message}");
    }
    assert!(!worktree(&task).join("agent-ran").exists());
    assert!(task["attempt"]["exit"].is_null(), "{task}");
    let shown = daemon.ctl(&["logs", "1.1"]).ok();
    assert!(shown.text().contains("why"), "{}", shown.text());
    // What it has left counts as any work: nothing of it is lost.
    assert_eq!(task["attempt"]["changes"]["uncommitted"], 1, "{task}");

    for (setup, words) in [
        ("['no-such-program']", "cannot run no-such-program"),
        ("['sh', '-c', 'kill -9 $$']", "killed by signal 9"),
    ] {
        daemon.terminate();
        configure(&daemon, &repo, &format!("setup = {setup}"));
        daemon.launch();
        let task = run(&daemon, &repo, "1", "true");
        assert_eq!(task["failure_reason"], "workspace_failed", "{task}");
        assert!(task["message"].as_str().unwrap().contains(words), "{task}");
    }
    // Once it works, it is run.
    daemon.terminate();
    configure(&daemon, &repo, "setup = ['touch', 'ready']");
    daemon.launch();
    let task = run(&daemon, &repo, "1", "test -f ready");
    assert_eq!(task["state"], "succeeded", "{task}");
}

/// A setup that has started a process in a session of its own, which ignores
/// what is polite, and does not end.
const ENDLESS: &str = "setup = ['sh', '-c', '''
    setsid sh -c \"trap : TERM INT HUP; echo \\$\\$ >$OUT/child; while :; do sleep 1; done\" &
    echo $$ >$OUT/main; while :; do sleep 1; done''']";

fn endless(more: &str) -> (TestDaemon, Repo) {
    let (mut daemon, repo) = prepared("");
    let out = daemon.arg("");
    let out = out.trim_end_matches('/');
    configure(
        &daemon,
        &repo,
        &format!("{}\n{more}", ENDLESS.replace("$OUT", out)),
    );
    daemon.launch();
    (daemon, repo)
}

#[test]
fn its_limit_ends_it_with_all_that_it_started() {
    // Time enough for both of its processes to say who they are.
    let (daemon, repo) = endless("setup_timeout = '4s'");
    let task = run(&daemon, &repo, "1", "touch ran");
    assert_eq!(task["failure_reason"], "workspace_failed", "{task}");
    let message = task["message"].as_str().unwrap();
    assert!(message.contains("its setup_timeout"), "{message}");
    for name in ["main", "child"] {
        assert!(!exists(pid_in(&daemon, name)), "{name}");
    }
    assert!(!worktree(&task).join("ran").exists());
    daemon.wait_no_process();
}

#[test]
fn a_cancel_ends_it_with_all_that_it_started() {
    let (daemon, repo) = endless("");
    // Its time does not count as the start's, nor as the agent's.
    let task = daemon.submit(&[
        "-C",
        repo.arg(),
        "--start-timeout",
        "15s",
        "--timeout",
        "1ms",
        "--idle-timeout",
        "100ms",
        "--",
        "touch",
        "ran",
    ]);
    let pids = ["main", "child"].map(|name| pid_in(&daemon, name));
    daemon.wait_state(task, "running");
    let shown = daemon.show(task);
    let progress = shown["attempt"]["progress"].as_str().unwrap();
    assert!(progress.starts_with("setup: sh -c"), "{shown}");
    assert!(shown["attempt"]["started_at"].is_null(), "{shown}");
    let _said = daemon.ctl(&["cancel", &task.to_string()]).ok();
    let ended = daemon.settled(task);
    assert_eq!(ended["state"], "cancelled", "{ended}");
    assert!(pids.iter().all(|pid| !exists(*pid)));
    assert!(!worktree(&ended).join("ran").exists());
    daemon.wait_no_process();
}

#[test]
fn what_it_leaves_running_is_ended_before_the_agent_starts() {
    let (mut daemon, repo) = prepared("");
    let child = daemon.arg("child");
    configure(
        &daemon,
        &repo,
        &format!("setup = ['sh', '-c', 'setsid sleep 1000 & echo $! >{child}']"),
    );
    daemon.launch();
    let script = format!("if kill -0 $(cat {child}); then exit 5; fi");
    let task = run(&daemon, &repo, "1", &script);
    assert_eq!(task["state"], "succeeded", "{task}");
    let said = logs(&daemon, "1");
    assert!(
        said.contains("left processes running: they are ended"),
        "{said}"
    );
}

#[test]
fn it_outlives_the_daemon_and_is_adopted() {
    let (mut daemon, repo) = prepared("");
    let gate = daemon.gate("gate");
    let ran = daemon.arg("ran");
    let setup = format!(
        "setup = ['sh', '-c', 'echo $$ >>{ran}; cat {}']",
        gate.path()
    );
    configure(&daemon, &repo, &setup);
    daemon.launch();
    let task = submit(&daemon, &repo, "1", "exit 7");
    daemon.wait_state(task, "running");
    let pid = pid_in(&daemon, "ran");
    for end in [TestDaemon::kill, TestDaemon::kill] {
        end(&mut daemon);
        assert!(exists(pid));
        daemon.launch();
        wait_until("the attempt is adopted", || {
            daemon.ctl(&["status", "-o", "json"]).json()["recovery"]["adopted"] == 1
        });
    }
    assert_eq!(daemon.state_of(task), "running");
    // While nobody listens, the agent follows it.
    daemon.kill();
    gate.open();
    wait_until("its runner has a result", || {
        daemon.path("state/attempts/1.1/result").exists()
    });
    daemon.launch();
    let ended = daemon.settled(task);
    assert_eq!(ended["attempt"]["exit"]["code"], 7, "{ended}");
    assert_eq!(ended["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(lines(&daemon, "ran"), 1);
    let told = what(&daemon, task);
    assert_eq!(
        told.iter().filter(|what| *what == "setting_up").count(),
        1,
        "{told:?}"
    );
}

#[test]
fn one_whose_runner_dies_is_begun_again() {
    let (mut daemon, repo) = prepared("");
    let (ran, go) = (daemon.arg("ran"), daemon.arg("go"));
    let setup = format!(
        "setup = ['sh', '-c', 'echo $$ >>{ran}; while ! test -f {go}; do sleep 0.01; done']"
    );
    configure(&daemon, &repo, &setup);
    daemon.launch();
    let task = submit(&daemon, &repo, "1", "true");
    let first = pid_in(&daemon, "ran");
    daemon.wait_state(task, "running");
    kill_pid(daemon.runners().first().unwrap().pid);
    wait_until("it is begun again", || lines(&daemon, "ran") == 2);
    assert!(!exists(first), "what was left of the first one is gone");
    fs::write(&go, "").unwrap();
    let ended = daemon.settled(task);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let first = &daemon.kept(task)["attempts"][0];
    assert_eq!(first["failure_reason"], "runner_lost", "{first}");
}

#[test]
fn in_place_it_is_run_for_each_attempt() {
    let (mut daemon, repo) = prepared("");
    let ran = daemon.arg("ran");
    configure(
        &daemon,
        &repo,
        &format!("setup = ['sh', '-c', 'pwd >>{ran}']"),
    );
    daemon.launch();
    for _ in 0..2 {
        let args = ["-C", repo.arg(), "--workspace", "in-place", "--", "true"];
        let task = daemon.submit(&args);
        assert_eq!(daemon.settled(task)["state"], "succeeded");
    }
    let dirs = fs::read_to_string(&ran).unwrap();
    assert_eq!(dirs, format!("{0}\n{0}\n", repo.arg()));
}

#[test]
fn a_teardown_comes_before_the_removal_and_can_keep_it() {
    let (mut daemon, repo) = prepared("");
    let (down, fails) = (daemon.arg("down"), daemon.arg("fails"));
    configure(
        &daemon,
        &repo,
        &format!(
            "setup = ['true']\nteardown = ['sh', '-c', 'echo $AGENTD_WORKSPACE $AGENTD_REPO >>{down}; \
             if test -f {fails}; then echo one; echo why not; exit 4; fi']"
        ),
    );
    daemon.launch();
    let made = run(&daemon, &repo, "1", "true");
    let path = worktree(&made);
    fs::write(&fails, "").unwrap();
    let words = [
        "stays",
        "teardown `sh -c",
        "exit code 4",
        "why not",
        "--force",
    ];
    daemon.ctl(&["workspace", "rm", "1"]).refused(4, &words);
    assert!(path.is_dir());
    fs::remove_file(&fails).unwrap();
    let _said = daemon.ctl(&["workspace", "rm", "1"]).ok();
    assert!(!path.exists());
    let told = fs::read_to_string(&down).unwrap();
    let line = format!("{} {}\n", path.display(), repo.arg());
    assert_eq!(told, line.repeat(2));
    // With force it goes whatever its teardown says, and what is in it is kept.
    run(&daemon, &repo, "1", "echo work >draft");
    fs::write(&fails, "").unwrap();
    let _said = daemon.ctl(&["workspace", "rm", "--force", "2"]).ok();
    assert!(!path.exists());
    assert_eq!(lines(&daemon, "down"), 3);
    let restored = daemon.ctl(&["workspace", "restore", "2"]).ok();
    let restored = PathBuf::from(restored.text().trim_end());
    assert_eq!(
        fs::read_to_string(restored.join("draft")).unwrap(),
        "work\n"
    );
}
