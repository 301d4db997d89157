//! What a service manager hands over, and what it is told. The test is one.

use std::{
    fs,
    io::Write as _,
    os::{
        fd::AsFd as _,
        unix::{fs::MetadataExt as _, net::UnixStream},
    },
    path::Path,
};

use agentd_tests::{Notices, TestDaemon, exists, wait_for, wait_until};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::hook;

/// Somebody has connected, and nobody has taken that.
fn waits(daemon: &TestDaemon) -> bool {
    let listener = daemon.listener().as_fd();
    let mut look = [PollFd::new(listener, PollFlags::POLLIN)];
    poll(&mut look, PollTimeout::ZERO).unwrap() == 1
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// All lines up to one that has this in it, which comes sooner or later.
fn up_to(notices: &Notices, what: &str) -> Vec<String> {
    let mut heard = Vec::new();
    wait_until(what, || {
        heard.extend(notices.lines());
        heard.iter().any(|line| line.contains(what))
    });
    heard
}

#[test]
fn a_socket_that_is_handed_over_is_used_and_never_removed() {
    let mut daemon = TestDaemon::prepared("");
    daemon.use_listener();
    let first = inode(&daemon.socket());
    // Who comes before the daemon waits for it.
    let early = UnixStream::connect(daemon.socket()).unwrap();
    assert!(waits(&daemon));
    daemon.launch();
    wait_until("it is taken", || !waits(&daemon));
    drop(early);
    let task = daemon.sh("true");
    assert_eq!(daemon.wait(task)["state"], "succeeded");
    assert!(daemon.terminate().success());
    assert_eq!(inode(&daemon.socket()), first);
    let late = UnixStream::connect(daemon.socket()).unwrap();
    daemon.launch();
    wait_until("it is taken", || !waits(&daemon));
    drop(late);
    assert_eq!(inode(&daemon.socket()), first);
    assert_eq!(daemon.state_of(task), "succeeded");
}

#[test]
fn what_the_manager_says_is_for_the_daemon_alone() {
    let mut daemon = TestDaemon::prepared("");
    daemon.use_listener();
    daemon.use_variable("WATCHDOG_USEC", "60000000");
    daemon.launch();
    let repo = daemon.repo("repo");
    // Of git, which the daemon starts, and of an agent.
    let said = daemon.arg("git");
    hook(&repo, &format!("env >{said}; ls -l /proc/$$/fd >>{said}"));
    let agent = daemon.arg("agent");
    let script = format!("env >{agent}; ls -l /proc/$$/fd >>{agent}");
    let path = repo.path().to_str().unwrap();
    let task = daemon.submit(&["--repo", path, "--issue", "1", "--", "sh", "-c", &script]);
    assert_eq!(daemon.wait(task)["state"], "succeeded");
    for place in [said, agent] {
        let text = fs::read_to_string(place).unwrap();
        assert!(text.contains("PATH="), "{text}");
        for word in ["LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_", "socket:"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}

#[test]
fn runners_start_no_daemon_that_was_told_to_end() {
    let mut daemon = TestDaemon::prepared("");
    daemon.use_listener();
    daemon.launch();
    let gate = daemon.gate("gate");
    let script = format!("read _ <{}", gate.path());
    let task = daemon.sh(&script);
    let mut way = gate.reached();
    daemon.wait_state(task, "running");
    let result = daemon.state().join(format!("attempts/{task}.1/result"));
    assert!(daemon.terminate().success());
    // The runner has a result that it cannot tell.
    way.write_all(b"\n").unwrap();
    wait_until("the agent has ended", || result.exists());
    assert!(!waits(&daemon));
    let points = fs::read_link(daemon.state().join("socket")).unwrap();
    assert_eq!(points, Path::new("/dev/null"));
    daemon.launch();
    assert_eq!(daemon.wait(task)["state"], "succeeded");

    // One that was killed is started again by whoever has something to say.
    let task = daemon.sh(&script);
    let mut way = gate.reached();
    daemon.wait_state(task, "running");
    daemon.kill();
    wait_until("its runner connects", || waits(&daemon));
    daemon.launch();
    way.write_all(b"\n").unwrap();
    assert_eq!(daemon.wait(task)["state"], "succeeded");
}

#[test]
fn a_line_for_people_follows_what_happens() {
    let mut daemon = TestDaemon::prepared("[daemon]\nmax_running = 1\n");
    let notices = daemon.launch_heard();
    up_to(&notices, "STATUS=0 running, 0 queued");
    let gate = daemon.gate("gate");
    let first = daemon.sh(&format!("read _ <{}", gate.path()));
    let second = daemon.sh("true");
    let mut way = gate.reached();
    up_to(&notices, "STATUS=1 running, 1 queued");
    let same = daemon.ctl(&["reload"]).ok();
    assert!(same.stderr.contains("nothing changed"), "{same:?}");
    let reload = up_to(&notices, "READY=1");
    let at = |what: &str| reload.iter().position(|line| line.starts_with(what));
    assert!(at("RELOADING=1") < at("MONOTONIC_USEC="), "{reload:?}");
    assert!(at("MONOTONIC_USEC=") < at("READY=1"), "{reload:?}");
    assert!(at("RELOADING=1").is_some(), "{reload:?}");
    assert!(daemon.terminate().success());
    let end = up_to(&notices, "stopped, 1 agent goes on");
    assert!(end.contains(&"STOPPING=1".to_owned()), "{end:?}");
    daemon.launch();
    way.write_all(b"\n").unwrap();
    assert_eq!(daemon.wait(first)["state"], "succeeded");
    assert_eq!(daemon.wait(second)["state"], "succeeded");
}

#[test]
fn signs_of_life_are_given_to_a_watchdog_only() {
    let mut daemon = TestDaemon::prepared("");
    let quiet = daemon.launch_heard();
    let heard = up_to(&quiet, "STATUS=0 running");
    assert!(!heard.contains(&"WATCHDOG=1".to_owned()), "{heard:?}");
    assert!(daemon.terminate().success());
    daemon.use_variable("WATCHDOG_USEC", "200000");
    let notices = daemon.launch_heard();
    let mut signs = 0;
    wait_until("it gives signs of life", || {
        let lines = notices.lines();
        signs += lines.iter().filter(|line| *line == "WATCHDOG=1").count();
        signs > 4
    });
}

#[test]
fn what_cannot_be_served_is_refused() {
    let mut daemon = TestDaemon::prepared("");
    daemon.use_listener();
    fs::remove_file(daemon.socket()).unwrap();
    let (code, said) = daemon.refuse();
    assert_eq!(code, Some(1));
    assert!(said.contains("restart the socket unit"), "{said}");
    // Variables of another process are not for us.
    let mut other = TestDaemon::prepared("");
    other.use_variable("LISTEN_FDS", "1");
    other.use_variable("LISTEN_PID", "1");
    other.launch();
    let pid = wait_for("it answers", || {
        other.ctl(&["status", "-o", "json"]).json()["pid"].as_u64()
    });
    assert!(exists(u32::try_from(pid).unwrap()));
}

#[test]
fn each_line_of_a_json_log_is_an_object_with_its_fields() {
    let mut daemon = TestDaemon::prepared("");
    daemon.start_through(&["sh", "-c", "exec \"$@\" --log-format json", "sh"]);
    daemon.launch();
    let title = "a \"quoted\" one: {";
    let task = daemon.submit(&["--title", title, "--", "sh", "-c", "exit 3"]);
    assert_eq!(daemon.wait(task)["state"], "failed");
    assert!(daemon.terminate().success());
    let log = daemon.log();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let id = task.to_string();
    let of_the_task = lines
        .iter()
        .filter(|line| line["fields"]["task"].as_str() == Some(&id));
    let said: Vec<&str> = of_the_task
        .filter_map(|line| line["fields"]["message"].as_str())
        .collect();
    for what in ["submitted", "claimed", "started", "finished"] {
        assert!(said.contains(&what), "{log}");
    }
    assert!(
        lines
            .iter()
            .all(|line| line["timestamp"].is_string() && line["level"].is_string())
    );
}
