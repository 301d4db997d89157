//! Each attempt in a scope of its own, where the service manager makes them.

use agentd_tests::{machine::Machine, wait_for, wait_until};
use serde_json::Value;

use crate::service::{Kind, Service};

/// One whose starts can be counted.
const AGENT: &str = "echo begun >>~/starts; until test -e ~/go; do sleep 0.05; done";
/// One that takes an end for success if it hears of it.
pub(super) const CONTENT: &str = "trap 'exit 0' TERM INT WINCH; echo $$ >>~/pids;
                       while :; do sleep 0.05; done";

/// A machine with a user, under whose manager a daemon runs.
fn machine() -> Machine {
    let machine = Machine::boot();
    machine.install();
    begin(&machine);
    machine
}

/// Has a user's manager start what is installed.
pub(super) fn begin(machine: &Machine) {
    machine.add_user("ann");
    let begin = "mkdir -p ~/.config/agentd && cd ~/.config/agentd &&
                 echo '[daemon]\nmax_running = 8\n[defaults]\nkill_grace = \"2s\"' >config.toml &&
                 systemctl --user daemon-reload &&
                 systemctl --user enable --now agentd.socket agentd.service";
    drop(machine.run("ann", begin).ok());
}

pub(super) fn submit(machine: &Machine, options: &str, script: &str) -> u64 {
    let call = format!("agentctl submit -q {options} -- sh -c \"$(cat <<'end'\n{script}\nend\n)\"");
    let said = machine.run("ann", &call).ok();
    said.text().trim().parse().expect("a number")
}

pub(super) fn show(machine: &Machine, task: u64) -> Value {
    let call = format!("agentctl show {task} -o json");
    machine.run("ann", &call).json()
}

pub(super) fn wait_state(machine: &Machine, task: u64, state: &str) -> Value {
    wait_for(&format!("task {task} is {state}"), || {
        Some(show(machine, task)).filter(|task| task["state"] == state)
    })
}

/// The scopes that the user's manager has loaded, with what it shows of them.
fn scopes(machine: &Machine) -> Vec<String> {
    let list = "systemctl --user list-units --all --plain --no-legend 'agentd-*.scope'";
    let said = machine.run("ann", list).ok();
    said.text().lines().map(str::to_owned).collect()
}

#[track_caller]
pub(super) fn no_scope_is_left(machine: &Machine) {
    wait_until("no scope is left", || scopes(machine).is_empty());
}

fn property(machine: &Machine, task: u64, name: &str) -> String {
    let call = format!("systemctl --user show -P {name} 'agentd-*-{task}.1.scope'");
    machine.run("ann", &call).ok().text().trim().to_owned()
}

fn group(machine: &Machine, pid: &str) -> String {
    let call = format!("grep ^0:: /proc/{pid}/cgroup");
    machine.run("ann", &call).ok().text().trim().to_owned()
}

fn pid(task: &Value, of: &str) -> String {
    let pid = task["attempt"][format!("{of}_pid")].as_u64();
    pid.unwrap_or_else(|| panic!("{of}: {task}")).to_string()
}

#[test]
fn agents_are_adopted_in_their_scopes_and_keep_their_limits() {
    let machine = machine();
    let limits = "--memory 64MiB --pids 50";
    let tasks: Vec<u64> = (0..3).map(|_| submit(&machine, limits, AGENT)).collect();
    for task in &tasks {
        let shown = wait_state(&machine, *task, "running");
        let agents = group(&machine, &pid(&shown, "agent"));
        let scope = format!("-{task}.1.scope/");
        assert!(agents.contains("/agentd.slice/agentd-"), "{agents}");
        assert!(agents.contains(&scope), "{agents}");
        let runners = group(&machine, &pid(&shown, "runner"));
        assert!(runners.ends_with(&format!("{scope}runner")), "{runners}");
    }
    assert_eq!(scopes(&machine).len(), 3);
    let told = machine.run("ann", "agentctl doctor").text().to_owned();
    assert!(
        told.contains("attempts have scopes in agentd.slice"),
        "{told}"
    );
    let check = || {
        for task in &tasks {
            let of = |name| property(&machine, *task, name);
            assert_eq!(of("Description"), format!("shell: task {task}, attempt 1"));
            assert_eq!(of("MemoryMax"), ((64_u64 + 64) << 20).to_string());
            assert_eq!(of("TasksMax"), "66");
            assert_eq!(of("ActiveState"), "active");
        }
    };
    check();
    drop(machine.run("ann", "systemctl --user restart agentd").ok());
    machine.until(
        "they are adopted",
        "ann",
        "agentctl status | grep -q '3 running'",
    );
    check();
    let main = "systemctl --user show -P MainPID agentd";
    let before = machine.run("ann", main).ok().text().to_owned();
    drop(machine.run("ann", &format!("kill -9 {before}")).ok());
    machine.until(
        "there is another",
        "ann",
        &format!(
            "pid=$({main}) && test $pid != 0 && test $pid != {}",
            before.trim()
        ),
    );
    check();
    drop(machine.run("ann", "touch ~/go").ok());
    for task in &tasks {
        let ended = wait_state(&machine, *task, "succeeded");
        assert_eq!(ended["attempt_count"], 1, "{ended}");
    }
    let starts = machine.run("ann", "cat ~/starts").ok().text().to_owned();
    assert_eq!(starts.lines().count(), 3, "each was started once");
    no_scope_is_left(&machine);
}

