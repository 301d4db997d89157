//! The Debian package, on a machine that has never seen agentd: installed, used,
//! upgraded under agents that run, removed and purged.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use agentd_tests::{Output, command, machine::Machine, program, wait_for};
use tempfile::TempDir;

/// The packages: of the programs under test, and the same as a later version.
struct Packages {
    _dir: TempDir,
    first: PathBuf,
    second: PathBuf,
}

/// Made once for all tests.
fn packages() -> &'static Packages {
    static PACKAGES: OnceLock<Packages> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let programs = program("agentd").parent().unwrap().to_owned();
        let profile = match programs.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut build = command(&root.join("packaging/build-deb"), dir.path());
        // Where cargo and what it has are; without these it asks who the user is.
        let own = |name: &str| matches!(name, "HOME" | "CARGO_HOME" | "RUSTUP_HOME");
        build
            .env_remove("HOME")
            .env("CARGO_TARGET_DIR", programs.parent().unwrap())
            .envs(env::vars().filter(|(name, _)| own(name)))
            .args(["--no-build", "--fast", "--version", "0.1.0-1", "--profile", profile])
            .arg("--output")
            .arg(dir.path());
        let built = build.output().unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "cargo-deb is needed: {said}");
        let made = String::from_utf8(built.stdout).unwrap();
        let first = PathBuf::from(made.trim());
        let second = dir.path().join("agentd_0.1.1-1.deb");
        let again = "dpkg-deb -R \"$1\" \"$3\" && sed -i 's/^Version: .*/Version: 0.1.1-1/' \"$3/DEBIAN/control\" &&
            dpkg-deb -Znone --root-owner-group -b \"$3\" \"$2\"";
        let mut repack = command(Path::new("sh"), dir.path());
        repack
            .args(["-c", again, "sh"])
            .args([&first, &second, &dir.path().join("tree")]);
        let repacked = repack.output().unwrap();
        assert!(repacked.status.success(), "{repacked:?}");
        Packages {
            _dir: dir,
            first,
            second,
        }
    })
}

/// Installs or upgrades; what dpkg and the package's scripts say.
#[track_caller]
fn install(machine: &Machine, package: &Path) -> Output {
    machine.copy_in(package, "/root/agentd.deb");
    machine
        .run("root", "dpkg -i agentd.deb && rm agentd.deb")
        .ok()
}

/// A machine with a user, on which packages may restart services: an image for
/// containers forbids it.
fn bare() -> Machine {
    let machine = Machine::boot();
    machine.add_user("ann");
    drop(machine.run("root", "rm -f /usr/sbin/policy-rc.d").ok());
    machine
}

/// A machine on which it was just installed.
fn installed() -> Machine {
    let packages = packages();
    let machine = bare();
    drop(install(&machine, &packages.first));
    machine
}

/// Has a child that ignores what it is told, and notes its start.
const AGENT: &str =
    "trap \"\" TERM HUP; sleep 1000 & echo start >>~/starts; until [ -e ~/go ]; do sleep 0.1; done";

/// How many agents run in each case.
const AGENTS: usize = 3;

/// Slots for all of them, for everybody.
fn configure(machine: &Machine) {
    let config = "[daemon]\nmax_running = 4\n";
    for place in ["/etc/agentd", "/home/ann/.config/agentd"] {
        machine.write(&format!("{place}/config.toml"), config, 0o644);
    }
    drop(machine.run("root", "chown -R ann: /home/ann/.config").ok());
}

/// Hands three tasks over and waits until all of them run.
#[track_caller]
fn at_work(machine: &Machine, user: &str) {
    for _ in 0..AGENTS {
        drop(
            machine
                .run(
                    user,
                    &format!("agentctl submit -q --memory 1GiB --pids 500 -- sh -c '{AGENT}'"),
                )
                .ok(),
        );
    }
    let all = format!("[ $(wc -l <~/starts) = {AGENTS} ]");
    machine.until("all agents have begun", user, &all);
}

