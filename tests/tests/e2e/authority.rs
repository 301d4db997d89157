//! Agents may look at tasks and change none, and nobody speaks for a runner
//! but the runner.

use std::fs;

use agentd_tests::{TestDaemon, connected_by_another, exists, kill_pid, program, v1, wait_until};

/// The calls that change something, each with arguments that would do.
const CONTROL: [&str; 8] = [
    "submit -q -- true",
    "cancel 1",
    "kill 2",
    "rerun 2",
    "pause",
    "resume",
    "shutdown",
    "shutdown --cancel-all",
];

/// Ways to hide where a call comes from: with the marker, without it, and from
/// a session and a parent that are not the agent's.
const GUISES: [&str; 3] = [
    "",
    "env -u AGENTD_ATTEMPT",
    "env -u AGENTD_ATTEMPT setsid --wait",
];

fn agentctl() -> String {
    program("agentctl").to_str().unwrap().to_owned()
}

/// A script that makes a call in every guise, and prints what came of it.
fn calls(call: &str) -> String {
    let agentctl = agentctl();
    let one = |guise: &&str| format!("{guise} {agentctl} {call} 2>&1; echo \"code $?\"; ");
    // The last one is an orphan, whose parent was nothing but its parent.
    let orphan = format!(
        "mkfifo said; (env -u AGENTD_ATTEMPT sh -c \
         '{agentctl} {call} 2>&1; echo \"code $?\"' >said &); cat said; rm said"
    );
    GUISES.iter().map(one).collect::<String>() + &orphan
}

#[test]
fn agents_change_no_task() {
    let daemon = TestDaemon::start();
    let other = daemon.sh("exec sleep 1000");
    let done = daemon.sh("exit 7");
    assert_eq!(daemon.wait(done)["state"], "failed");
    daemon.wait_state(other, "running");
    let before = daemon.kept(other);
    for call in CONTROL {
        let agent = daemon.sh(&calls(call));
        let ended = daemon.wait(agent);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        let said = daemon.ctl(&["logs", "--raw", &agent.to_string()]).ok();
        let said = said.text();
        let refusal = format!("a process of attempt {agent}.1");
        assert_eq!(said.matches(&refusal).count(), 4, "{call}: {said}");
        assert_eq!(said.matches("agents_may_control").count(), 4, "{said}");
        assert_eq!(said.matches("code 0").count(), 0, "{call}: {said}");
    }
    assert_eq!(daemon.kept(other), before);
    let listed = daemon.ctl(&["ls", "--all", "-o", "json"]).json();
    let listed = listed["tasks"].as_array().map_or(0, Vec::len);
    assert_eq!(listed, 2 + CONTROL.len(), "one of them was submitted");
}

#[test]
fn agents_may_look() {
    let daemon = TestDaemon::start();
    let done = daemon.sh("echo said");
    daemon.wait(done);
    let agentctl = agentctl();
    let script = format!(
        "set -e; {agentctl} status; {agentctl} ls --all; {agentctl} show 1; \
         {agentctl} logs 1; {agentctl} wait 1"
    );
    let agent = daemon.sh(&script);
    let ended = daemon.wait(agent);
    assert_eq!(ended["state"], "succeeded", "{ended}");
}

#[test]
fn the_operator_may_let_agents_do_more() {
    let daemon = TestDaemon::with("[daemon]\nmax_running = 4\nagents_may_control = true\n");
    let other = daemon.sh("exec sleep 1000");
    daemon.wait_state(other, "running");
    let agentctl = agentctl();
    let agent = daemon.sh(&format!("{agentctl} cancel 1 && {agentctl} submit -- true"));
    assert_eq!(daemon.wait(agent)["state"], "succeeded");
    assert_eq!(daemon.wait(other)["state"], "cancelled");
    assert_eq!(daemon.wait(3)["state"], "succeeded");
}

/// What it left behind when it was gone is as little to be believed.
#[test]
fn a_caller_that_is_gone_is_nobody() {
    let daemon = TestDaemon::start();
    let other = daemon.sh("exec sleep 1000");
    daemon.wait_state(other, "running");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        // Made by a child that has ended since.
        let stream = connected_by_another(&daemon);
        let mut client = daemon.client_over(stream).await;
        let asked = v1::CancelRequest {
            id: other,
            ..v1::CancelRequest::default()
        };
        let refused = client.cancel(asked).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
        assert!(refused.message().contains("is gone"), "{refused}");
        let asked = v1::GetRequest { id: other };
        assert!(client.get(asked).await.is_ok(), "it may look");
    });
    assert_eq!(daemon.state_of(other), "running");
}

