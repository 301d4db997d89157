//! What agents say of themselves, in words of their own and by `agentctl
//! report`, is kept; and nobody speaks for an attempt but its agent.

use std::fs;

use agentd_tests::{Output, TestDaemon, kill_pid, program, v1, wait_until};
use serde_json::{Value, json};

fn agentctl() -> String {
    program("agentctl").to_str().unwrap().to_owned()
}

/// An agent that makes these reports, then what `then` says.
fn reporting(daemon: &TestDaemon, reports: &[&str], then: &str) -> u64 {
    let agentctl = agentctl();
    let report = |report: &&str| format!("{agentctl} report {report} || exit 9\n");
    let reports: String = reports.iter().map(report).collect();
    daemon.sh(&format!("{reports}{then}"))
}

/// An agent that says what it is known by, and goes on for ever.
fn known(daemon: &TestDaemon, name: &str) -> (u64, String, String) {
    let file = daemon.arg(name);
    let script = format!(
        "echo $AGENTD_ATTEMPT $AGENTD_TOKEN >{file}.new; mv {file}.new {file}; exec sleep 1000"
    );
    let task = daemon.sh(&script);
    wait_until("the agent says who it is", || daemon.path(name).exists());
    daemon.wait_state(task, "running");
    let text = fs::read_to_string(daemon.path(name)).unwrap();
    let (marker, token) = text.trim().split_once(' ').unwrap();
    (task, marker.to_owned(), token.to_owned())
}

/// Speaks for an attempt from outside.
fn speak(daemon: &TestDaemon, marker: &str, token: &str) -> Output {
    let ctl = daemon.agentctl();
    let mut command = ctl.command(&["report", "progress", "forged"]);
    command.env("AGENTD_ATTEMPT", marker);
    command.env("AGENTD_TOKEN", token);
    Output::wait(command.spawn().unwrap())
}

#[test]
fn what_an_agent_reports_is_kept_with_its_attempt() {
    let daemon = TestDaemon::start();
    let reports = [
        "session s-1",
        "progress looks around",
        "usage --input 10 --output 2",
        // Totals: told again, they are no more.
        "usage --input 10 --output 2 --cached 7 --turns 3 --cost-usd 0.0125 --model m-1",
        "usage --input 10 --output 2 --cached 7 --turns 3 --cost-usd 0.0125 --model m-1",
        "progress 'has done it'",
    ];
    let task = reporting(&daemon, &reports, "exit 0");
    assert_eq!(daemon.wait(task)["state"], "succeeded");
    let shown = daemon.show(task);
    let attempt = &shown["attempts"][0];
    assert_eq!(attempt["session"], "s-1");
    assert_eq!(attempt["model"], "m-1");
    assert_eq!(attempt["progress"], "has done it");
    let usage = json!({
        "input_tokens": 10, "output_tokens": 2, "cached_tokens": 7, "turns": 3,
        "cost_micro_usd": 12_500,
    });
    assert_eq!(attempt["usage"], usage);
    let text = daemon.ctl(&["show", "1"]).ok();
    let text = text.text();
    for line in [
        "session:     s-1",
        "model:       m-1",
        "progress:    has done it",
        "usage:       10 tokens in, 2 out, 7 cached, 3 turns, $0.0125",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let story = daemon.ctl(&["explain", "1"]).ok();
    let story = story.text();
    for sentence in [
        "the agent works in session s-1",
        "the agent says: looks around",
        "the agent says: has done it",
    ] {
        assert!(story.contains(sentence), "{sentence}: {story}");
    }
}

#[test]
fn why_it_fails_is_what_the_agent_says() {
    let daemon = TestDaemon::with("[daemon]\nmax_running = 4\n[defaults]\nmax_attempts = 1\n");
    for (report, reason) in [
        ("failed auth_failed log in again", "auth_failed"),
        ("failed context_overflow too long", "context_overflow"),
        ("session --lost", "session_lost"),
    ] {
        let task = reporting(&daemon, &[report], "exit 1");
        let ended = daemon.wait(task);
        assert_eq!(ended["attempt"]["failure_reason"], reason, "{ended}");
        // It came over it.
        let task = reporting(&daemon, &[report], "exit 0");
        assert_eq!(daemon.wait(task)["state"], "succeeded");
    }
    let task = reporting(&daemon, &["limited --reset 1h back later"], "exit 1");
    wait_until("the attempt has ended", || {
        daemon.show(task)["attempts"][0]["failure_reason"] == "usage_limit"
    });
    for (wrong, words) in [
        ("failed cancelled x", "an agent cannot say cancelled"),
        ("failed nonsense x", "no failure reason \"nonsense\""),
        ("session ../x", "the id of a session has"),
    ] {
        let script = format!("{} report {wrong} 2>&1; echo code $?", agentctl());
        let task = daemon.sh(&script);
        daemon.wait(task);
        let said = daemon.ctl(&["logs", "--raw", &task.to_string()]).ok();
        let said = said.text();
        assert!(said.contains(words) && said.contains("code 2"), "{said}");
    }
}

#[test]
fn an_agent_that_declines_is_believed() {
    let mut daemon = TestDaemon::start();
    for end in ["exit 0", "exit 1"] {
        let task = reporting(&daemon, &["aborted not for me"], end);
        let ended = daemon.wait(task);
        assert_eq!(ended["state"], "aborted", "{end}: {ended}");
        let message = ended["message"].as_str().unwrap();
        assert!(message.contains("not for me"), "{message}");
    }
    // Also over a restart of the daemon, and if its runner dies.
    let said = |daemon: &TestDaemon, name: &str| {
        let task = reporting(
            daemon,
            &["aborted not for me"],
            &format!("touch {}; exec sleep 1000", daemon.arg(name)),
        );
        wait_until("it has said so", || daemon.path(name).exists());
        task
    };
    let task = said(&daemon, "first");
    daemon.kill();
    daemon.launch();
    let runner = daemon.show(task)["attempts"][0]["runner_pid"].as_u64();
    kill_pid(u32::try_from(runner.unwrap()).unwrap());
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "aborted", "{ended}");
    assert_eq!(ended["attempt_count"], 1);
    // A person's word is the last.
    let task = said(&daemon, "second");
    let _said = daemon.ctl(&["cancel", &task.to_string()]).ok();
    assert_eq!(daemon.wait(task)["state"], "cancelled");
}