/// The processes of agents and their runners, of everybody; quoted so that the
/// script does not find itself. A child that a shell has just made still has the
/// shell's line, and is none of them yet.
fn processes(machine: &Machine) -> BTreeSet<String> {
    let script = "line() { tr '\\0' ' ' <$1/cmdline; }
    for p in /proc/[0-9]*; do
        line=$(line $p)
        case $line in
            *'agentd run'ner* | 'sleep 1000 ') echo ${p#/proc/} ;;
            *'echo st'art*)
                parent=$(sed -n 's/^PPid:[[:space:]]*//p' $p/status)
                [ \"$(line /proc/$parent)\" = \"$line\" ] || echo ${p#/proc/} ;;
        esac
    done 2>/dev/null";
    let said = machine.run("root", script);
    said.text().lines().map(str::to_owned).collect()
}

fn pid(machine: &Machine, user: &str) -> String {
    let shown = machine.run(user, "agentctl status -o json").ok();
    shown.json()["pid"].to_string()
}

#[test]
fn what_was_installed_is_switched_on_by_its_users_and_not_before() {
    let machine = installed();
    let states = "systemctl is-enabled agentd.socket agentd.service;
        systemctl is-active agentd.socket agentd.service";
    for (user, systemctl) in [("root", "systemctl"), ("ann", "systemctl --user")] {
        let said = machine.run(user, &states.replace("systemctl", systemctl));
        assert_eq!(
            said.text(),
            "disabled\ndisabled\ninactive\ninactive\n",
            "{said:?}"
        );
    }
    // Nor does agentctl start a daemon where a service manager is to do it.
    let refused = machine.run("ann", "agentctl run -- true");
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(
        refused.stderr.contains("hint: agentctl service install"),
        "{refused:?}"
    );

    drop(
        machine
            .run("ann", "systemctl --user enable --now agentd.socket")
            .ok(),
    );
    let ran = machine.run("ann", "agentctl run -- echo hello").ok();
    assert_eq!(ran.text(), "hello\n");
    let group = machine.run(
        "ann",
        "cat /proc/$(agentctl status -o json | sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')/cgroup",
    );
    assert!(group.text().contains("/agentd.service"), "{group:?}");

    drop(
        machine
            .run("root", "systemctl enable --now agentd.socket")
            .ok(),
    );
    let ran = machine.run("agentd", "agentctl run -- id -un").ok();
    assert_eq!(ran.text(), "agentd\n");
    // Its home is there, for the logins of its agents.
    let home = machine.run("agentd", "stat -c '%U %a' ~").ok();
    assert_eq!(home.text(), "agentd 700\n");

    // The package's units are enough; only the PATH is added, and goes again.
    let own = "find ~/.config/systemd -type f";
    let done = machine.run("ann", "agentctl service install").ok();
    assert!(
        done.text()
            .contains("units:    those of /usr/lib/systemd/user/agentd.service\n"),
        "{done:?}"
    );
    let drop_in = machine.run("ann", own).ok();
    assert_eq!(
        drop_in.text(),
        "/home/ann/.config/systemd/user/agentd.service.d/10-shell.conf\n"
    );
    let view = machine
        .run("ann", "agentctl service status -o json")
        .ok()
        .json();
    assert_eq!(
        (&view["installed"], &view["enabled"]),
        (&"package".into(), &true.into())
    );
    let gone = machine.run("ann", "agentctl service uninstall").ok();
    assert!(gone.stderr.contains("its package stays"), "{gone:?}");
    assert_eq!(machine.run("ann", own).text(), "");

    let docs = "man -w agentctl-run agentd && ls /usr/share/doc/agentd/examples/config.toml \
        /usr/share/bash-completion/completions/agentctl /usr/share/zsh/vendor-completions/_agentctl \
        /usr/share/fish/vendor_completions.d/agentctl.fish && agentd check-config \
        --config /usr/share/doc/agentd/examples/config.toml";
    drop(machine.run("root", docs).ok());
}

/// The daemons of the machine and of ann, each with its agents.
fn both_at_work(machine: &Machine) {
    let enable = "enable --now agentd.socket agentd.service";
    drop(machine.run("root", &format!("systemctl {enable}")).ok());
    drop(
        machine
            .run("ann", &format!("systemctl --user {enable}"))
            .ok(),
    );
    for user in ["ann", "agentd"] {
        at_work(machine, user);
    }
}

