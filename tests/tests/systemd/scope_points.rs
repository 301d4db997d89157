//! Runners that die on their way into a scope, and out of it.
//!
//! Needs `agentd-failpoints`: see `.ci/run`.

use agentd_tests::{machine::Machine, program, wait_for, wait_until};

use super::scopes::{CONTENT, begin, no_scope_is_left, show, submit, wait_state};

/// A machine on which whatever the plan says happens to runners.
fn machine() -> Machine {
    let machine = Machine::boot();
    machine.install();
    machine.copy_in(&program("agentd-failpoints"), "/usr/bin/agentd");
    let drop_in = "[Service]\nEnvironment=AGENTD_FAILPOINTS=/home/ann/points\n";
    let place = "/etc/systemd/user/agentd.service.d/points.conf";
    machine.write(place, drop_in, 0o644);
    machine.write("/etc/skel/points/plan", "", 0o644);
    begin(&machine);
    machine
}

/// Has this happen the next time.
fn plan(machine: &Machine, point: &str, action: &str) {
    let script = format!(
        "cd ~/points && hits=$(stat -c %s {point} || echo 0) &&
         echo {point} {action} $((hits + 1)) >>plan"
    );
    drop(machine.run("ann", &script).ok());
}

fn has_happened(machine: &Machine, point: &str, action: &str) -> bool {
    let script = format!("grep -q '^{point} {action} ' ~/points/fired");
    machine.run("ann", &script).code == 0
}

#[test]
fn a_runner_may_die_anywhere_on_its_way_into_its_scope() {
    let machine = machine();
    for (point, action, starts) in [
        ("runner.scope.before", "EIO", 1),
        ("runner.scope.before", "kill", 2),
        ("runner.scope.entered", "kill", 2),
        ("runner.scope.after", "kill", 2),
    ] {
        plan(&machine, point, action);
        let task = submit(&machine, "", "cat /proc/self/cgroup");
        let ended = wait_state(&machine, task, "succeeded");
        assert!(has_happened(&machine, point, action), "{point}: {ended}");
        assert_eq!(ended["attempt_count"], starts, "{point}: {ended}");
        let printed = machine.run("ann", &format!("agentctl logs {task}")).ok();
        let scope = format!("-{task}.2.scope/agentd-");
        let expected = if starts == 1 {
            "/agentd.service/agentd-"
        } else {
            &scope
        };
        assert!(printed.text().contains(expected), "{point}: {printed:?}");
        no_scope_is_left(&machine);
    }
}

#[test]
fn a_runner_that_dies_before_it_says_that_it_was_ended_is_lost() {
    let machine = machine();
    let task = submit(&machine, "", CONTENT);
    wait_state(&machine, task, "running");
    machine.until("it is there", "ann", "test -s ~/pids");
    plan(&machine, "runner.evicted", "kill");
    drop(
        machine
            .run("ann", "systemctl --user stop 'agentd-*.scope'")
            .ok(),
    );
    wait_until("it has happened", || {
        has_happened(&machine, "runner.evicted", "kill")
    });
    wait_for("it is run again", || {
        Some(show(&machine, task)).filter(|task| task["attempt_count"] == 2)
    });
    let told = machine.run("ann", &format!("agentctl explain {task}")).ok();
    assert!(told.text().contains("runner_lost"), "{}", told.text());
}
