//! The daemon is started if there is none.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use agentd_proto::v1::State;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    canned::{Daemon, Script, task},
    ran, tasks, told,
};

/// A copy of the program with a program `agentd` beside it, and an environment
/// in which nothing else is found.
fn with_neighbour(dir: &Path, agentd: &str) -> Command {
    use std::os::unix::fs::PermissionsExt as _;
    let own = dir.join("agentctl");
    fs::copy(env!("CARGO_BIN_EXE_agentctl"), &own).unwrap();
    let neighbour = dir.join("agentd");
    fs::write(&neighbour, agentd).unwrap();
    fs::set_permissions(&neighbour, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(own);
    command
        .env_clear()
        .env("HOME", dir)
        .env("XDG_RUNTIME_DIR", dir.join("run"))
        .args(["submit", "do it"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_daemon_that_dies_at_its_start_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = with_neighbour(
        dir.path(),
        "#!/bin/sh\necho 'the store is locked' >&2\nexit 4\n",
    );
    let (code, out, err) = ran(&mut command);
    assert_eq!((code, out.as_str()), (6, ""), "{err}");
    assert!(
        err.contains("(exit status: 4): the store is locked\n"),
        "{err}"
    );

    let (code, _, err) = ran(command.env("AGENTCTL_NO_AUTOSTART", "1"));
    assert_eq!(code, 6);
    assert!(
        err.contains("there is no socket") && !err.contains("started"),
        "{err}"
    );

    let units = dir.path().join(".config/systemd/user");
    fs::create_dir_all(&units).unwrap();
    fs::write(units.join("agentd.service"), "").unwrap();
    let (code, _, err) = ran(command.env_remove("AGENTCTL_NO_AUTOSTART"));
    assert_eq!(code, 6);
    assert!(
        err.ends_with("hint: systemctl --user start agentd\n"),
        "{err}"
    );
}

#[test]
fn a_daemon_is_started_if_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    // Stands for a daemon that takes its time until it listens.
    let mut command = with_neighbour(dir.path(), "#!/bin/sh\nexec /bin/sleep 60\n");
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    let pid: i32 = said
        .strip_prefix("started agentd (pid ")
        .and_then(|rest| rest.split_once(')'))
        .and_then(|(pid, _)| pid.parse().ok())
        .unwrap_or_else(|| panic!("{said}"));
    let runtime = dir.path().join("run/agentd");
    fs::create_dir_all(&runtime).unwrap();
    let _daemon = Daemon::start(
        &runtime.join("agentd.sock"),
        Script {
            tasks: tasks(vec![task(42, State::Queued, None)]),
            ..Script::default()
        },
    );
    let (code, out, _) = told(child.wait_with_output().unwrap());
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    assert_eq!((code, out.as_str()), (0, "42\n"));
}
