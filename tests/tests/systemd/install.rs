//! `agentctl service` for a user who has built agentd.

use agentd_tests::{Output, machine::Machine, program};
use serde_json::Value;

/// A machine with a user who has both programs in a directory of their own, and
/// an agent's in another that only a shell knows.
fn machine() -> Machine {
    let machine = Machine::boot();
    machine.add_user("ann");
    for name in ["agentd", "agentctl"] {
        machine.copy_in(&program(name), &format!("/home/ann/my bin/{name}"));
    }
    let version = "#!/bin/sh\necho 99.0.0\n";
    machine.write("/home/ann/tools 100%/claude", version, 0o755);
    drop(machine.run("root", "chown -R ann: /home/ann").ok());
    machine
}

/// In a shell of the user's.
#[track_caller]
fn shell(machine: &Machine, script: &str) -> Output {
    let path = "PATH=\"$HOME/my bin:$HOME/tools 100%:/no/such/place:$PATH\"";
    machine.run("ann", &format!("{path}\n{script}"))
}

#[track_caller]
fn status(machine: &Machine) -> Value {
    let said = shell(machine, "agentctl service status -o json");
    let view: Value = serde_json::from_slice(&said.stdout).unwrap();
    let troubles = view["troubles"].as_array().unwrap();
    let wrong = troubles.iter().any(|trouble| trouble["severity"] != "note");
    assert_eq!(said.code, i32::from(wrong), "{view:#}");
    view
}

const UNITS: &str = "/home/ann/.config/systemd/user";

#[test]
fn a_service_is_installed_looked_at_and_uninstalled() {
    let machine = machine();
    let home = "find ~/.config | sort";
    let before = machine.run("ann", home);
    assert_eq!(status(&machine)["installed"], "no");

    // One that agentctl has started, with an agent that is to go on.
    let agent = "echo start >>~/starts; until [ -e ~/go ]; do sleep 0.1; done; echo done";
    let begun = shell(&machine, &format!("agentctl submit -q -- sh -c '{agent}'")).ok();
    assert!(
        begun.stderr.starts_with("started agentd (pid "),
        "{begun:?}"
    );
    machine.until("the agent has begun", "ann", "[ -e ~/starts ]");

    let dry = shell(&machine, "agentctl service install --dry-run").ok();
    assert!(
        dry.text()
            .contains(&format!("would write {UNITS}/agentd.service\n")),
        "{dry:?}"
    );
    assert_eq!(machine.run("ann", home).text(), before.text());

    let done = shell(&machine, "agentctl service install").ok();
    assert!(
        done.text()
            .contains("claude:   /home/ann/tools 100%/claude\n"),
        "{done:?}"
    );
    assert!(
        done.text().contains("codex:    not on this shell's PATH\n"),
        "{done:?}"
    );
    assert!(done.stderr.contains("its agent goes on"), "{done:?}");
    assert!(
        done.stderr
            .contains("left out of PATH, since they are not there: /no/such/place"),
        "{done:?}"
    );
    let view = status(&machine);
    assert_eq!(view["troubles"], serde_json::json!([]), "{view:#}");
    assert_eq!(
        (&view["installed"], &view["state"]),
        (&"own".into(), &"active".into())
    );
    assert_eq!(
        (&view["enabled"], &view["lingers"]),
        (&true.into(), &true.into())
    );
    assert_eq!(view["program"], "\"/home/ann/my bin/agentd\"");
    // The service finds what the shell finds.
    let agents = shell(&machine, "agentctl agents -o json").ok().json();
    let mut agents = agents["agents"].as_array().unwrap().iter();
    let claude = agents.find(|agent| agent["name"] == "claude").unwrap();
    assert_eq!(
        claude["program"], "/home/ann/tools 100%/claude",
        "{claude:#}"
    );

    // Its other program, too, is the one that was built.
    drop(machine.run("ann", "systemctl --user reload agentd").ok());

    // Once more: nothing is done, nobody is disturbed.
    let again = shell(&machine, "agentctl service install").ok();
    assert!(
        again.stderr.contains("agentd runs as your service already"),
        "{again:?}"
    );
    assert_eq!(status(&machine)["pid"], view["pid"]);
    // From a shell with another PATH: the daemon is another, the agent the same.
    let moved = machine
        .run(
            "ann",
            "PATH=/usr/bin:/bin '/home/ann/my bin/agentctl' service install",
        )
        .ok();
    assert!(moved.stderr.contains("agentd was restarted"), "{moved:?}");
    let changed = status(&machine);
    assert_ne!(changed["pid"], view["pid"]);
    assert_eq!(changed["path"], "/usr/bin:/bin");
    assert_eq!(
        changed["troubles"][0]["fix"], "agentctl service install",
        "{changed:#}"
    );

    let gone = shell(&machine, "agentctl service uninstall").ok();
    assert!(
        gone.stderr
            .contains("1 agent goes on: the next agentctl run takes it over"),
        "{gone:?}"
    );
    assert_eq!(
        machine
            .run("ann", &format!("find {UNITS} -type f -o -type l"))
            .text(),
        ""
    );
    let units = machine.run(
        "ann",
        "systemctl --user is-active agentd.socket agentd.service",
    );
    assert_eq!(units.text(), "inactive\ninactive\n");
    let units = machine.run(
        "ann",
        "systemctl --user list-units --all --no-legend --plain 'agentd*'",
    );
    let mut known = units
        .text()
        .lines()
        .filter(|line| !line.contains(" inactive "));
    // The slice is there for as long as agents are in it.
    let slice = known.next().unwrap();
    assert!(slice.starts_with("agentd.slice "), "{units:?}");
    assert_eq!(known.next(), None, "{units:?}");
    drop(
        shell(
            &machine,
            "touch ~/go; agentctl run -- true; agentctl wait 1",
        )
        .ok(),
    );
    let starts = machine.run("ann", "wc -l <~/starts").ok();
    assert_eq!(
        starts.text().trim(),
        "1",
        "it was run once, under four daemons"
    );
    drop(shell(&machine, "agentctl shutdown").ok());
}