#[test]
fn an_agent_cannot_speak_for_its_runner() {
    let daemon = TestDaemon::start();
    let forger = program("forging-agent").to_str().unwrap().to_owned();
    let task = daemon.submit(&["--", &forger, &daemon.arg("state")]);
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "failed", "{ended}");
    assert_eq!(ended["attempt"]["exit"]["code"], 3, "{ended}");
    let said = daemon.ctl(&["logs", "--raw", "1"]).ok();
    let said: Vec<&str> = said.text().lines().collect();
    let digest = "the marker's digest: it was asked for by a process of attempt 1.1";
    let nonce = "a stolen nonce: it was asked for by a process of attempt 1.1";
    assert_eq!(said[..2], [digest, nonce]);
    assert!(said[2].contains("registers as another process"), "{said:?}");
}

/// With what it can read in its own environment.
#[test]
fn an_agent_that_kills_its_runner_gets_no_result_believed() {
    let daemon = TestDaemon::start();
    let forged = format!(
        "{}/1.1/result",
        daemon.state().join("attempts").to_str().unwrap()
    );
    let bytes = "printf '%d,' $(echo ${AGENTD_ATTEMPT#*:} | sed 's/../0x& /g') | sed 's/,$//'";
    let script = format!(
        "echo $$ >>{pids}; [ -e {forged} ] && exit 0; [ $(wc -l <{pids}) = 1 ] || exit 5; \
         printf '{{\"version\":1,\"nonce\":[%s],\"result\":{{\"run\":{{\"Exited\":\
         {{\"started_at\":1,\"exit\":{{\"status\":{{\"Code\":0}},\"user_cpu\":0,\
         \"system_cpu\":0,\"peak_memory\":0}}}}}},\"ended_at\":2,\"left_over\":0}}}}' \
         $({bytes}) >{forged}; kill -9 $PPID; exec sleep 1000",
        pids = daemon.arg("pids")
    );
    let task = daemon.sh(&script);
    let ended = daemon.wait(task);
    assert_eq!(ended["attempt"]["exit"]["code"], 5, "{ended}");
    assert_eq!(ended["state"], "failed");
    assert_eq!(ended["attempts"][0]["failure_reason"], "runner_lost");
    assert!(daemon.log().contains("belongs to another runner"));
}

/// It would be ended with the attempt, and its own agents with it.
#[test]
fn no_daemon_is_started_by_an_agent() {
    let daemon = TestDaemon::start();
    let agentd = program("agentd").to_str().unwrap().to_owned();
    let (state, socket) = (daemon.arg("other"), daemon.arg("o"));
    let task = daemon.sh(&format!(
        "exec {agentd} --state-dir {state} --socket {socket} 2>&1"
    ));
    let ended = daemon.wait(task);
    assert_eq!(ended["attempt"]["exit"]["code"], 1, "{ended}");
    let said = daemon.ctl(&["logs", "--raw", "1"]).ok();
    assert!(said.text().contains("in attempt 1.1"), "{said:?}");
    assert!(!daemon.path("other").exists());
}

/// A daemon below an agent, with the marker taken away: it has the state of
/// the one that has died, whose attempt it is part of.
#[test]
fn a_daemon_below_an_agent_does_not_end_itself() {
    let config = "[daemon]\nmax_running = 4\ncgroups = false\n";
    let mut daemon = TestDaemon::with(config);
    let gate = daemon.gate("gate");
    let agentd = program("agentd").to_str().unwrap().to_owned();
    let script = format!(
        "read _ <{gate}; env -u AGENTD_ATTEMPT {agentd} --config {config} --state-dir {state} \
         --socket {socket} 2>>{log} & echo $! >{pid}; wait",
        gate = gate.path(),
        config = daemon.arg("config.toml"),
        state = daemon.arg("state"),
        socket = daemon.arg("run/s"),
        log = daemon.arg("inner.log"),
        pid = daemon.arg("inner"),
    );
    let task = daemon.sh(&script);
    daemon.wait_state(task, "running");
    daemon.kill();
    let runner = daemon.runners()[0].pid;
    gate.open();
    wait_until("the inner daemon answers", || {
        daemon.ctl(&["status"]).code == 0
    });
    let inner = fs::read_to_string(daemon.path("inner")).unwrap();
    let inner: u32 = inner.trim().parse().unwrap();
    daemon.wait_state(task, "running");
    // Its runner dies: the agent, above the daemon, goes with it, and the
    // daemon sweeps what is left.
    kill_pid(runner);
    wait_until("the attempt is swept", || {
        daemon.show(task)["attempts"][0]["failure_reason"] == "runner_lost"
    });
    assert!(exists(inner), "it has ended itself");
    kill_pid(inner);
    wait_until("the inner daemon is dead", || !exists(inner));
    daemon.launch();
}
