//! A daemon of a test's own.

use std::{
    fs::{self, OpenOptions},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{
    cli::Ctl,
    files::usual_modes,
    gate::Gate,
    notices::Notices,
    process::{Marked, exists, of_socket, runners_of},
    program::{command, program},
    repo::Repo,
    torture::FAILPOINTS,
    wait::{wait_for, wait_until},
};

/// What is used if a test names no configuration of its own.
const CONFIG: &str = "[daemon]\nmax_running = 4\n";

/// How much of the log is shown when a test fails, bytes.
const SHOWN_LOG: usize = 16 * 1024;

/// A daemon with a directory of its own for its files, its socket and its
/// user's home. Dropping it ends it and every agent of it.
#[derive(Debug)]
pub struct TestDaemon {
    dir: TempDir,
    state: &'static str,
    socket: &'static str,
    /// What runs the daemon's command line instead of running it at once.
    pub(crate) through: Vec<String>,
    program: &'static str,
    /// What a service manager would hand over; see [`TestDaemon::use_listener`].
    pub(crate) listener: Option<UnixListener>,
    process: Option<Child>,
}

impl TestDaemon {
    /// A running daemon with four slots.
    #[must_use]
    pub fn start() -> Self {
        Self::with(CONFIG)
    }

    /// A running daemon with this configuration.
    #[must_use]
    pub fn with(config: &str) -> Self {
        let mut daemon = Self::prepared(config);
        daemon.launch();
        daemon
    }

    /// Everything but the daemon's process.
    ///
    /// # Panics
    /// If the directories cannot be made.
    #[must_use]
    pub fn prepared(config: &str) -> Self {
        usual_modes();
        // Short: a socket's path has room for 107 bytes.
        let dir = tempfile::Builder::new()
            .prefix("ad")
            .tempdir()
            .expect("a directory can be made");
        let daemon = Self {
            dir,
            state: "state",
            socket: "run/s",
            through: Vec::new(),
            program: "agentd",
            listener: None,
            process: None,
        };
        fs::create_dir(daemon.home()).expect("a directory can be made");
        daemon.configure(config);
        daemon
    }

    /// Replaces the configuration; it counts from the next start on.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn configure(&self, config: &str) {
        fs::write(self.path("config.toml"), config).expect("a file can be written");
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Panics
    /// If it runs already or ends instead.
    pub fn launch(&mut self) {
        drop(self.launch_heard());
    }

    /// The same; what it says of itself from then on.
    ///
    /// # Panics
    /// If it runs already or ends instead.
    pub fn launch_heard(&mut self) -> Notices {
        assert!(self.process.is_none(), "it runs already");
        // That its socket can be connected to proves nothing: a child that the
        // daemon before was about to start may still hold the old one open.
        let ready = Notices::new(&self.path("notify"));
        let child = self.spawn(&ready);
        self.process = Some(child);
        wait_until("the daemon is ready", || {
            let child = self.process.as_mut().expect("it was just started");
            let ended = child.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "agentd ended: {ended:?}\n{}", self.log());
            ready.has("READY=1")
        });
        ready
    }

    /// Starts a daemon that is to refuse to start; exit code and message.
    ///
    /// # Panics
    /// If it cannot be started, or goes on.
    #[must_use]
    pub fn refuse(&self) -> (Option<i32>, String) {
        refused(self.command(), self.handed_over())
    }

    /// As [`TestDaemon::refuse`], with another socket.
    #[must_use]
    pub fn refuse_at(&self, socket: &Path) -> (Option<i32>, String) {
        refused(self.command_at(socket), self.handed_over())
    }

    /// Has the configuration checked; exit code and message.
    ///
    /// # Panics
    /// If it cannot be started, or goes on.
    #[must_use]
    pub fn check_config(&self) -> (Option<i32>, String) {
        let mut check = command(&program("agentd"), &self.home());
        check
            .arg("check-config")
            .arg("--config")
            .arg(self.path("config.toml"));
        refused(check, Stdio::null())
    }

    /// Has the store checked; exit code and message.
    ///
    /// # Panics
    /// If it cannot be started, or goes on.
    #[must_use]
    pub fn check_store(&self, more: &[&str]) -> (Option<i32>, String) {
        let mut check = command(&program("agentd"), &self.home());
        check
            .arg("check-store")
            .args(more)
            .arg("--state-dir")
            .arg(self.state());
        refused(check, Stdio::null())
    }

    fn command(&self) -> Command {
        self.command_at(&self.socket())
    }

    fn command_at(&self, socket: &Path) -> Command {
        let agentd = program(self.program);
        let mut command = match self.through.split_first() {
            None => command(&agentd, &self.home()),
            Some((first, others)) => {
                let mut command = command(Path::new(first), &self.home());
                command.args(others).arg(agentd);
                command
            }
        };
        command
            .arg("--config")
            .arg(self.path("config.toml"))
            .arg("--state-dir")
            .arg(self.state())
            .arg("--socket")
            .arg(socket);
        command
    }

    fn spawn(&self, notices: &Notices) -> Child {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("a log can be opened");
        let mut command = self.command();
        command
            .env("AGENTD_LOG", "info,agentd=debug")
            .env("NOTIFY_SOCKET", &notices.path)
            .stdin(self.handed_over())
            .stdout(Stdio::null())
            .stderr(log);
        command.spawn().expect("agentd can be started")
    }

    /// Ends the daemon without warning.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        let mut child = self.process.take().expect("it runs");
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }

    /// Uses the daemon with failpoints, and plans none yet; where plans are made.
    ///
    /// # Panics
    /// If the directory cannot be made.
    pub fn use_failpoints(&mut self) -> PathBuf {
        let dir = self.path("failpoints");
        fs::create_dir(&dir).expect("a directory can be made");
        self.program = "agentd-failpoints";
        let variable = format!("{FAILPOINTS}={}", dir.display());
        self.through = vec!["env".to_owned(), variable];
        dir
    }

    /// Has the next daemon look for programs in these directories only.
    pub fn use_path(&mut self, path: &str) {
        self.through = vec!["env".to_owned(), format!("PATH={path}")];
    }

    /// Asks the daemon to end with SIGTERM and waits for it.
    ///
    /// # Panics
    /// If it does not run or does not end.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.pid()).expect("the kernel counts pids in an i32");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("a child can be signalled");
        self.ended()
    }

    /// Waits for the end of a daemon that was told to end.
    ///
    /// # Panics
    /// If it does not run or does not end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut child = self.process.take().expect("it runs");
        wait_for("the daemon ends", || {
            child.try_wait().expect("a child can be asked")
        })
    }

    /// The daemon's process.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// A file or directory in the test's directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// As [`TestDaemon::path`], for a command line.
    ///
    /// # Panics
    /// Never: paths of tests are text.
    #[must_use]
    pub fn arg(&self, name: &str) -> String {
        let path = self.path(name).into_os_string();
        path.into_string().expect("paths of tests are text")
    }

    /// The home of the user whom the daemon belongs to.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// The daemon's directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path(self.state)
    }

    /// Has the next daemon use another directory for its files.
    pub fn use_state(&mut self, name: &'static str) {
        self.state = name;
    }

    /// Has the next daemon listen elsewhere.
    pub fn use_socket(&mut self, name: &'static str) {
        self.socket = name;
    }

    /// Where the daemon listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path(self.socket)
    }

    /// Everything that the daemon has logged.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(self.path("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A gate for agents.
    #[must_use]
    pub fn gate(&self, name: &str) -> Gate {
        Gate::new(&self.path(name))
    }

    /// A repository with one commit.
    #[must_use]
    pub fn repo(&self, name: &str) -> Repo {
        Repo::new(&self.path(name), &self.home())
    }

    /// Calls of `agentctl`.
    #[must_use]
    pub fn agentctl(&self) -> Ctl {
        Ctl::new(&self.socket(), &self.home())
    }

    /// The living processes of this daemon's agents.
    #[must_use]
    pub fn agents(&self) -> Vec<Marked> {
        of_socket(&self.socket())
    }

    /// The living runners of this daemon's attempts.
    #[must_use]
    pub fn runners(&self) -> Vec<Marked> {
        runners_of(&self.state())
    }

    /// Who is connected to the daemon: clients and runners.
    #[must_use]
    pub fn connections(&self) -> usize {
        let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let socket = self.socket().to_string_lossy().into_owned();
        // Flags, type, state (3 is connected), inode, path.
        let rows = table.lines().filter(|row| row.ends_with(&socket));
        rows.filter(|row| row.split_whitespace().nth(5) == Some("03"))
            .count()
    }

    /// Waits until no process of any attempt is left.
    ///
    /// # Panics
    /// If one stays.
    #[track_caller]
    pub fn wait_no_process(&self) {
        wait_until("no process of an attempt is left", || {
            self.agents().is_empty() && self.runners().is_empty()
        });
    }

    /// Ends the daemon with all its tasks.
    #[track_caller]
    fn end(&mut self) {
        if self.process.is_some() {
            let done = self.ctl(&["shutdown", "--cancel-all"]);
            assert_eq!(done.code, 0, "{done:?}");
            let status = self.ended();
            assert!(status.success(), "agentd: {status}\n{}", self.tail_of_log());
        }
        self.wait_no_process();
    }

    fn tail_of_log(&self) -> String {
        let log = self.log();
        let from = log.len().saturating_sub(SHOWN_LOG);
        let from = log.ceil_char_boundary(from);
        log[from..].to_owned()
    }

    /// Ends everything by force, after a test has failed.
    #[expect(clippy::print_stderr, reason = "shown when a test has failed")]
    fn tidy(&mut self) {
        eprintln!("the daemon's log:\n{}", self.tail_of_log());
        if let Some(mut child) = self.process.take() {
            child.kill().ok();
            child.wait().ok();
        }
        for left in self.runners().iter().chain(&self.agents()) {
            let pid = i32::try_from(left.pid).unwrap_or(i32::MAX);
            if exists(left.pid) {
                kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
            }
        }
    }
}

impl Drop for TestDaemon {
    fn drop(&mut self) {
        if thread::panicking() {
            self.tidy();
            return;
        }
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.end()));
        if let Err(why) = ended {
            self.tidy();
            std::panic::resume_unwind(why);
        }
    }
}

/// Runs what is to end by itself; exit code and messages.
fn refused(mut command: Command, input: Stdio) -> (Option<i32>, String) {
    command
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("agentd can be started");
    wait_until("agentd refuses", || {
        child.try_wait().expect("a child can be asked").is_some()
    });
    let output = child.wait_with_output().expect("it has ended");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text)
}