#[test]
fn nothing_outlives_a_killed_runner_and_its_scope_goes() {
    let machine = machine();
    let script = "setsid sh -c 'echo $$ >>~/pids; trap \"\" TERM; while :; do sleep 0.05; done' &
                  echo $$ >>~/pids; wait";
    let task = submit(&machine, "--max-attempts 1", script);
    let shown = wait_state(&machine, task, "running");
    machine.until("both are there", "ann", "test $(wc -l <~/pids) = 2");
    let call = format!("kill -9 {}", pid(&shown, "runner"));
    drop(machine.run("ann", &call).ok());
    let ended = wait_state(&machine, task, "interrupted");
    assert_eq!(ended["failure_reason"], "runner_lost", "{ended}");
    let left = machine.run("ann", "for pid in $(cat ~/pids); do ls -d /proc/$pid; done");
    assert_eq!(left.text(), "", "a process is left");
    no_scope_is_left(&machine);
}

#[test]
fn a_stop_of_the_slice_ends_all_and_is_nobodys_success() {
    let machine = machine();
    // So many that they would look like a mistake, had they died.
    let mut tasks: Vec<u64> = (0..6).map(|_| submit(&machine, "", CONTENT)).collect();
    let stubborn = "trap '' TERM INT WINCH; echo $$ >>~/pids; while :; do sleep 0.05; done";
    tasks.push(submit(&machine, "", stubborn));
    machine.until("all are there", "ann", "test $(wc -l <~/pids) = 7");
    let stop = "systemctl --user stop agentd.socket agentd.slice";
    drop(machine.run("ann", stop).ok());
    let left = machine.run(
        "ann",
        "for pid in $(cat ~/pids); do ls -d /proc/$pid; done; pgrep agentd",
    );
    assert_eq!(left.text(), "", "a process is left");
    assert_eq!(scopes(&machine).len(), 0);
    drop(
        machine
            .run(
                "ann",
                "rm ~/pids; systemctl --user start agentd.socket agentd.service",
            )
            .ok(),
    );
    for task in tasks {
        let shown = wait_for("it is run again", || {
            Some(show(&machine, task)).filter(|task| task["attempt_count"] == 2)
        });
        let told = machine.run("ann", &format!("agentctl explain {task}")).ok();
        let told = told.text();
        assert!(
            told.contains("scope_stopped: the service manager ended it"),
            "{told}"
        );
        let logs = machine.run("ann", &format!("agentctl logs {task}.1")).ok();
        assert!(
            logs.stderr.contains("stopped by the service manager"),
            "{shown} {logs:?}"
        );
    }
}

#[test]
fn a_reboot_is_what_ended_them() {
    let mut machine = machine();
    let task = submit(&machine, "", CONTENT);
    wait_state(&machine, task, "running");
    machine.until("it is there", "ann", "test -s ~/pids");
    machine.reboot();
    machine.until("the daemon is up", "ann", "agentctl status");
    wait_for("it is run again", || {
        Some(show(&machine, task)).filter(|task| task["attempt_count"] == 2)
    });
    let told = machine.run("ann", &format!("agentctl explain {task}")).ok();
    let told = told.text();
    assert!(
        told.contains("host_rebooted: the machine was restarted"),
        "{told}"
    );
}

#[test]
fn without_the_bus_an_attempt_has_a_leaf_and_says_so() {
    let machine = machine();
    drop(
        machine
            .run("ann", "systemctl --user stop dbus.socket dbus.service")
            .ok(),
    );
    let task = submit(&machine, "", "cat /proc/self/cgroup; exit 0");
    wait_state(&machine, task, "succeeded");
    let logs = machine.run("ann", &format!("agentctl logs {task}")).ok();
    assert!(
        logs.stderr
            .contains("no scope for the attempt: the service manager: "),
        "{logs:?}"
    );
    assert!(logs.text().contains("/agentd.service/agentd-"), "{logs:?}");
}

#[test]
fn the_machines_daemon_has_leaves_unless_it_is_roots() {
    let service = Service::enabled(Kind::System);
    let machine = &service.machine;
    let groups = |user: &str| {
        let call = format!(
            "runuser -u {user} -- env AGENTD_SOCKET=/run/agentd/agentd.sock \
             agentctl run -- grep ^0:: /proc/self/cgroup"
        );
        machine.run("root", &call).ok().text().trim().to_owned()
    };
    let leaf = groups("agentd");
    let unit = "0::/agentd.slice/agentd.service/agentd-";
    assert!(leaf.starts_with(unit), "{leaf}");
    let why = service.journal("");
    assert!(why.contains("attempts have no scopes"), "{why}");
    let roots = "[Service]\nUser=root\nGroup=root\nProtectHome=no\n\
                 StateDirectory=\nStateDirectory=agentd-root\n";
    let place = "/etc/systemd/system/agentd.service.d/root.conf";
    machine.write(place, roots, 0o644);
    service.systemctl("daemon-reload");
    service.systemctl("restart agentd.service");
    let scope = groups("root");
    assert!(scope.starts_with("0::/agentd.slice/agentd-"), "{scope}");
    assert!(scope.contains(".scope/agentd-"), "{scope}");
}