#[test]
fn what_agents_do_after_the_service_is_gone_can_be_ended() {
    let machine = machine();
    drop(shell(&machine, "agentctl service install").ok());
    drop(
        shell(
            &machine,
            "agentctl submit -q -- sh -c 'echo $$ >~/agent; exec sleep 1000'",
        )
        .ok(),
    );
    machine.until("the agent has begun", "ann", "[ -s ~/agent ]");
    let gone = shell(&machine, "agentctl service uninstall").ok();
    let (_, end) = gone.stderr.split_once("takes it over; ").unwrap();
    let (end, _) = end.split_once(" ends it").unwrap();
    drop(machine.run("ann", "kill -0 $(cat ~/agent)").ok());
    drop(machine.run("ann", end).ok());
    machine.until("the agent is gone", "ann", "! kill -0 $(cat ~/agent)");
}

#[test]
fn what_somebody_else_has_written_stays() {
    let machine = machine();
    let unit = format!("{UNITS}/agentd.service");
    let own = "[Service]\nExecStart=/bin/sleep 1000\n";
    machine.write(&unit, own, 0o644);
    drop(machine.run("root", "chown -R ann: /home/ann/.config").ok());
    let refused = shell(&machine, "agentctl service install");
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains(&format!("{unit} was not written by agentctl")),
        "{refused:?}"
    );
    drop(
        shell(
            &machine,
            "systemctl --user start agentd.service; agentctl service uninstall",
        )
        .ok(),
    );
    assert_eq!(machine.run("ann", &format!("cat {unit}")).text(), own);
    drop(
        machine
            .run("ann", "systemctl --user is-active agentd.service")
            .ok(),
    );
    assert_eq!(status(&machine)["installed"], "foreign");

    drop(
        shell(
            &machine,
            "systemctl --user stop agentd.service; agentctl service install --force",
        )
        .ok(),
    );
    assert_eq!(status(&machine)["installed"], "own");
    drop(machine.run("ann", &format!("echo '# mine' >>{unit}")).ok());
    assert_eq!(status(&machine)["installed"], "edited");
    for verb in ["install", "uninstall"] {
        let refused = shell(&machine, &format!("agentctl service {verb}"));
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(
            refused
                .stderr
                .contains("was changed since agentctl wrote it"),
            "{refused:?}"
        );
    }
    drop(shell(&machine, "agentctl service uninstall --force").ok());
    assert_eq!(status(&machine)["installed"], "no");
}

#[test]
fn a_session_without_a_manager_is_told_what_to_do() {
    let machine = machine();
    for (script, says) in [
        (
            "unset XDG_RUNTIME_DIR",
            "export XDG_RUNTIME_DIR=/run/user/$(id -u)",
        ),
        (
            "unset DBUS_SESSION_BUS_ADDRESS; export XDG_RUNTIME_DIR=/nowhere",
            "sudo loginctl enable-linger ann",
        ),
        (
            "PATH=\"$HOME/my bin\"",
            "agentctl run starts agentd without it",
        ),
    ] {
        for verb in ["install", "uninstall"] {
            let refused = shell(&machine, &format!("{script}; agentctl service {verb}"));
            assert_eq!(refused.code, 6, "{refused:?}");
            assert!(refused.stderr.contains(says), "{script}: {refused:?}");
        }
    }
    let left = machine.run("ann", &format!("find {UNITS} -type f"));
    assert_eq!(left.text(), "");
}
