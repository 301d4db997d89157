//! Agents outlive the daemon, whatever ends it.

use agentd_tests::wait_until;

use crate::service::{KINDS, Kind, Service};

#[test]
fn agents_of_a_user_outlive_restarts_and_deaths_of_the_daemon() {
    outlive(Kind::User);
}

#[test]
fn agents_of_the_machine_outlive_restarts_and_deaths_of_the_daemon() {
    outlive(Kind::System);
}

#[track_caller]
fn outlive(kind: Kind) {
    let service = Service::enabled(kind);
    let tasks = service.three_agents();
    let first = service.property("MainPID");
    service.systemctl("restart agentd.service");
    let second = service.another_daemon(&first);
    adopted(&service, 2);
    service.systemctl("kill --kill-whom=main --signal=KILL agentd.service");
    service.another_daemon(&second);
    adopted(&service, 3);
    assert_eq!(service.property("NRestarts"), "1");
    // Each task's story has it.
    for task in tasks {
        let story = service.journal(&format!("-o cat TASK={task} ATTEMPT=1"));
        assert_eq!(story.matches("[recovery]").count(), 2, "{story}");
    }
    service.finish(&tasks);
}

#[track_caller]
fn adopted(service: &Service, incarnation: u64) {
    wait_until("all agents are adopted", || {
        let status = service.status();
        assert_eq!(status["incarnation"], incarnation, "{status}");
        status["recovery"]["adopted"] == 3
    });
    assert_eq!(service.living(), 3);
}

#[test]
fn a_stop_leaves_agents_at_work_and_says_so() {
    for kind in KINDS {
        let service = Service::enabled(kind);
        let tasks = service.three_agents();
        service.systemctl("stop agentd.service");
        assert_eq!(service.property("ActiveState"), "inactive");
        assert_eq!(service.property("StatusText"), "stopped, 3 agents go on");
        // The code is the one of a unit that is not active.
        let shown = service.ask_manager("status agentd.service");
        assert_eq!(shown.code, 3, "{shown:?}");
        assert!(shown.text().contains("3 agents go on"), "{shown:?}");
        let logged = service.journal("");
        assert!(
            logged.contains("agentd is down; agents go on agents=3"),
            "{logged}"
        );
        assert_eq!(service.living(), 3);
        service.systemctl("start agentd.service");
        adopted(&service, 2);
        service.finish(&tasks);
    }
}

#[test]
fn the_end_of_the_slice_is_the_end_of_all() {
    for kind in KINDS {
        let service = Service::enabled(kind);
        let tasks = service.three_agents();
        for verb in ["stop", "restart"] {
            let refused = service.ask_manager(&format!("{verb} agentd-agents.service"));
            assert_ne!(refused.code, 0, "{refused:?}");
        }
        assert_eq!(service.living(), 3);
        service.systemctl("stop agentd.socket agentd.slice");
        assert_eq!(service.living(), 0);
        let left = service.machine.run("root", "pgrep -a -u ann,agentd agentd");
        assert_eq!(left.text(), "");
        // What became of them is found by the next daemon. systemd may still be
        // about to remove the group that has become empty: then a start fails
        // (219/CGROUP), and is tried again as after any failure.
        drop(service.ask_manager("start agentd.service"));
        wait_until("the daemon is up again", || {
            service.property("ActiveState") == "active"
        });
        wait_until("all agents are started again", || service.starts() == 6);
        let reason = match kind {
            // In scopes, of which each runner is told.
            Kind::User => "scope_stopped",
            Kind::System => "runner_lost",
        };
        for task in tasks {
            let shown = service.show(task);
            assert_eq!(shown["attempts"][0]["failure_reason"], reason, "{shown}");
            assert_eq!(shown["attempts"].as_array().unwrap().len(), 2, "{shown}");
        }
        service.sh("touch ~/go && agentctl wait 1-3");
    }
}
