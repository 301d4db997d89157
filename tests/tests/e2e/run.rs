//! A task runs from its submit to its result.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::Child,
};

use agentd_tests::{Output, TestDaemon};

/// The README's story.
#[test]
fn an_agent_commits_in_a_worktree_of_its_own() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let script =
        "echo working; echo world >>README; git commit -qam 'say world'; git log -1 --format=%s";
    let run = daemon
        .ctl(&["run", "-C", repo.arg(), "--", "sh", "-c", script])
        .ok();
    assert_eq!(run.text(), "working\nsay world\n");
    assert!(run.stderr.contains("succeeded"), "{run:?}");

    let task = daemon.show(1);
    assert_eq!(task["state"], "succeeded");
    let attempt = &task["attempts"][0];
    assert_eq!(attempt["exit"]["code"], 0);
    let branch = attempt["branch"].as_str().unwrap();
    let subjects = repo.git(&["log", "--format=%s", branch]);
    assert_eq!(subjects, "say world\nfirst\n");
    // The person's own checkout is as it was.
    assert_eq!(repo.git(&["log", "--format=%s"]), "first\n");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    assert_eq!(
        std::fs::read(repo.path().join("README")).unwrap(),
        b"hello\n"
    );
    let workspace = attempt["workspace"].as_str().unwrap();
    assert_ne!(std::path::Path::new(workspace), repo.path());
    let page = daemon.ctl(&["show", "1"]).ok();
    assert!(page.text().contains(branch), "{page:?}");
}

#[test]
fn output_appears_while_the_agent_runs() {
    let daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let script = format!("echo first; read _ <{}; echo second", gate.path());
    let mut run: Child = daemon
        .agentctl()
        .command(&["run", "--", "sh", "-c", &script])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    // Only now does it go on.
    gate.open();
    line.clear();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "second\n");
    assert_eq!(Output::wait(run).code, 0);
}

#[test]
fn a_failing_agent_keeps_its_exit_code() {
    let daemon = TestDaemon::start();
    let failing = ["--", "sh", "-c", "exit 3"];
    let run = daemon.ctl(&[&["run"][..], &failing].concat());
    assert_eq!(run.code, 1, "{run:?}");
    let task = daemon.show(1);
    assert_eq!(task["state"], "failed");
    assert_eq!(task["failure_reason"], "agent_error");
    assert_eq!(task["attempt"]["exit"]["code"], 3);
    // The agent's own failure is not retried.
    assert_eq!(task["attempts"].as_array().unwrap().len(), 1);
    let page = daemon.ctl(&["show", "1"]).ok();
    assert!(page.text().contains("agent_error"), "{page:?}");
    assert!(page.text().contains('3'), "{page:?}");

    let run = daemon.ctl(&[&["run", "--propagate"][..], &failing].concat());
    assert_eq!(run.code, 3, "{run:?}");
    let waited = daemon.ctl(&["wait", "1", "--propagate"]);
    assert_eq!(waited.code, 3, "{waited:?}");
    assert_eq!(daemon.ctl(&["wait", "1"]).code, 1);
}

#[test]
fn a_signal_is_told_as_shells_do() {
    let daemon = TestDaemon::start();
    let run = daemon.ctl(&["run", "--propagate", "--", "sh", "-c", "kill -SEGV $$"]);
    assert_eq!(run.code, 128 + 11, "{run:?}");
    let task = daemon.show(1);
    assert_eq!(task["failure_reason"], "agent_error");
    assert_eq!(task["attempt"]["exit"]["signal"], 11);
    assert_eq!(task["attempt"]["exit"]["code"], serde_json::Value::Null);
}

#[test]
fn an_agent_may_decline() {
    let daemon = TestDaemon::start();
    let run = daemon.ctl(&["run", "--propagate", "--", "sh", "-c", "exit 79"]);
    assert_eq!(run.code, 79, "{run:?}");
    assert_eq!(daemon.show(1)["state"], "aborted");
    let failed = daemon.ctl(&["ls", "--failed", "-o", "name"]).ok();
    assert_eq!(failed.text(), "1\n");
    let columns = ["ls", "--failed", "--columns", "id,note", "--no-headers"];
    let row = daemon.ctl(&columns).ok();
    assert!(row.text().contains("declined"), "{row:?}");
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let daemon = TestDaemon::start();
    let run = daemon.ctl(&["run", "--", "no-such-program"]);
    assert_eq!(run.code, 1, "{run:?}");
    let task = daemon.show(1);
    assert_eq!(task["state"], "failed");
    assert_eq!(task["failure_reason"], "agent_missing");
    assert!(
        task["message"]
            .as_str()
            .unwrap()
            .contains("no-such-program")
    );
    assert_eq!(task["attempt"]["exit"], serde_json::Value::Null);
}

#[test]
fn a_prompt_comes_by_argument_file_or_standard_input() {
    let daemon = TestDaemon::with(
        "[daemon]\ndefault_agent = \"cat\"\n[agents.cat]\ntype = \"command\"\ncommand = [\"cat\"]\n",
    );
    let run = daemon.ctl(&["run", "by argument"]).ok();
    assert_eq!(run.text().trim_end(), "by argument");
    let mut file = std::fs::File::create(daemon.path("prompt")).unwrap();
    file.write_all("by file ü\n".as_bytes()).unwrap();
    let run = daemon
        .ctl(&["run", "--prompt-file", &daemon.arg("prompt")])
        .ok();
    assert_eq!(run.text().trim_end(), "by file ü");
    let run = daemon
        .agentctl()
        .call_with_input(&["run", "-"], b"by input");
    assert_eq!(run.ok().text().trim_end(), "by input");
    let shown = daemon.show(2);
    assert_eq!(shown["prompt"].as_str().unwrap().trim_end(), "by file ü");
    // A shell without a command takes the prompt as a script.
    let run = daemon.ctl(&["run", "-a", "shell", "echo $((6*7))"]).ok();
    assert_eq!(run.text(), "42\n");
}

/// Its mark, its task, nothing of the daemon's or the submitter's.
#[test]
fn an_agents_environment_is_its_own() {
    let daemon = TestDaemon::start();
    let mut run = daemon
        .agentctl()
        .command(&["run", "--issue", "17", "--", "env"]);
    run.env("OF_THE_SUBMITTER", "1");
    let run = Output::wait(run.spawn().unwrap()).ok();
    let has = |text: &str| run.text().lines().any(|line| line == text);
    assert!(
        has("AGENTD_TASK=1") && has("AGENTD_ISSUE=17") && has("TERM=dumb"),
        "{run:?}"
    );
    assert!(run.text().contains("AGENTD_ATTEMPT=1.1:"), "{run:?}");
    for absent in ["OF_THE_SUBMITTER", "AGENTD_LOG", "AGENTCTL_NO_AUTOSTART"] {
        assert!(!run.text().contains(absent), "{absent}: {run:?}");
    }
}

#[test]
fn an_agent_that_closes_its_files_ends_well() {
    let daemon = TestDaemon::start();
    let run = daemon.ctl(&[
        "run",
        "--",
        "sh",
        "-c",
        "echo said; exec <&- >&- 2>&-; exit 0",
    ]);
    assert_eq!(run.ok().text(), "said\n");
}
