//! What a daemon does about what its predecessor left, and about runners that
//! do not do what they are told.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
};

use agentd_tests::{TestDaemon, exists, kill_pid, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

fn status(daemon: &TestDaemon) -> Value {
    daemon.ctl(&["status", "-o", "json"]).json()
}

/// An agent that adds a line to `ran` and then goes on for ever.
fn endless(daemon: &TestDaemon) -> u64 {
    let ran = daemon.arg("ran");
    let task = daemon.sh(&format!("echo $AGENTD_TASK >>{ran}; exec sleep 1000"));
    daemon.wait_state(task, "running");
    task
}

fn begun(daemon: &TestDaemon) -> usize {
    let ran = fs::read_to_string(daemon.path("ran")).unwrap_or_default();
    ran.lines().count()
}

#[test]
fn mass_death_waits_for_a_person() {
    let mut daemon = TestDaemon::with("[daemon]\nmax_running = 6\n");
    let tasks: Vec<u64> = (0..6).map(|_| endless(&daemon)).collect();
    wait_until("all have begun", || begun(&daemon) == 6);
    daemon.kill();
    for runner in daemon.runners() {
        kill_pid(runner.pid);
    }
    daemon.launch();
    wait_until("they are held", || status(&daemon)["recovery"]["held"] == 6);
    // Nothing is dispatched, not even what is new.
    let new = daemon.sh("true");
    let state = status(&daemon);
    assert_eq!(
        (&state["phase"], &state["queued"]),
        (&"recovering".into(), &1.into())
    );
    assert_eq!(daemon.show(new)["hold"]["kind"], "recovering");
    let line = ["run", "--queue-ttl", "1s", "--", "true"];
    let run = daemon.ctl(&line);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stderr.contains("task 8 waits: recovering")
            && run.stderr.contains("looked at what it found at its start"),
        "{run:?}"
    );
    let asked = daemon.ctl(&["recover"]);
    assert_eq!(asked.code, 4, "{asked:?}");
    assert!(asked.stderr.contains("6 attempts look dead"), "{asked:?}");
    assert_eq!(
        (begun(&daemon), daemon.state_of(new).as_str()),
        (6, "queued")
    );
    // Another start comes to the same.
    daemon.kill();
    daemon.launch();
    wait_until("they are held again", || {
        status(&daemon)["recovery"]["held"] == 6
    });
    let _said = daemon.ctl(&["recover", "--confirm"]).ok();
    wait_until("all run again", || begun(&daemon) == 12);
    assert_eq!(status(&daemon)["phase"], "ready");
    for task in tasks {
        let shown = daemon.show(task);
        assert_eq!(
            shown["attempts"][0]["failure_reason"], "runner_lost",
            "{shown}"
        );
    }
    let _said = daemon.ctl(&["recover", "--confirm"]).ok();
    let _said = daemon.ctl(&["cancel", "1-7"]);
}

#[test]
fn a_runner_finds_its_daemon_where_it_listens_now() {
    let mut daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let task = daemon.sh(&format!("read _ <{}; exit 3", gate.path()));
    let mut waiting = gate.reached();
    daemon.terminate();
    daemon.use_socket("run/elsewhere");
    daemon.launch();
    wait_until("it is adopted", || {
        status(&daemon)["recovery"]["adopted"] == 1
    });
    std::io::Write::write_all(&mut waiting, b"\n").unwrap();
    assert_eq!(daemon.wait(task)["attempt"]["exit"]["code"], 3);
}

#[test]
fn a_daemon_leaves_the_runners_of_another_alone() {
    let mut daemon = TestDaemon::start();
    let task = endless(&daemon);
    let agent = daemon.agents()[0].pid;
    // One that ends in order would have told the runner to wait for its like.
    daemon.kill();
    // Another one on the same socket: it knows no such task.
    daemon.use_state("other");
    daemon.launch();
    wait_until("the runner has asked it", || {
        daemon.log().contains("not in the state directory")
    });
    assert!(exists(agent));
    daemon.terminate();
    daemon.use_state("state");
    daemon.launch();
    wait_until("it is adopted", || {
        status(&daemon)["recovery"]["adopted"] == 1
    });
    assert!(exists(agent));
    let _said = daemon.ctl(&["kill", &task.to_string()]).ok();
    assert_eq!(daemon.wait(task)["state"], "cancelled");
}

