//! The daemon is started if there is none.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use agentd_proto::{endpoint::SYSTEM_SOCKET, v1::State};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use tempfile::TempDir;

use super::{
    canned::{Daemon, Script, task},
    ran, tasks, told,
};

/// A place with the program and, beside it, one of the fixtures as `agentd`,
/// and an environment in which nothing else is found.
///
/// Both are links: a file that was just written may not be executed while some
/// other test's child still holds it open.
struct Place {
    /// Beside the real program, where a hard link to it can be made.
    programs: TempDir,
    home: TempDir,
}

impl Place {
    /// Nothing on a machine that has a daemon installed: that one would be
    /// asked.
    fn new(fixture: &str) -> Option<Self> {
        let installed = [
            SYSTEM_SOCKET,
            "/etc/systemd/user/agentd.service",
            "/usr/lib/systemd/user/agentd.service",
        ];
        if installed.iter().any(|path| Path::new(path).exists()) {
            return None;
        }
        let programs = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let own = programs.path().join("agentctl");
        fs::hard_link(env!("CARGO_BIN_EXE_agentctl"), own).unwrap();
        let agentd = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(fixture)
            .join("agentd");
        symlink(agentd, programs.path().join("agentd")).unwrap();
        let home = tempfile::tempdir().unwrap();
        Some(Self { programs, home })
    }

    /// The user's socket; its directory is there.
    fn socket(&self) -> PathBuf {
        let runtime = self.home.path().join("run/agentd");
        fs::create_dir_all(&runtime).unwrap();
        runtime.join("agentd.sock")
    }

    fn submit(&self) -> Command {
        let mut command = Command::new(self.programs.path().join("agentctl"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("XDG_RUNTIME_DIR", self.home.path().join("run"))
            .args(["submit", "do it"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

#[test]
fn a_daemon_that_dies_at_its_start_is_quoted() {
    let Some(place) = Place::new("dies") else {
        return;
    };
    let mut command = place.submit();
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

    let units = place.home.path().join(".config/systemd/user");
    fs::create_dir_all(&units).unwrap();
    fs::write(units.join("agentd.service"), "").unwrap();
    let (code, _, err) = ran(command.env_remove("AGENTCTL_NO_AUTOSTART"));
    assert_eq!(code, 6);
    assert!(
        err.ends_with("hint: systemctl --user start agentd\n"),
        "{err}"
    );
}

/// Reads the pid of the daemon that the call says it has started.
fn started(child: &mut Child) -> Pid {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    let pid = said
        .strip_prefix("started agentd (pid ")
        .and_then(|rest| rest.split_once(')'))
        .and_then(|(pid, _)| pid.parse().ok());
    Pid::from_raw(pid.unwrap_or_else(|| panic!("{said}")))
}

fn queued() -> Script {
    Script {
        tasks: tasks(vec![task(42, State::Queued, None)]),
        ..Script::default()
    }
}

#[test]
fn a_daemon_is_started_if_there_is_none() {
    let Some(place) = Place::new("waits") else {
        return;
    };
    let mut child = place.submit().spawn().unwrap();
    let pid = started(&mut child);
    let _daemon = Daemon::start(&place.socket(), queued());
    let (code, out, _) = told(child.wait_with_output().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    assert_eq!((code, out.as_str()), (0, "42\n"));
}

/// It was there, took the question and died of it or of something else.
#[test]
fn a_daemon_that_went_away_over_the_question_is_started_again() {
    let Some(place) = Place::new("waits") else {
        return;
    };
    let dying = UnixListener::bind(place.socket()).unwrap();
    let mut child = place.submit().spawn().unwrap();
    let (mut question, _) = dying.accept().unwrap();
    question.read_exact(&mut [0; 24]).unwrap();
    drop((question, dying));
    let pid = started(&mut child);
    fs::remove_file(place.socket()).unwrap();
    let daemon = Daemon::start(&place.socket(), queued());
    let (code, out, _) = told(child.wait_with_output().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    assert_eq!((code, out.as_str()), (0, "42\n"));
    drop(daemon);
}
