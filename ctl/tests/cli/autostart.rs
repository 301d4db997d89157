//! The daemon is started if there is none.

use std::{
    fs,
    io::Read as _,
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
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
        self.ctl(&["submit", "do it"])
    }

    fn ctl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.programs.path().join("agentctl"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("XDG_RUNTIME_DIR", self.home.path().join("run"))
            .args(args)
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
    // Its own hint, not a guess; and nothing says that it was started.
    assert_eq!(
        err,
        "agentctl: agentd ended as soon as it was started (exit status: 4): \
         the store is locked\nhint: agentctl restore\n"
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

/// The pid of the daemon that the call has started, which it leaves in its home.
fn started(place: &Place) -> Pid {
    let file = place.home.path().join("pid");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let pid = fs::read_to_string(&file).unwrap_or_default();
        if let Some(pid) = pid.strip_suffix('\n') {
            return Pid::from_raw(pid.parse().unwrap());
        }
        assert!(Instant::now() < deadline, "it was not started");
        thread::yield_now();
    }
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
    let child = place.submit().spawn().unwrap();
    let pid = started(&place);
    let _daemon = Daemon::start(&place.socket(), queued());
    let (code, out, err) = told(child.wait_with_output().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    assert_eq!((code, out.as_str()), (0, "42\n"));
    let begun = format!("started agentd (pid {pid}), its log is ");
    assert!(err.starts_with(&begun), "{err}");
}

#[test]
fn start_starts_one_where_it_was_asked_for() {
    let Some(place) = Place::new("waits") else {
        return;
    };
    let other = place.socket().with_file_name("other.sock");
    let start = || {
        let mut start = place.ctl(&["--socket", other.to_str().unwrap(), "start"]);
        // That is about what nobody asked for.
        start.env("AGENTCTL_NO_AUTOSTART", "1");
        start
    };
    let child = start().spawn().unwrap();
    let pid = started(&place);
    let words = fs::read_to_string(place.home.path().join("words")).unwrap();
    assert_eq!(words, format!("--socket {}\n", other.display()));
    let _daemon = Daemon::start(&other, queued());
    let (code, out, err) = told(child.wait_with_output().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert!(err.starts_with("started agentd (pid "), "{err}");
    // A second start finds it.
    let (code, _, err) = ran(&mut start());
    assert_eq!(code, 0, "{err}");
    assert!(err.starts_with("agentd runs already (pid "), "{err}");
}

#[test]
fn whoever_finds_none_is_told_how_to_start_it_there() {
    let Some(place) = Place::new("dies") else {
        return;
    };
    let told = |args: &[&str]| {
        let (_, out, err) = ran(&mut place.ctl(args));
        out + &err
    };
    let ls = told(&["ls"]);
    assert!(ls.ends_with("hint: agentctl start\n"), "{ls}");
    let other = told(&["--socket", "/nope/x", "ls"]);
    assert!(
        other.ends_with("hint: agentctl --socket /nope/x start\n"),
        "{other}"
    );
    let doctor = told(&["doctor"]);
    assert!(doctor.contains("fix: agentctl start\n"), "{doctor}");
    // The first time there is nothing to go on with.
    let first = told(&[]);
    assert!(first.contains("begin with: agentctl run"), "{first}");
    let state = place.home.path().join(".local/state/agentd");
    fs::create_dir_all(state.join("attempts/7.1")).unwrap();
    let again = told(&[]);
    assert!(again.contains("start it with: agentctl start\n"), "{again}");
    let (code, out, _) = ran(&mut place.ctl(&["doctor"]));
    assert_eq!(code, 1);
    assert!(
        out.contains("1 attempt is under way, and no daemon"),
        "{out}"
    );
}

/// It was there, took the question and died of it or of something else.
#[test]
fn a_daemon_that_went_away_over_the_question_is_started_again() {
    let Some(place) = Place::new("waits") else {
        return;
    };
    let dying = UnixListener::bind(place.socket()).unwrap();
    let child = place.submit().spawn().unwrap();
    let (mut question, _) = dying.accept().unwrap();
    question.read_exact(&mut [0; 24]).unwrap();
    drop((question, dying));
    let pid = started(&place);
    fs::remove_file(place.socket()).unwrap();
    let daemon = Daemon::start(&place.socket(), queued());
    let (code, out, _) = told(child.wait_with_output().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    assert_eq!((code, out.as_str()), (0, "42\n"));
    drop(daemon);
}
