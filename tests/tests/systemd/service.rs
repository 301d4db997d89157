//! agentd as a service of a user's or of the machine's, with agents at work.

use agentd_tests::{Output, machine::Machine, wait_for, wait_until};
use serde_json::Value;

/// Who runs agentd.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Ann, under her own service manager.
    User,
    /// The machine, for a user of agentd's own.
    System,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::User, Kind::System];

/// A machine with agentd installed, and nothing of it switched on.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) machine: Machine,
    kind: Kind,
}

/// An agent that notes that it was started, has a child that ignores what it is
/// told, and ends when it may.
const AGENT: &str = "echo start >>~/starts; trap '' TERM HUP; sleep 1000 &
    until [ -e ~/go ]; do sleep 0.1; done; echo done";

impl Service {
    /// With four slots.
    pub(crate) fn installed(kind: Kind) -> Self {
        let machine = Machine::boot();
        machine.install();
        let config = "[daemon]\nmax_running = 4\n";
        match kind {
            Kind::User => {
                machine.add_user("ann");
                let place = "/home/ann/.config/agentd/config.toml";
                drop(machine.run("ann", "mkdir -p ~/.config/agentd").ok());
                machine.write(place, config, 0o644);
            }
            Kind::System => machine.write("/etc/agentd/config.toml", config, 0o644),
        }
        Self { machine, kind }
    }

    /// Started with the machine, and at the first call.
    pub(crate) fn enabled(kind: Kind) -> Self {
        let service = Self::installed(kind);
        service.systemctl("enable --now agentd.socket agentd.service");
        service
    }

    /// Who the daemon and its agents are.
    pub(crate) fn user(&self) -> &'static str {
        match self.kind {
            Kind::User => "ann",
            Kind::System => "agentd",
        }
    }

    /// Runs a script as the daemon's user; what it prints.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.machine.run(self.user(), script);
        output.ok().text().trim().to_owned()
    }

    /// Has the service manager do something that it can; what it says.
    #[track_caller]
    pub(crate) fn systemctl(&self, args: &str) -> String {
        let output = self.ask_manager(args).ok();
        format!("{}{}", output.text(), output.stderr)
    }

    /// The same, whatever comes of it.
    pub(crate) fn ask_manager(&self, args: &str) -> Output {
        match self.kind {
            Kind::User => {
                let call = format!("systemctl --user --no-pager {args}");
                self.machine.run("ann", &call)
            }
            Kind::System => {
                let call = format!("systemctl --no-pager {args}");
                self.machine.run("root", &call)
            }
        }
    }

    /// What the manager knows of the service by this name.
    #[track_caller]
    pub(crate) fn property(&self, name: &str) -> String {
        let said = self.systemctl(&format!("show agentd.service --value -p {name}"));
        said.trim().to_owned()
    }

    /// Changes the service's unit.
    #[cfg(feature = "failpoints")]
    #[track_caller]
    pub(crate) fn drop_in(&self, text: &str) {
        let place = match self.kind {
            Kind::User => "/etc/systemd/user/agentd.service.d/test.conf",
            Kind::System => "/etc/systemd/system/agentd.service.d/test.conf",
        };
        self.machine.write(place, text, 0o644);
        self.systemctl("daemon-reload");
    }

    /// What was logged of the daemon, and by it, as `journalctl` selects it.
    #[track_caller]
    pub(crate) fn journal(&self, more: &str) -> String {
        match self.kind {
            Kind::User => {
                drop(self.machine.journal("-n 1"));
                self.sh(&format!(
                    "journalctl --user -u agentd --quiet --no-pager {more}"
                ))
            }
            Kind::System => self.machine.journal(&format!("-u agentd {more}")),
        }
    }

    /// Hands a script to an agent; the task.
    #[track_caller]
    pub(crate) fn submit(&self, script: &str) -> u64 {
        // A script has no ' in it but those of traps.
        let script = script.replace('\'', "'\\''");
        let said = self.sh(&format!("agentctl submit -q -- sh -c '{script}'"));
        said.parse().unwrap()
    }

    #[track_caller]
    pub(crate) fn show(&self, task: u64) -> Value {
        let said = self.sh(&format!("agentctl show {task} -o json"));
        serde_json::from_str(&said).unwrap()
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.sh("agentctl status -o json")).unwrap()
    }

    #[track_caller]
    pub(crate) fn state(&self, task: u64) -> String {
        self.show(task)["state"].as_str().unwrap().to_owned()
    }

    /// Three agents that are at work until they may end.
    #[track_caller]
    pub(crate) fn three_agents(&self) -> [u64; 3] {
        let tasks = [(); 3].map(|()| self.submit(AGENT));
        wait_until("three agents are at work", || {
            self.starts() == 3 && self.living() == 3
        });
        tasks
    }

    /// How often agents were started, as they say.
    #[track_caller]
    pub(crate) fn starts(&self) -> usize {
        self.sh("cat ~/starts 2>/dev/null || :").lines().count()
    }

    /// How many of the agents' processes live.
    #[track_caller]
    pub(crate) fn living(&self) -> usize {
        let said = self.machine.run("root", "pgrep -c -f '^sleep 1000'");
        said.text().trim().parse().unwrap()
    }

    /// Has all agents end well, and sees that each was started once.
    #[track_caller]
    pub(crate) fn finish(&self, tasks: &[u64]) {
        self.sh("touch ~/go");
        let names: Vec<_> = tasks.iter().map(u64::to_string).collect();
        self.sh(&format!("agentctl wait {}", names.join(" ")));
        assert_eq!(self.starts(), tasks.len());
        for task in tasks {
            let shown = self.show(*task);
            assert_eq!(shown["state"], "succeeded", "{shown}");
            assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{shown}");
            let said = self.sh(&format!("agentctl logs {task}"));
            assert_eq!(said, "done");
        }
        wait_until("nothing of the agents is left", || {
            let groups = "find /sys/fs/cgroup -type d -path '*/agentd.service/agentd-*'";
            self.living() == 0 && self.sh(groups).is_empty()
        });
    }

    /// Waits until a daemon other than `old` says of itself that it is there.
    #[track_caller]
    pub(crate) fn another_daemon(&self, old: &str) -> String {
        wait_for("another daemon is there", || {
            let pid = self.property("MainPID");
            (pid != "0" && pid != old && self.property("ActiveState") == "active").then_some(pid)
        })
    }
}
