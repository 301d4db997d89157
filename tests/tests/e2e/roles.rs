//! Who besides the daemon's own user may talk to it, and how much.
//!
//! Only root can be somebody else: run by another user, these look at what that
//! user can see of it.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use agentd_tests::{Output, TestDaemon, like, program, wait_until};
use nix::unistd::{User, geteuid};

/// Users and a group that no machine needs to have.
const VIEWER: u32 = 41_001;
const OPERATOR: u32 = 41_002;
const STRANGER: u32 = 41_003;
const GROUP: u32 = 41_010;

const CONFIG: &str = "[daemon]\nmax_running = 4\ncgroups = false\n";

fn allowing(what: &str) -> String {
    format!("{CONFIG}{what}\n")
}

/// A daemon whose socket others can reach, and an agentctl that they may run.
fn reachable(allowed: &str) -> TestDaemon {
    let daemon = TestDaemon::with(&allowing(allowed));
    // By another process: what is open for writing here, a child that another test
    // starts could hold open for a moment, and then it could not be run.
    let mut copying = agentd_tests::command(Path::new("cp"), &daemon.home());
    copying.arg(program("agentctl")).arg(copy(&daemon));
    assert!(copying.status().unwrap().success());
    for path in ["", "run", "agentctl"] {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(daemon.path(path), mode).unwrap();
    }
    daemon
}

fn copy(daemon: &TestDaemon) -> PathBuf {
    daemon.path("agentctl")
}

