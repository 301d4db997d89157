//! Agents that misbehave: whatever they do, the task ends as it truly ended,
//! no process of it is left, and the daemon goes on.
//!
//! Each runs with control groups, where the daemon can make them, and without.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use agentd_tests::{
    TestDaemon, exists, fake_agent, group_of, kill_pid, peak_memory, wait_for, wait_until,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

const MIB: u64 = 1024 * 1024;
/// What a runner may come to in a debug build, whatever an agent writes.
const RUNNER_MEMORY: u64 = 32 * MIB;
/// Transcript of an attempt that is kept, and what is kept beside it.
const TRANSCRIPT: u64 = 256 * MIB;
const BESIDE: u64 = 8 * MIB;

/// A daemon whose attempts have control groups, if they can, or have none.
fn daemon(groups: bool) -> TestDaemon {
    TestDaemon::with(&format!(
        "[daemon]\nmax_running = 4\ncgroups = {groups}\n[defaults]\nkill_grace = \"200ms\"\n"
    ))
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// The processes that an agent has listed.
fn listed(daemon: &TestDaemon) -> Vec<u32> {
    let text = fs::read_to_string(daemon.path("pids")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn submit_agent(daemon: &TestDaemon, args: &[&str]) -> u64 {
    let mut line = vec!["--".to_owned()];
    line.extend(fake_agent(args.iter().copied()));
    daemon.submit(&line)
}

fn pid(daemon: &TestDaemon, task: u64, whose: &str) -> u32 {
    let pid = wait_for("the attempt has this process", || {
        daemon.show(task)["attempt"][whose].as_u64()
    });
    u32::try_from(pid).unwrap()
}

/// The control group of a running agent; `None` if it has none of its own.
fn group(daemon: &TestDaemon, task: u64) -> Option<PathBuf> {
    daemon.wait_state(task, "running");
    let group = group_of(pid(daemon, task, "agent_pid"))?;
    let name = group.file_name()?.to_str()?;
    name.ends_with(&format!("-{task}.1")).then_some(group)
}

/// Waits for the end; nothing is left by then, and another task runs.
fn end(daemon: &TestDaemon, task: u64, group: Option<&PathBuf>) -> Value {
    let ended = daemon.wait(task);
    let left = listed(daemon);
    assert!(!left.iter().any(|pid| exists(*pid)), "{left:?} live on");
    assert!(daemon.agents().is_empty(), "{:?}", daemon.agents());
    if let Some(group) = group {
        assert!(!group.exists(), "{} is left", group.display());
    }
    let next = daemon.sh("true");
    assert_eq!(daemon.wait(next)["state"], "succeeded");
    ended
}

fn log(daemon: &TestDaemon, task: u64) -> String {
    let said = daemon.ctl(&["logs", "--raw", &task.to_string()]).ok();
    said.text().to_owned()
}

/// So that no test passes because it has tested nothing: where this process
/// can make a group, so can the daemon.
#[test]
fn agents_have_control_groups_where_they_can() {
    let own = group_of(std::process::id());
    let possible = own.is_some_and(|own| {
        let new = own.join(format!("agentd-test-{}", std::process::id()));
        fs::create_dir(&new).is_ok_and(|()| fs::remove_dir(&new).is_ok())
    });
    for groups in [true, false] {
        let daemon = daemon(groups);
        let task = daemon.sh("exec sleep 1000");
        let group = group(&daemon, task);
        assert_eq!(group.is_some(), groups && possible, "{}", daemon.log());
        // The runner is not in it: it has to outlive what it kills.
        let runner = group_of(pid(&daemon, task, "runner_pid"));
        assert!(group.is_none() || runner != group);
        let _said = daemon.ctl(&["cancel", "1"]).ok();
        assert_eq!(end(&daemon, task, group.as_ref())["state"], "cancelled");
    }
}

#[test]
fn what_double_forks_is_ended_with_its_agent() {
    for groups in [true, false] {
        let daemon = daemon(groups);
        let task = submit_agent(&daemon, &["double-fork", &daemon.arg("pids")]);
        let ended = end(&daemon, task, None);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        assert_eq!(listed(&daemon).len(), 1);
    }
}

/// Some 250 processes that ignore what they are asked and have sessions of
/// their own; the one that started them has ended.
const BROOD: &str = "trap '' TERM; case $1 in 0) ;; *) n=$(($1 - 1)); \
     setsid sh -c \"$0\" \"$0\" $n & setsid sh -c \"$0\" \"$0\" $n & ;; esac; \
     echo $$ >>$PIDS; while :; do sleep 1000; done";

fn brood(daemon: &TestDaemon, depth: u32) -> String {
    format!(
        "export PIDS={}; brood='{}'; (sh -c \"$brood\" \"$brood\" {depth} &)",
        daemon.arg("pids"),
        BROOD.replace('\'', "'\\''")
    )
}

fn wait_brood(daemon: &TestDaemon, depth: u32) {
    let all = (1 << (depth + 1)) - 1;
    wait_until("all of them are up", || listed(daemon).len() == all);
}

#[test]
fn a_brood_that_ignores_signals_is_ended() {
    for groups in [true, false] {
        let daemon = daemon(groups);
        let gate = daemon.gate("gate");
        let script = format!("{}; read _ <{}; exit 9", brood(&daemon, 6), gate.path());
        let task = daemon.sh(&script);
        wait_brood(&daemon, 6);
        let group = group(&daemon, task);
        gate.open();
        let ended = end(&daemon, task, group.as_ref());
        assert_eq!(ended["attempt"]["exit"]["code"], 9, "{ended}");
    }
}

/// It forks for as long as it is let: the kill has to be faster.
#[test]
fn what_forks_while_it_is_killed_is_ended() {
    for groups in [true, false] {
        let daemon = daemon(groups);
        // Each one starts its own successor and ends; four lines of them.
        let script = "trap '' TERM; f='setsid sh -c \"$0\" \"$0\" & exit'; \
             for i in 1 2 3 4; do sh -c \"$f\" \"$f\" & done; wait; exec sleep 1000";
        let task = daemon.sh(script);
        let group = group(&daemon, task);
        wait_until("they fork", || daemon.agents().len() > 1);
        let _said = daemon.ctl(&["cancel", "1"]).ok();
        let ended = end(&daemon, task, group.as_ref());
        assert_eq!(ended["state"], "cancelled", "{ended}");
    }
}

#[test]
fn an_agent_that_kills_its_runner_takes_its_brood_along() {
    for groups in [true, false] {
        let daemon = daemon(groups);
        let gate = daemon.gate("gate");
        let script = format!(
            "{}; read _ <{}; kill -9 $PPID; sleep 1000",
            brood(&daemon, 3),
            gate.path()
        );
        let task = daemon.sh(&script);
        let mut all = Vec::new();
        for attempt in 1..=3 {
            wait_brood(&daemon, 3);
            daemon.wait_state(task, "running");
            let pids = listed(&daemon);
            fs::remove_file(daemon.path("pids")).unwrap();
            gate.open();
            wait_until("the attempt has ended", || {
                let attempts = &daemon.show(task)["attempts"];
                attempts[attempt - 1]["failure_reason"] == "runner_lost"
            });
            assert!(!pids.iter().any(|pid| exists(*pid)), "{pids:?} live on");
            all.extend(pids);
        }
        let ended = end(&daemon, task, None);
        // It is the task that kills its host.
        assert_eq!(ended["state"], "interrupted", "{ended}");
        assert_eq!(ended["attempt_count"], 3);
        assert!(!all.iter().any(|pid| exists(*pid)));
    }
}

/// Without marker, session and parent: only its control group tells whose it
/// is.
#[test]
fn what_hides_is_found_by_its_group_when_the_runner_is_gone() {
    let daemon = daemon(true);
    let gate = daemon.gate("gate");
    let hidden = fake_agent(["double-fork", &daemon.arg("pids")]).join(" ");
    let task = daemon.sh(&format!("{hidden}; read _ <{}; exit 4", gate.path()));
    let held = gate.reached();
    let Some(group) = group(&daemon, task) else {
        // Not a promise that can be kept without one.
        kill_pid(listed(&daemon)[0]);
        gate.open();
        return;
    };
    let hidden = listed(&daemon);
    assert_eq!(hidden.len(), 1);
    let marked: Vec<u32> = daemon.agents().iter().map(|agent| agent.pid).collect();
    assert!(!marked.contains(&hidden[0]));
    kill_pid(pid(&daemon, task, "runner_pid"));
    wait_until("the next attempt runs", || {
        let shown = daemon.show(task);
        shown["attempt"]["number"] == 2 && shown["state"] == "running"
    });
    assert!(!exists(hidden[0]), "it lives on");
    assert!(!group.exists());
    gate.open();
    drop(held);
    assert_eq!(daemon.wait(task)["attempt"]["exit"]["code"], 4);
}

/// The task ends when its tree has; who else holds its output is not waited
/// for, and what that writes then belongs to nobody.
#[test]
fn output_that_a_stranger_holds_open_is_not_waited_for() {
    for groups in [true, false] {
        let daemon = daemon(groups);
        let gate = daemon.gate("gate");
        let task = daemon.sh(&format!("echo said; read _ <{}; echo last", gate.path()));
        daemon.wait_state(task, "running");
        let stdout = format!("/proc/{}/fd/1", pid(&daemon, task, "agent_pid"));
        let mut held = File::options().write(true).open(stdout).unwrap();
        held.write_all(b"a stranger's\n").unwrap();
        gate.open();
        let ended = end(&daemon, task, None);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        let said = log(&daemon, task);
        let mut lines: Vec<&str> = said.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["a stranger's", "last", "said"]);
        assert!(held.write_all(b"late").is_err(), "nobody reads any more");
    }
}

#[test]
fn closed_inputs_and_outputs_are_no_trouble() {
    for groups in [true, false] {
        let daemon = daemon(groups);
        let gate = daemon.gate("gate");
        let script = format!(
            "echo first; exec <&- >&- 2>&-; read _ <{}; exit 6",
            gate.path()
        );
        let task = daemon.sh(&script);
        let group = group(&daemon, task);
        gate.open();
        let ended = end(&daemon, task, group.as_ref());
        assert_eq!(ended["attempt"]["exit"]["code"], 6, "{ended}");
        assert_eq!(log(&daemon, task), "first\n");
    }
}

#[test]
fn an_agent_that_stops_itself_can_be_cancelled() {
    for groups in [true, false] {
        let daemon = daemon(groups);
        let script = "trap 'echo polite; exit 5' TERM; kill -STOP $$; sleep 1000";
        // It ends by itself, however long it takes.
        let task = daemon.submit(&["--kill-grace", "1h", "--", "sh", "-c", script]);
        let group = group(&daemon, task);
        let agent = pid(&daemon, task, "agent_pid");
        wait_until("it is stopped", || {
            let stat = fs::read_to_string(format!("/proc/{agent}/stat")).unwrap();
            stat.contains(") T ")
        });
        let _said = daemon.ctl(&["cancel", "1"]).ok();
        let ended = end(&daemon, task, group.as_ref());
        assert_eq!(ended["state"], "cancelled", "{ended}");
        assert_eq!(ended["attempt"]["exit"]["code"], 5);
    }
}

#[test]
fn a_stopped_runner_is_neither_dead_nor_forgotten() {
    for groups in [true, false] {
        let daemon = daemon(groups);
        let task = submit_agent(&daemon, &["stubborn", &daemon.arg("pids")]);
        wait_until("agent and child are up", || listed(&daemon).len() == 2);
        let group = group(&daemon, task);
        let runner = pid(&daemon, task, "runner_pid");
        signal(runner, Signal::SIGSTOP);
        let _said = daemon.ctl(&["cancel", "1"]).ok();
        assert_eq!(daemon.state_of(task), "stopping");
        assert!(listed(&daemon).iter().all(|pid| exists(*pid)));
        signal(runner, Signal::SIGCONT);
        let ended = end(&daemon, task, group.as_ref());
        assert_eq!(ended["state"], "cancelled", "{ended}");
        assert_eq!(ended["attempt"]["exit"]["signal"], 9);

        // And one that dies of it.
        fs::remove_file(daemon.path("pids")).unwrap();
        let task = submit_agent(&daemon, &["stubborn", &daemon.arg("pids")]);
        wait_until("agent and child are up", || listed(&daemon).len() == 2);
        daemon.wait_state(task, "running");
        let runner = pid(&daemon, task, "runner_pid");
        signal(runner, Signal::SIGSTOP);
        let _said = daemon.ctl(&["cancel", &task.to_string()]).ok();
        kill_pid(runner);
        let ended = end(&daemon, task, None);
        assert_eq!(ended["state"], "cancelled", "{ended}");
    }
}

/// More than twice of what is kept: neither memory nor disk grow with it.
#[test]
fn a_flood_of_output_is_bounded() {
    const FLOOD: u64 = 600 * 1000 * 1000;
    let daemon = daemon(true);
    let gate = daemon.gate("gate");
    let script = format!(
        "echo first; yes \"$(head -c 4000 /dev/zero | tr '\\0' x)\" | head -c {FLOOD}; \
         echo; echo last; read _ <{}",
        gate.path()
    );
    let task = daemon.sh(&script);
    daemon.wait_state(task, "running");
    let transcript = daemon.state().join("attempts/1.1/transcript");
    let size = || {
        let files = fs::read_dir(&transcript).unwrap().flatten();
        files
            .map(|f| f.metadata().map_or(0, |m| m.len()))
            .sum::<u64>()
    };
    let mut most = 0;
    let mut printed = wait_for("all is printed", || {
        most = most.max(size());
        // Refused while the agent does not wait there.
        let mut gate_end = File::options();
        gate_end.write(true).custom_flags(nix::libc::O_NONBLOCK);
        gate_end.open(gate.path()).ok()
    });
    let runner = peak_memory(daemon.runners()[0].pid).unwrap();
    assert!(
        runner < RUNNER_MEMORY,
        "the runner had {} KiB",
        runner / 1024
    );
    assert!(most < TRANSCRIPT + BESIDE, "{most} bytes on disk");
    assert!(most > TRANSCRIPT / 2, "{most} bytes on disk");
    printed.write_all(b"\n").unwrap();
    let ended = end(&daemon, task, None);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let tail = daemon.ctl(&["logs", "1", "--tail", "1"]).ok();
    assert!(tail.text().contains("last"), "{tail:?}");
}
