//! Others whom the configuration names, and agents in sandboxes, under systemd: as
//! users who are not root.

use crate::service::{Kind, Service};

const SOCKET: &str = "/run/agentd/agentd.sock";
const CONFIG: &str = "[daemon]\nmax_running = 4\n\
    allow_users = { bob = \"viewer\" }\nallow_groups = { crew = \"operator\" }\n";

/// Calls agentctl as somebody; its exit code and all that it said.
fn call(service: &Service, user: &str, args: &str) -> (i32, String) {
    let line = format!("AGENTCTL_NO_AUTOSTART=1 agentctl --socket {SOCKET} {args}");
    let said = service.machine.run(user, &line);
    (said.code, format!("{}{}", said.text(), said.stderr))
}

#[test]
fn named_users_have_their_roles_on_the_managers_socket() {
    let service = Service::enabled(Kind::System);
    let machine = &service.machine;
    for user in ["bob", "carol", "dora"] {
        machine.add_user(user);
    }
    drop(
        machine
            .run("root", "groupadd crew && usermod -aG crew carol")
            .ok(),
    );
    let task = service.submit("exec sleep 1000");
    machine.write("/etc/agentd/config.toml", CONFIG, 0o644);
    service.sh("agentctl reload");
    // The socket is systemd's, and so is its mode: doctor says what is missing.
    let (code, said) = call(&service, "bob", "ls");
    assert_eq!(code, 7, "{said}");
    let doctor = service.sh("agentctl doctor || :");
    assert!(doctor.contains("SocketMode=0666"), "{doctor}");
    let place = "/etc/systemd/system/agentd.socket.d/test.conf";
    machine.write(place, "[Socket]\nSocketMode=0666\n", 0o644);
    service.systemctl("daemon-reload");
    service.systemctl("stop agentd.service");
    service.systemctl("restart agentd.socket");
    service.systemctl("start agentd.service");

    let (code, said) = call(&service, "bob", "ls");
    assert_eq!(code, 0, "{said}");
    let (code, said) = call(&service, "bob", &format!("cancel {task}"));
    assert!(code == 7 && said.contains("is a viewer here"), "{said}");
    let (code, said) = call(&service, "dora", "ls");
    assert!(code == 7 && said.contains("may not talk"), "{said}");
    // By a group that is not her first.
    let (code, said) = call(&service, "carol", "submit -q -- true");
    assert_eq!(code, 0, "{said}");
    let submitted = said.trim().parse().unwrap();
    assert_eq!(service.show(submitted)["user"], "carol");
    let (code, said) = call(&service, "carol", &format!("cancel {task}"));
    assert_eq!(code, 0, "{said}");
    // Nothing is wrong any more.
    let doctor = service.sh("agentctl doctor");
    assert!(!doctor.contains("SocketMode"), "{doctor}");
}

#[test]
fn an_agent_in_a_sandbox_is_held_without_root_too() {
    let service = Service::enabled(Kind::System);
    let config = "[daemon]\nmax_running = 4\n[agents.boxed]\ntype = \"command\"\nsandbox = true\n";
    service
        .machine
        .write("/etc/agentd/config.toml", config, 0o644);
    service.sh("agentctl reload");
    let victim = service.submit("exec sleep 1000");
    service.machine.until(
        "it runs",
        service.user(),
        "agentctl status -o json | grep -q '\"running\": *1'",
    );
    let runner = service.sh("pgrep -f 'agentd runner' | head -1");
    let daemon = service.property("MainPID");
    let state = "/var/lib/agentd";
    for (what, line, allowed) in [
        ("work", "echo x >file && cat file".to_owned(), true),
        ("temporary", "echo x >$(mktemp)".to_owned(), true),
        ("home", "echo x >~/new".to_owned(), false),
        ("store", format!("head -c 1 {state}/agentd.redb"), false),
        (
            "launch",
            format!("cat {state}/attempts/{victim}.1/launch"),
            false,
        ),
        (
            "environment",
            format!("head -c 1 /proc/{runner}/environ"),
            false,
        ),
        ("memory", format!("head -c 1 /proc/{daemon}/mem"), false),
        ("runner", format!("kill -0 {runner}"), false),
        ("daemon", format!("kill -0 {daemon}"), false),
    ] {
        let call = format!("agentctl submit -q -a boxed -- sh -c '({line}) || exit 9'");
        let task = service.sh(&call).parse().unwrap();
        service.sh(&format!("agentctl wait {task} || :"));
        let shown = service.show(task);
        let code = if allowed { 0 } else { 9 };
        assert_eq!(shown["attempt"]["exit"]["code"], code, "{what}: {shown:#}");
    }
    assert_eq!(service.state(victim), "running");
}