#[test]
fn nobody_speaks_for_an_attempt_but_its_agent() {
    let daemon = TestDaemon::start();
    let (one, marker, token) = known(&daemon, "one");
    let (_two, other_marker, other_token) = known(&daemon, "two");
    let progress = |task: u64| daemon.show(task)["attempts"][0]["progress"].clone();

    // Another's, none at all, the marker's digest, one that is almost right.
    let digest = marker.split_once(':').unwrap().1;
    let padded = format!("{digest}{digest}");
    let mut near = token.clone();
    near.replace_range(63.., if token.ends_with('0') { "1" } else { "0" });
    for wrong in [&other_token, digest, &padded, &near, "zz"] {
        let refused = speak(&daemon, &marker, wrong);
        assert_eq!(refused.code, 7, "{wrong}: {refused:?}");
        assert!(refused.stderr.contains("the token is not that of attempt"));
    }
    let outside = speak(&daemon, "", "");
    assert_eq!(outside.code, 2, "{outside:?}");
    assert!(outside.stderr.contains("agentctl report is for agents"));
    // There is no such attempt, and it is not said which there are.
    for missing in ["99.1:", "1.2:"] {
        assert_eq!(speak(&daemon, missing, &token).code, 7);
    }
    // An agent for another's task, in its own name.
    let script = format!(
        "AGENTD_ATTEMPT={other_marker} {} report progress forged; test $? = 7",
        agentctl()
    );
    let agent = daemon.sh(&script);
    assert_eq!(daemon.wait(agent)["state"], "succeeded");
    // Whoever speaks past agentctl.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut client = daemon.client().await;
        for token in [String::new(), "0".repeat(64), "0".repeat(100_000)] {
            let refused = client
                .report(v1::ReportRequest {
                    task: one,
                    attempt: 1,
                    token,
                    observed: None,
                })
                .await
                .unwrap_err();
            assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
        }
    });
    assert_eq!(progress(one), Value::Null);

    // The right one may, whoever has it; until the attempt ends.
    assert_eq!(speak(&daemon, &marker, &token).code, 0);
    assert_eq!(progress(one), "forged");
    let _said = daemon.ctl(&["kill", &one.to_string()]).ok();
    daemon.wait(one);
    let late = speak(&daemon, &marker, &token);
    assert_eq!(late.code, 4, "{late:?}");
    assert!(late.stderr.contains("attempt 1.1 has ended"), "{late:?}");
    assert_eq!(speak(&daemon, &marker, &other_token).code, 7);
}

#[test]
fn what_a_program_prints_is_read_by_its_rules() {
    let daemon = TestDaemon::with(
        r#"
        [daemon]
        max_running = 4
        [agents.tests]
        type = "command"
        command = ["sh"]
        max_attempts = 1
        [agents.tests.output]
        session = '^session (\S+)'
        progress = '^\[\d+/\d+\] (.*)'
        auth_failed = '^please log in'
        declined = '^declined: (.*)'
        keys.input = "/usage/in"
        keys.output = "/usage/out"
        "#,
    );
    let run = |script: &str| {
        let args = ["-a", "tests", script];
        let task = daemon.submit(&args);
        (daemon.wait(task), daemon.show(task))
    };
    let (ended, shown) = run(
        "echo session s-1; echo '{\"usage\": {\"in\": 5, \"out\": 1}}'; echo '[1/2] half' >&2; \
         printf '[2/2] done'; exit 0",
    );
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let attempt = &shown["attempts"][0];
    assert_eq!(attempt["session"], "s-1");
    // The last line had no end.
    assert_eq!(attempt["progress"], "done");
    assert_eq!(attempt["usage"]["input_tokens"], 5);
    let (ended, _) = run("echo 'please log in'; exit 1");
    assert_eq!(ended["failure_reason"], "auth_failed", "{ended}");
    let message = ended["message"].as_str().unwrap();
    assert_eq!(message, "please log in; exit code 1");
    let (ended, _) = run("echo 'declined: not mine'; exit 0");
    assert_eq!(ended["state"], "aborted", "{ended}");
}
