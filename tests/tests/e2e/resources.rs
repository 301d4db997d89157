//! What agents may use of the machine: held where the daemon's control groups
//! have the controllers, and said where they have not.

use agentd_tests::{TestDaemon, fake_agent, wait_until};

/// The controllers that the daemon has found for its attempts.
fn controllers(daemon: &TestDaemon) -> Vec<String> {
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("control groups"));
    let line = line.expect("the daemon says whether it has any");
    let list = line.split_once("controllers=\"").map(|(_, behind)| behind);
    let list = list.and_then(|list| list.split('"').next()).unwrap_or("");
    list.split(' ').map(str::to_owned).collect()
}

fn has(daemon: &TestDaemon, controller: &str) -> bool {
    controllers(daemon).iter().any(|found| found == controller)
}

#[test]
fn limits_hold_or_the_transcript_says_that_they_do_not() {
    let config = "[agents.shell]\ntype = \"command\"\npids = 50\n[defaults]\ncpu = \"0.5\"\n";
    for groups in [true, false] {
        let daemon = TestDaemon::with(&format!("[daemon]\ncgroups = {groups}\n{config}"));
        let task = daemon.submit(&["--memory", "64MiB", "--", "sh", "-c", "exit 0"]);
        let ended = daemon.wait(task);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        let limits = &ended["limits"];
        assert_eq!(limits["memory_bytes"], 64 << 20);
        assert_eq!(limits["pids"], 50);
        assert_eq!(limits["cpu_thousandths"], 500);
        let notes = daemon.ctl(&["logs", "1"]).ok().stderr;
        if !groups {
            let all = "memory, pids and cpu are not limited: no control group";
            assert!(notes.contains(all), "{notes}");
            continue;
        }
        if daemon.log().contains("none may be made") {
            continue;
        }
        for controller in ["memory", "pids", "cpu"] {
            let said = notes.contains(&format!("{controller} is not limited"));
            assert_eq!(said, !has(&daemon, controller), "{controller}: {notes}");
        }
    }
}

#[test]
fn memory_that_runs_out_is_the_reason() {
    let daemon = TestDaemon::start();
    if !has(&daemon, "memory") {
        return;
    }
    // One that is killed, and one whose child is.
    for (script, signal, code) in [
        ("exec tail /dev/zero", Some(9), None),
        ("tail /dev/zero; exit 5", None, Some(5)),
    ] {
        let task = daemon.submit(&["--memory", "32MiB", "--", "sh", "-c", script]);
        let ended = daemon.wait(task);
        assert_eq!(ended["state"], "failed", "{ended}");
        assert_eq!(ended["failure_reason"], "oom_killed");
        let exit = &ended["attempt"]["exit"];
        assert_eq!(exit["signal"].as_i64(), signal, "{ended}");
        assert_eq!(exit["code"].as_i64(), code, "{ended}");
        assert_eq!(exit["oom_killed"], true);
        assert_eq!(ended["attempt_count"], 1, "it would only happen again");
    }
    // An agent that can live with it has done its work.
    let task = daemon.submit(&[
        "--memory",
        "32MiB",
        "--",
        "sh",
        "-c",
        "tail /dev/zero; true",
    ]);
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(ended["attempt"]["exit"]["oom_killed"], true);
}

#[test]
fn a_fork_bomb_is_held_and_ended() {
    let daemon = TestDaemon::start();
    if !has(&daemon, "pids") {
        return;
    }
    let mut line = ["--pids", "20", "--"].map(str::to_owned).to_vec();
    line.extend(fake_agent(["bomb"]));
    let task = daemon.submit(&line);
    let mut most = 0;
    wait_until("there are as many as there may be", || {
        most = most.max(daemon.agents().len());
        most >= 20
    });
    let other = daemon.sh("true");
    assert_eq!(daemon.wait(other)["state"], "succeeded");
    let _said = daemon.ctl(&["kill", &task.to_string()]).ok();
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "cancelled", "{ended}");
    assert!(daemon.agents().is_empty(), "{:?}", daemon.agents());
    assert_eq!(most, 20, "at the same time");
}
