//! What others may not: another user of the machine, and an agent.

use crate::service::{KINDS, Kind, Service};

/// A word of a prompt, which nobody else is to read.
const SECRET: &str = "hummingbird";
/// Finds it, and not the call that looks for it.
const PATTERN: &str = "[h]ummingbird";

/// Where a user's program for agents would be found.
fn socket(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "/run/user/$(id -u ann)/agentd/agentd.sock",
        Kind::System => "/run/agentd/agentd.sock",
    }
}

#[test]
fn another_user_cannot_connect_read_files_or_see_a_prompt() {
    for kind in KINDS {
        let service = Service::enabled(kind);
        let machine = &service.machine;
        machine.add_user("bob");
        // Ann's home is open to all, as it was on many machines for long.
        drop(machine.run("root", "chmod 755 /home/*").ok());
        for agent in ["claude", "codex", "gemini", "opencode"] {
            let path = format!("/usr/local/bin/{agent}");
            // It is asked for its version first.
            let script = "#!/bin/sh\n[ \"$1\" != --version ] || exec echo 9.9.9\n\
                          echo start >>~/starts; exec sleep 1000\n";
            machine.write(&path, script, 0o755);
        }
        service.systemctl("restart agentd.service");
        // The prompt is not on the line of the call, which others see.
        machine.write("/tmp/prompt", &format!("find the {SECRET}\n"), 0o644);
        drop(
            machine
                .run(
                    "root",
                    &format!(
                        "chown {0} /tmp/prompt && chmod 600 /tmp/prompt",
                        service.user()
                    ),
                )
                .ok(),
        );
        for agent in ["claude", "codex", "gemini", "opencode"] {
            service.sh(&format!(
                "agentctl submit -a {agent} --prompt-file /tmp/prompt"
            ));
        }
        machine.until(
            "agents are at work",
            service.user(),
            "[ $(wc -l <~/starts) = 4 ]",
        );
        // Whoever may sees it: so the search would find it.
        let find = format!(
            "cd /; grep -l {PATTERN} /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null
             find / -xdev \\( -path /proc -o -path /sys -o -path /usr \\) -prune -o -newer /etc/machine-id \
                 -type f -readable -print0 2>/dev/null | xargs -0 -r grep -l {PATTERN} 2>/dev/null
             for dir in /tmp /run /dev/shm; do grep -rl {PATTERN} $dir 2>/dev/null; done
             journalctl -q --no-pager 2>/dev/null | grep {PATTERN}
             :"
        );
        let own = service.sh(&find);
        assert!(own.contains("agentd"), "{own}");
        let said = machine.run("bob", &find).ok();
        assert_eq!(said.text(), "");

        let call = format!(
            "AGENTCTL_NO_AUTOSTART=1 agentctl --socket {} ls",
            socket(kind)
        );
        assert_eq!(machine.run(service.user(), &call).code, 0);
        let refused = machine.run("bob", &call);
        assert_eq!(refused.code, 7, "{refused:?}");
        assert!(refused.stderr.contains("permission denied"), "{refused:?}");
        let state = match kind {
            Kind::User => "/home/ann/.local/state/agentd",
            Kind::System => "/var/lib/agentd",
        };
        assert_ne!(machine.run("bob", &format!("ls {state}")).code, 0);
        let cancel = "pkill agentd; kill $(pgrep agentd)";
        assert_ne!(machine.run("bob", cancel).code, 0);
        assert_eq!(service.status()["running"], 4);
    }
}

#[test]
fn an_agent_cannot_cancel_another_task_or_stop_the_daemon() {
    for kind in KINDS {
        let service = Service::enabled(kind);
        let tasks = service.three_agents();
        let pid = service.property("MainPID");
        for try_it in [
            "agentctl cancel 1",
            "agentctl shutdown",
            "agentctl shutdown --cancel-all",
            "setsid -w agentctl shutdown --cancel-all",
        ] {
            let task = service.submit(try_it);
            service.sh(&format!("agentctl wait {task} || :"));
            let said = service.sh(&format!("agentctl logs {task} 2>&1 || :"));
            assert!(said.contains("agents_may_control"), "{try_it}: {said}");
            assert_eq!(service.property("MainPID"), pid, "{try_it}: {said}");
            assert_eq!(service.state(tasks[0]), "running", "{try_it}: {said}");
        }
        service.finish(&tasks);
    }
}