fn command(daemon: &TestDaemon, (uid, gid): (u32, u32), args: &[&str]) -> Command {
    let mut command = like(&daemon.agentctl().command(args), &copy(daemon));
    command
        .uid(uid)
        .gid(gid)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn said(daemon: &TestDaemon, who: (u32, u32), args: &[&str]) -> Output {
    Output::wait(command(daemon, who, args).spawn().unwrap())
}

fn everybody() -> String {
    format!(
        "allow_users = {{ {VIEWER} = \"viewer\", {OPERATOR} = \"operator\" }}\n\
         allow_groups = {{ {GROUP} = \"viewer\" }}"
    )
}

#[test]
fn viewers_look_and_operators_do_more() {
    if !geteuid().is_root() {
        return;
    }
    let daemon = reachable(&everybody());
    let other = daemon.sh("echo seen; exec sleep 1000");
    daemon.wait_state(other, "running");
    for who in [(VIEWER, VIEWER), (STRANGER, GROUP)] {
        for look in [
            &["ls", "--all"][..],
            &["show", "1"],
            &["logs", "1"],
            &["explain", "1"],
            &["status"],
            &["agents"],
            &["metrics"],
        ] {
            let _text = said(&daemon, who, look).ok();
        }
        for change in [
            &["submit", "--", "true"][..],
            &["cancel", "1"],
            &["kill", "1"],
            &["pause"],
            &["hold", "1"],
            &["reload"],
            &["shutdown", "--cancel-all"],
            &["prune", "--dry-run"],
        ] {
            let is = format!("uid {} is a viewer here", who.0);
            let hint = format!("{} = \"operator\"", who.0);
            said(&daemon, who, change).refused(7, &[&is, "takes an operator", &hint]);
        }
    }
    for who in [(STRANGER, STRANGER), (GROUP, VIEWER)] {
        let is = format!("uid {} may not talk to this daemon", who.0);
        said(&daemon, who, &["ls"]).refused(7, &[&is, "allow_users"]);
    }
    let operator = (OPERATOR, OPERATOR);
    let _id = said(&daemon, operator, &["submit", "-q", "--", "true"]).ok();
    assert_eq!(daemon.wait(2)["state"], "succeeded");
    assert_eq!(daemon.show(2)["user"], OPERATOR.to_string());
    let _said = said(&daemon, operator, &["cancel", "1"]).ok();
    assert_eq!(daemon.wait(other)["state"], "cancelled");
}

/// Also of who is listening already.
#[test]
fn whoever_is_allowed_no_more_is_told_nothing_more() {
    if !geteuid().is_root() {
        return;
    }
    let daemon = reachable(&everybody());
    let viewer = (VIEWER, VIEWER);
    let log = fs::File::create(daemon.path("watched")).unwrap();
    let watching = command(&daemon, viewer, &["watch", "-o", "json"])
        .stdout(log)
        .spawn()
        .unwrap();
    let watched = || fs::read_to_string(daemon.path("watched")).unwrap();
    // What it hears of is what follows its call.
    let mut first = 0;
    wait_until("it hears of a task", || {
        first = daemon.sh("true");
        daemon.wait(first);
        !watched().is_empty()
    });
    daemon.configure(&allowing(""));
    let _said = daemon.ctl(&["reload"]).ok();
    let secret = daemon.sh("true");
    daemon.wait(secret);
    let end = Output::wait(watching);
    end.refused(7, &["may not talk to this daemon"]);
    let heard = watched();
    assert!(!heard.contains(&format!("\"task\":{secret}")), "{heard}");
    // The socket is shut, too.
    assert_eq!(mode(&daemon, "run/s"), 0o600);
    said(&daemon, viewer, &["ls"]).refused(7, &["permission denied"]);
}

fn mode(daemon: &TestDaemon, path: &str) -> u32 {
    let meta = fs::metadata(daemon.path(path)).unwrap();
    meta.permissions().mode() & 0o777
}

#[test]
fn the_socket_is_open_for_as_long_as_somebody_else_is_allowed() {
    let mut daemon = TestDaemon::with(&allowing(&everybody()));
    assert_eq!(mode(&daemon, "run/s"), 0o666);
    // The directory was named: whose it is for is not the daemon's to say.
    assert_eq!(mode(&daemon, "run"), 0o700);
    let doctor = daemon.ctl(&["doctor", "-o", "json"]);
    assert!(
        doctor.text().contains("cannot reach its socket"),
        "{doctor:?}"
    );
    daemon.configure(&allowing(""));
    let said = daemon.ctl(&["reload"]).ok();
    assert!(said.stderr.contains("daemon.allow_users"), "{said:?}");
    assert_eq!(mode(&daemon, "run/s"), 0o600);
    daemon.configure(&allowing(&everybody()));
    let _said = daemon.ctl(&["reload"]).ok();
    assert_eq!(mode(&daemon, "run/s"), 0o666);
    daemon.terminate();
    daemon.configure(&allowing(""));
    daemon.launch();
    assert_eq!(mode(&daemon, "run/s"), 0o600);
}

/// An agent that has become somebody who is an operator is still an agent.
#[test]
fn an_agent_that_changes_its_user_is_an_agent() {
    if !geteuid().is_root() {
        return;
    }
    let daemon = reachable(&everybody());
    let other = daemon.sh("exec sleep 1000");
    daemon.wait_state(other, "running");
    let agentctl = copy(&daemon);
    let agentctl = agentctl.to_str().unwrap();
    let becomes = format!("setpriv --reuid {OPERATOR} --regid {OPERATOR} --clear-groups");
    let agent = daemon.sh(&format!(
        "exec 2>&1; cd /; {becomes} env -u AGENTD_ATTEMPT {agentctl} cancel 1; echo \"code $?\"; \
         {becomes} env -u AGENTD_ATTEMPT setsid -w {agentctl} shutdown; echo \"code $?\"; \
         {becomes} {agentctl} ls >/dev/null; echo \"code $?\""
    ));
    assert_eq!(daemon.wait(agent)["state"], "succeeded");
    let logs = daemon.ctl(&["logs", &agent.to_string()]).ok();
    let text = logs.text();
    let refusal = format!("a process of attempt {agent}.1");
    assert_eq!(text.matches(&refusal).count(), 2, "{text}");
    assert_eq!(text.matches("code 7").count(), 2, "{text}");
    assert_eq!(text.matches("code 0").count(), 1, "it may look: {text}");
    assert_eq!(daemon.state_of(other), "running");
    // A colleague's shell is none.
    let _said = said(&daemon, (OPERATOR, OPERATOR), &["cancel", "1"]).ok();
}

#[test]
fn names_that_nobody_has_are_refused_with_their_place() {
    let daemon = TestDaemon::prepared("");
    let uid = User::from_name("daemon").unwrap().unwrap().uid;
    let twice = format!("allow_users = {{ daemon = \"viewer\", {uid} = \"operator\" }}");
    for (line, says) in [
        (
            "allow_users = { daemom = \"viewer\" }",
            &["config.toml:2:17", "did you mean daemon?"][..],
        ),
        (
            "allow_users = { 7 = \"operater\" }",
            &[
                "config.toml:2:21",
                "daemon.allow_users.7",
                "did you mean operator?",
            ],
        ),
        (
            "allow_groups = [\"a\"]",
            &["config.toml:2:16", "expected a table"],
        ),
        (
            "allow_users = { root = \"viewer\" }",
            &["root may do everything"],
        ),
        (&twice, &["is named twice"]),
    ] {
        daemon.configure(&format!("[daemon]\n{line}\n"));
        let (code, said) = daemon.check_config();
        assert_eq!(code, Some(1), "{line}: {said}");
        for words in says {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}
