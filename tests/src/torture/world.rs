//! The daemon that is tortured: its directory, its process, its runners.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

use super::{AttemptName, agent};
use crate::{
    process::{Marked, exists, of_socket, runners_of},
    program::{command, program},
    repo::Repo,
};

/// A directory with everything of one run.
#[derive(Debug)]
pub(super) struct World {
    dir: TempDir,
    program: PathBuf,
    variables: Vec<(String, String)>,
    process: Option<Child>,
}

impl World {
    /// Everything but the daemon's process. `program` is its file's name.
    pub(super) fn new(program_name: &str, slots: u32) -> io::Result<Self> {
        // Short: a socket's path has room for 107 bytes.
        let dir = tempfile::Builder::new().prefix("at").tempdir()?;
        let world = Self {
            dir,
            program: program(program_name),
            variables: Vec::new(),
            process: None,
        };
        fs::create_dir(world.home())?;
        fs::create_dir(agent::locks(world.path()))?;
        let config = format!(
            "[daemon]\nmax_running = {slots}\n\n\
             [agents.shell]\ntype = \"command\"\nkill_grace = \"200ms\"\nmax_attempts = 20\n\
             output.session = '^(\\d+:0):'\noutput.progress = '^\\d+:(\\d+):'\n\n\
             [agents.keeper]\ntype = \"command\"\nkill_grace = \"200ms\"\nmax_attempts = 20\n\
             [agents.keeper.output]\nsession = '^session (\\S+)'\n\
             session_lost = '^no such session'\n[agents.keeper.session]\n\
             [repos.repo]\npath = '{}'\nbase = \"main\"\nsetup = [\"true\"]\n",
            world.path().join("repo").display()
        );
        fs::write(world.path().join("config.toml"), config)?;
        Ok(world)
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path().join("run/s")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path().join("log")
    }

    /// A repository with one commit, which its remote has, too.
    pub(super) fn repo(&self, name: &str) -> Repo {
        let repo = Repo::new(&self.path().join(name), &self.home());
        let remote = self.path().join(format!("{name}.git"));
        let remote = remote.display().to_string();
        repo.git(&["clone", "-q", "--bare", ".", &remote]);
        repo.git(&["remote", "add", "origin", &remote]);
        repo
    }

    /// A variable of the daemon's environment from the next start on.
    pub(super) fn set(&mut self, name: &str, value: &Path) {
        let value = value.display().to_string();
        self.variables.push((name.to_owned(), value));
    }

    /// Starts the daemon and waits for nothing.
    pub(super) fn start(&mut self) -> io::Result<()> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())?;
        let mut command = command(&self.program, &self.home());
        command
            .arg("--config")
            .arg(self.path().join("config.toml"))
            .arg("--state-dir")
            .arg(self.state())
            .arg("--socket")
            .arg(self.socket())
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.process = Some(command.spawn()?);
        Ok(())
    }

    /// How the daemon ended, if it did.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.process else {
            return Ok(None);
        };
        let status = child.try_wait()?;
        if status.is_some() {
            self.process = None;
        }
        Ok(status)
    }

    /// Starts the daemon if it does not run; how it had ended, if it had.
    pub(super) fn revive(&mut self) -> io::Result<Option<ExitStatus>> {
        let ended = self.ended()?;
        if self.process.is_none() {
            self.start()?;
        }
        Ok(ended)
    }

    /// Ends the daemon without warning. Returns how it had ended by itself, if
    /// it had.
    pub(super) fn kill(&mut self) -> io::Result<Option<ExitStatus>> {
        let ended = self.ended()?;
        if let Some(mut child) = self.process.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(ended)
    }

    /// Asks the daemon to end; how it did, if it did in time.
    pub(super) async fn terminate(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        if let Some(child) = &self.process {
            let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
            kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        }
        let begin = Instant::now();
        while begin.elapsed() < limit {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(None)
    }

    /// The living runners and their attempts.
    pub(super) fn runners(&self) -> HashMap<u32, AttemptName> {
        runners_of(&self.state())
            .into_iter()
            .filter_map(|runner| Some((runner.pid, attempt_in(&runner.line)?)))
            .collect()
    }

    /// Kills the runner of this attempt; false if it had gone. What is killed
    /// is what was looked at, also if its number was used again.
    pub(super) fn kill_runner(&self, pid: u32, attempt: AttemptName) -> bool {
        let raw = i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let Some(Ok(held)) = raw.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
            return false;
        };
        // A child that has not become the agent yet looks like its runner.
        let is_child = parent(pid).and_then(runner_at) == Some(attempt);
        runner_at(pid) == Some(attempt)
            && !is_child
            && exists(pid)
            && pidfd_send_signal(&held, rustix::process::Signal::KILL).is_ok()
    }

    /// Every living process of an attempt: runners, and what carries a mark.
    pub(super) fn processes(&self) -> Vec<Marked> {
        let mut all = runners_of(&self.state());
        all.extend(of_socket(&self.socket()));
        all
    }

    /// Keeps the directory; where it is.
    pub(super) fn keep(&mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.path().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Nothing of a run may outlive it, however it went.
        self.kill().ok();
        for left in self.processes() {
            let pid = i32::try_from(left.pid).unwrap_or(i32::MAX);
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

/// The attempt in a runner's command line: `… runner …/attempts/42.1`.
pub(super) fn attempt_in(line: &str) -> Option<AttemptName> {
    line.trim_end().rsplit('/').next()?.parse().ok()
}

fn runner_at(pid: u32) -> Option<AttemptName> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    attempt_in(&String::from_utf8_lossy(&line).replace('\0', " "))
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(") ")?;
    behind_name.split(' ').nth(1)?.parse().ok()
}
