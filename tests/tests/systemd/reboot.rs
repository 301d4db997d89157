//! The machine goes down with agents at work.

use agentd_tests::wait_until;

use crate::service::{KINDS, Kind, Service};

#[test]
fn tasks_are_tried_again_after_a_loss_of_power() {
    goes_down(Kind::System, |service| service.machine.lose_power());
}

/// All processes are told to end before, agents, runners and the daemon. That is
/// not to be taken for what the agents came to.
#[test]
fn tasks_are_tried_again_after_a_reboot() {
    for kind in KINDS {
        goes_down(kind, |service| service.machine.reboot());
    }
}

fn goes_down(kind: Kind, how: impl Fn(&mut Service)) {
    let mut service = Service::enabled(kind);
    let tasks = service.three_agents();
    how(&mut service);
    // Nobody has to ask for it.
    wait_until("all agents are started again", || service.starts() == 6);
    for task in tasks {
        let shown = service.show(task);
        let attempts = shown["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 2, "{shown}");
        assert_eq!(attempts[0]["failure_reason"], "host_rebooted", "{shown}");
    }
    service.sh("touch ~/go && agentctl wait 1-3");
}
