//! The store fails while the daemon waits for its end.

use std::{fs, io::Write as _, path::Path};

use agentd_tests::{Output, TestDaemon, wait_until};

/// Has the next commit fail.
fn fail_commit(plans: &Path) {
    let met = fs::metadata(plans.join("store.commit.before")).unwrap();
    let line = format!("store.commit.before ENOSPC {}\n", met.len() + 1);
    fs::write(plans.join("plan"), line).unwrap();
}

fn status(daemon: &TestDaemon, key: &str) -> serde_json::Value {
    daemon.ctl(&["status", "-o", "json"]).json()[key].clone()
}

#[test]
fn a_drain_goes_on_after_a_failpoint_of_the_store() {
    let mut daemon = TestDaemon::prepared("[daemon]\nmax_running = 2\n");
    let plans = daemon.use_failpoints();
    daemon.launch();
    let gate = daemon.gate("gate");
    let runs = daemon.sh(&format!("read _ <{}; exit 3", gate.path()));
    let mut waiting = gate.reached();
    let _said = daemon.ctl(&["pause"]).ok();
    let waits = daemon.sh("true");
    let drain = daemon.agentctl().command(&["drain"]).spawn().unwrap();
    wait_until("it drains", || status(&daemon, "phase") == "draining");
    fail_commit(&plans);
    let refused = daemon.ctl(&["resume"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    wait_until("it lives again", || {
        status(&daemon, "incarnation") == 2 && status(&daemon, "phase") == "draining"
    });
    // There is a free slot, and nothing is to get it.
    let _said = daemon.ctl(&["resume"]).ok();
    assert_eq!(daemon.state_of(waits), "queued");
    writeln!(waiting).unwrap();
    let drained = Output::wait(drain);
    assert_eq!(drained.code, 0, "{drained:?}");
    assert!(daemon.ended().success());
    fs::remove_file(plans.join("plan")).unwrap();
    daemon.launch();
    assert_eq!(daemon.wait(waits)["state"], "succeeded");
    assert_eq!(daemon.show(runs)["attempt"]["exit"]["code"], 3);
}

#[test]
fn all_are_cancelled_though_a_failpoint_refuses_the_commit() {
    let mut daemon = TestDaemon::prepared("[daemon]\nmax_running = 1\n");
    let plans = daemon.use_failpoints();
    daemon.launch();
    let runs = daemon.sh("exec sleep 1000");
    daemon.wait_state(runs, "running");
    let waits = daemon.sh("true");
    fail_commit(&plans);
    let shut = daemon.ctl(&["shutdown", "--cancel-all"]);
    assert_eq!(shut.code, 0, "{shut:?}");
    assert!(daemon.ended().success());
    fs::remove_file(plans.join("plan")).unwrap();
    daemon.launch();
    for task in [runs, waits] {
        assert_eq!(daemon.state_of(task), "cancelled");
    }
}
