//! What the manager and its journal tell.

use agentd_tests::wait_until;

use crate::service::{KINDS, Kind, Service};

#[test]
fn one_task_has_one_story_in_the_journal() {
    for kind in KINDS {
        let service = Service::enabled(kind);
        for n in 1..=12 {
            let ended = service.submit(&format!("exit {}", n % 2));
            assert_eq!(ended, n);
        }
        service.sh("agentctl wait 1-12 || :");
        let story = service.journal("-o cat TASK=1");
        let lines: Vec<_> = story.lines().collect();
        assert!(lines[0].starts_with("submitted task=1 "), "{story}");
        for line in &lines {
            let words: Vec<_> = line.split(' ').collect();
            assert!(words.contains(&"task=1"), "{line}: {story}");
        }
        for said in ["started", "finished"] {
            let told = lines.iter().any(|line| line.starts_with(said));
            assert!(told, "{said}: {story}");
        }
        // By attempt and agent, too.
        let first = service.journal("-o cat TASK=1 ATTEMPT=1 AGENT=shell");
        assert!(first.contains("registered task=1 attempt=1"), "{first}");
        assert!(!first.contains("submitted"), "{first}");
        assert_eq!(service.journal("-o cat TASK=1 AGENT=other"), "");
        // A level is the journal's, and the program has one name.
        let known = service.journal("-o cat --identifier=agentd -p info TASK=1");
        assert_eq!(known, story);
    }
}

#[test]
fn a_reload_is_waited_for_and_counts() {
    for kind in KINDS {
        let service = Service::enabled(kind);
        let config = |slots: u32| format!("[daemon]\nmax_running = {slots}\n");
        let place = match kind {
            Kind::User => "/home/ann/.config/agentd/config.toml",
            Kind::System => "/etc/agentd/config.toml",
        };
        let tasks = service.three_agents();
        assert_eq!(service.submit("true"), 4);
        service.machine.write(place, &config(3), 0o644);
        service.systemctl("reload agentd.service");
        assert_eq!(service.status()["slots"], 3);
        assert_eq!(service.property("ActiveState"), "active");
        let held = service.submit("true");
        wait_until("the status tells it", || {
            let shown = service.systemctl("status agentd.service");
            shown.contains("Status: \"3 running, 1 queued")
        });
        service.machine.write(place, &config(4), 0o644);
        service.systemctl("reload agentd.service");
        service.sh(&format!("agentctl wait {held}"));
        // What is wrong is told, and what was goes on.
        service
            .machine
            .write(place, "[daemon]\nmax_runing = 4\n", 0o644);
        assert_ne!(service.ask_manager("reload agentd.service").code, 0);
        let told = service.journal("");
        assert!(told.contains("max_runing"), "{told}");
        assert_eq!(service.property("ActiveState"), "active");
        assert_eq!(service.status()["slots"], 4);
        service.finish(&tasks);
    }
}