#[test]
fn an_upgrade_restarts_daemons_and_ends_no_agent() {
    let machine = installed();
    configure(&machine);
    both_at_work(&machine);
    // Of two daemons, each agent with its runner and its child.
    let before = wait_for("all of them are there", || {
        Some(processes(&machine)).filter(|found| found.len() == 6 * AGENTS)
    });
    let pids = ["ann", "agentd"].map(|user| pid(&machine, user));
    let said = install(&machine, &packages().second);
    assert_eq!(said.stderr, "", "{said:?}");
    for (user, old) in ["ann", "agentd"].iter().zip(pids) {
        assert_ne!(pid(&machine, user), old, "{user}'s daemon is a new one");
    }
    assert_eq!(processes(&machine), before);
    for user in ["ann", "agentd"] {
        drop(machine.run(user, "touch ~/go; agentctl wait 1 2 3").ok());
        let starts = machine.run(user, "wc -l <~/starts").ok();
        assert_eq!(
            starts.text().trim(),
            AGENTS.to_string(),
            "none was run twice"
        );
        let attempts = machine.run(user, "agentctl ls -o json").ok().json();
        for task in attempts["tasks"].as_array().unwrap() {
            assert_eq!(
                (&task["attempt_count"], &task["state"]),
                (&1.into(), &"succeeded".into())
            );
        }
    }
}

/// All files where a package may put some, but those of the package manager and of
/// the log.
fn files(machine: &Machine) -> BTreeSet<String> {
    let script = "find /bin /boot /etc /lib* /opt /sbin /srv /usr /var -xdev \\( -path /var/tmp \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/systemd \\) \
        -prune -o -print; find /run -path '*agentd*' -not -path '/run/user/*'";
    let said = machine.run("root", script).ok();
    said.text().lines().map(str::to_owned).collect()
}

#[test]
fn a_removal_ends_everything_and_a_purge_leaves_nothing() {
    let packages = packages();
    let machine = bare();
    let before = files(&machine);
    drop(install(&machine, &packages.first));
    configure(&machine);
    both_at_work(&machine);
    drop(machine.run("root", "dpkg -r agentd").ok());
    assert_eq!(processes(&machine), BTreeSet::new());
    let left = machine.run("root", "ls -l /proc/[0-9]*/exe 2>/dev/null | grep agentd");
    assert_eq!(left.text(), "");
    for (user, systemctl) in [("root", "systemctl"), ("ann", "systemctl --user")] {
        let units = machine.run(user, &format!("{systemctl} list-units --all --no-legend 'agentd*'; {systemctl} list-unit-files --no-legend 'agentd*'"));
        // What was enabled is remembered for the next installation.
        let there = |line: &&str| !line.contains("not-found") && !line.contains("disabled");
        let active: Vec<_> = units.text().lines().filter(there).collect();
        assert!(active.is_empty(), "{user}: {units:?}");
    }
    // State and user stay, and are found again: what was ended is tried again.
    drop(install(&machine, &packages.second));
    drop(machine.run("root", "systemctl start agentd.socket").ok());
    drop(
        machine
            .run("agentd", "touch ~/go; agentctl wait 1 2 3")
            .ok(),
    );
    let shown = machine.run("agentd", "agentctl ls -o json").ok().json();
    for task in shown["tasks"].as_array().unwrap() {
        assert_eq!(
            (&task["attempt_count"], &task["state"]),
            (&2.into(), &"succeeded".into())
        );
    }

    let edit = "mkdir -p /etc/systemd/system/agentd.service.d &&
        printf '[Service]\\nNice=1\\n' >/etc/systemd/system/agentd.service.d/override.conf &&
        cp /usr/lib/systemd/system/agentd-agents.service /etc/systemd/system/ &&
        systemctl set-property agentd.slice CPUWeight=50 &&
        systemctl --global mask agentd.socket";
    drop(machine.run("root", edit).ok());
    let purged = machine.run("root", "dpkg -P agentd").ok();
    assert_eq!(purged.stderr, "", "{purged:?}");
    assert_eq!(processes(&machine), BTreeSet::new());
    let after = files(&machine);
    let left: Vec<_> = after.difference(&before).collect();
    assert!(left.is_empty(), "{left:?}");
    let gone: Vec<_> = before.difference(&after).collect();
    assert!(gone.is_empty(), "{gone:?}");
    let known = machine.run("root", "getent passwd agentd; getent group agentd; systemctl list-units --all --no-legend 'agentd*'; dpkg -l agentd 2>/dev/null | grep '^.[^n]  *agentd'");
    assert_eq!(known.text(), "");
    // What users keep is theirs.
    drop(
        machine
            .run("ann", "test -e ~/.local/state/agentd/agentd.redb")
            .ok(),
    );
}
