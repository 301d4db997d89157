//! Limits where they are enforced: on a machine with all controllers.

use agentd_tests::machine::Vm;
use serde_json::Value;

/// The daemon in a group of its own below its unit's, as `DelegateSubgroup=` has
/// it where systemd knows that.
const SUBGROUP: &str = "[Service]
ExecStart=
ExecStart=/bin/sh -c 'cd /sys/fs/cgroup/agentd.slice/agentd.service && \
    mkdir daemon && echo $$$$ >daemon/cgroup.procs && cd / && exec /usr/bin/agentd'
";

#[test]
fn limits_hold_in_groups_of_a_delegated_unit() {
    let vm = started(SUBGROUP);
    limits_hold(&vm, "agentd", SYSTEM);
}

/// A machine with agentd as its service, of which this changes the unit.
fn started(unit: &str) -> Vm {
    let vm = Vm::boot();
    vm.install();
    let place = "/etc/systemd/system/agentd.service.d/test.conf";
    vm.write(place, unit, 0o644);
    let config = "[daemon]\nmax_running = 4\n";
    vm.write("/etc/agentd/config.toml", config, 0o644);
    let start = "systemctl daemon-reload && systemctl start agentd.socket agentd.service";
    drop(vm.run("root", start).ok());
    vm
}

/// The daemon as root, for whom the manager makes scopes.
const ROOT: &str = "[Service]
User=root
Group=root
ProtectHome=no
StateDirectory=
StateDirectory=agentd-root
";

#[test]
fn limits_hold_in_scopes() {
    let vm = started(ROOT);
    there_are_scopes(&vm, "root");
    limits_hold(&vm, "root", SYSTEM);
    // A user's own manager makes scopes for whom it belongs to.
    let ann = "useradd --create-home --shell /bin/bash ann && loginctl enable-linger ann";
    drop(vm.run("root", ann).ok());
    let up = "systemctl --user is-system-running --wait";
    vm.until("the user has a service manager", "ann", up);
    let start = "systemctl --user start agentd.socket agentd.service";
    drop(vm.run("ann", start).ok());
    there_are_scopes(&vm, "ann");
    limits_hold(&vm, "ann", ("ann", "systemctl --user"));
}

/// A manager that is too slow to answer at the start is asked again before a task
/// is begun.
#[track_caller]
fn there_are_scopes(vm: &Vm, user: &str) {
    let begin = "agentctl run -- true";
    let look = "agentctl doctor | grep 'attempts have scopes in agentd.slice'";
    vm.until("there are scopes", user, &format!("{begin}; {look}"));
}

/// Who may ask the system's manager, and how.
const SYSTEM: (&str, &str) = ("root", "systemctl");

/// With a daemon of this user's that is up, whatever its attempts are held by; how
/// its manager is asked.
fn limits_hold(vm: &Vm, user: &str, (asker, systemctl): (&str, &str)) {
    // Another agent is at work all the time.
    let neighbour = submit(
        vm,
        user,
        "",
        "until [ -e ~/go ]; do sleep 0.2; done; echo done",
    );
    vm.until(
        "it runs",
        user,
        &format!("agentctl show {neighbour} | grep -q running"),
    );

    let greedy = submit(vm, user, "--memory 32MiB", "tail /dev/zero; exit 5");
    let ended = end(vm, user, greedy);
    assert_eq!(ended["failure_reason"], "oom_killed", "{ended}");
    assert_eq!(ended["attempt_count"], 1, "it would only happen again");

    let many = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done; exit 0";
    let ended = end(vm, user, submit(vm, user, "--pids 8", many));
    assert_eq!(ended["state"], "failed", "{ended}");
    let said = logs(vm, user, ended["id"].as_u64().unwrap());
    assert!(said.contains("fork"), "{said}");

    let busy = "timeout 3 sh -c 'while :; do :; done'
        cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/cpu.stat";
    let ended = end(vm, user, submit(vm, user, "--cpu 0.2", busy));
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let said = logs(vm, user, ended["id"].as_u64().unwrap());
    // Counted by the kernel: 20 ms in each of its periods of 100 ms.
    let count = |name| {
        let value = said.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().trim().parse::<u64>().unwrap()
    };
    assert!(count("nr_throttled ") > 0, "{said}");
    let most = (count("nr_periods ") + 1) * 22_000;
    assert!(count("usage_usec ") < most, "{said}");

    // Nobody else was harmed.
    let ask = |what| vm.run(asker, &format!("{systemctl} {what} agentd")).ok();
    assert_eq!(ask("is-active").text(), "active\n");
    assert_eq!(ask("show -P NRestarts").text(), "0\n");
    drop(vm.run(user, "touch ~/go").ok());
    let ended = end(vm, user, neighbour);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(ended["attempt_count"], 1, "{ended}");
}

#[track_caller]
fn submit(vm: &Vm, user: &str, limits: &str, script: &str) -> u64 {
    vm.write("/run/agent", &format!("{script}\n"), 0o644);
    let call = format!("agentctl submit -q {limits} -- sh -c \"$(cat /run/agent)\"");
    vm.run(user, &call).id()
}

#[track_caller]
fn end(vm: &Vm, user: &str, task: u64) -> Value {
    drop(vm.run(user, &format!("agentctl wait --timeout 2m {task}")));
    vm.run(user, &format!("agentctl show {task} -o json"))
        .json()
}

#[track_caller]
fn logs(vm: &Vm, user: &str, task: u64) -> String {
    let said = vm.run(user, &format!("agentctl logs {task} 2>&1")).ok();
    said.text().to_owned()
}