#[test]
fn what_the_store_does_not_know_is_ended() {
    let mut daemon = TestDaemon::start();
    let copy = daemon.path("copy");
    daemon.terminate();
    fs::copy(daemon.state().join("agentd.redb"), &copy).unwrap();
    daemon.launch();
    let lives = endless(&daemon);
    let dead = endless(&daemon);
    let runner = daemon.show(dead)["attempt"]["runner_pid"].as_u64().unwrap();
    daemon.kill();
    kill_pid(u32::try_from(runner).unwrap());
    // An older store is put back.
    fs::copy(copy, daemon.state().join("agentd.redb")).unwrap();
    daemon.launch();
    daemon.wait_no_process();
    assert_eq!(daemon.ctl(&["show", &lives.to_string()]).code, 3);
    for task in [lives, dead] {
        let files = daemon.state().join(format!("attempts/{task}.1"));
        assert!(files.is_dir(), "{files:?}");
    }
}

#[test]
fn a_runner_that_does_not_answer_is_killed_in_the_end() {
    let daemon = TestDaemon::start();
    let task = endless(&daemon);
    let runner = daemon.runners()[0].pid;
    signal(runner, Signal::SIGSTOP);
    let _said = daemon.ctl(&["kill", &task.to_string()]).ok();
    let shown = daemon.wait(task);
    assert_eq!(shown["state"], "cancelled");
    daemon.wait_no_process();
}

#[test]
fn a_drain_lets_running_tasks_end_and_keeps_queued_ones() {
    let mut daemon = TestDaemon::with("[daemon]\nmax_running = 2\n");
    let gates = ["first", "second"].map(|name| daemon.gate(name));
    let runs = |gate: &agentd_tests::Gate| {
        let task = daemon.sh(&format!("read _ <{}; exit 3", gate.path()));
        (task, gate.reached())
    };
    let (first, mut waiting) = runs(&gates[0]);
    let (second, mut longer) = runs(&gates[1]);
    let waits = daemon.sh("true");
    let mut drain = daemon.agentctl().command(&["drain"]).spawn().unwrap();
    let mut said = BufReader::new(drain.stderr.take().unwrap()).lines();
    let mut next = || said.next().map(Result::unwrap);
    let line = next().unwrap();
    let told = format!("waiting for tasks {first}, {second} to end; Ctrl-C leaves");
    assert!(line.starts_with(&told), "{line}");
    wait_until("it drains", || status(&daemon)["phase"] == "draining");
    assert_eq!(daemon.ctl(&["submit", "--", "true"]).code, 6);
    // How each ends is said while another one is waited for.
    waiting.write_all(b"\n").unwrap();
    let ended = format!("task {first} failed: agent_error: exit code 3");
    assert_eq!(next(), Some(ended));
    longer.write_all(b"\n").unwrap();
    let left: Vec<String> = std::iter::from_fn(&mut next).collect();
    assert!(
        left.contains(&"agentd ends: 1 task stays queued".to_owned()),
        "{left:?}"
    );
    let drained = agentd_tests::Output::wait(drain);
    assert_eq!(drained.code, 0, "{drained:?}");
    assert!(daemon.ended().success());
    daemon.launch();
    assert_eq!(daemon.wait(waits)["state"], "succeeded");
    for task in [first, second] {
        assert_eq!(daemon.show(task)["attempt"]["exit"]["code"], 3);
    }
    // One that takes too long: the agent goes on.
    let long = endless(&daemon);
    let drained = daemon.ctl(&["drain", "--timeout", "100ms"]);
    assert!(drained.stderr.contains("1 agent goes on"), "{drained:?}");
    assert!(daemon.ended().success());
    daemon.launch();
    assert_eq!(daemon.state_of(long), "running");
}
