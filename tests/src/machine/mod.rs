//! Machines that tests may do anything with: each has a systemd of its own as
//! its first process, in namespaces of its own, and a copy of this machine's
//! disk that is thrown away. It has no network but its own loopback, and shares
//! the kernel: limits that need controllers of control groups are not enforced.
//!
//! Root is needed, and the packages that `needs.rs` names. What is done from
//! outside of a machine is done by scripts (`*.sh`), since mount(8), unshare(1)
//! and nsenter(1) say best what they do.

mod agentd;
mod needs;
mod places;
#[cfg(feature = "vm")]
mod vm;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use tempfile::TempDir;

use self::places::Place;
#[cfg(feature = "vm")]
pub use self::vm::Vm;
use crate::{
    cli::Output,
    program::command,
    wait::{wait_for, wait_until},
};

/// How much of the journal is shown when a test fails, lines.
const SHOWN: &str = "80";

/// What holds a machine.
const OUTSIDE: &str = concat!(include_str!("disk.sh"), include_str!("outside.sh"));

/// Machines that this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A machine that is up. Dropping it takes it down, with everything in it; so
/// does the end of this process, however it ends.
#[derive(Debug)]
pub struct Machine {
    /// `outside.sh`, what it is told and what it answers.
    outside: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What is shared with the scripts.
    work: TempDir,
    group: PathBuf,
    /// Its first process, as it is numbered outside.
    init: u32,
    _place: Place,
}

impl Machine {
    /// A machine that is up, with nothing of agentd on it yet.
    ///
    /// # Panics
    /// If it cannot be made; the message says what is needed.
    #[must_use]
    #[track_caller]
    pub fn boot() -> Self {
        needs::check();
        let place = Place::take();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("agentd-tests-{}-{number}", std::process::id());
        let group = needs::groups().join(&name);
        let work = tempfile::Builder::new().prefix("machine").tempdir();
        let work = work.expect("a directory can be made");
        let mut outside = command(Path::new("unshare"), Path::new("/"))
            .args(["--mount", "--propagation", "private"])
            .args(["bash", "-c", OUTSIDE, &name])
            .args([work.path(), &group])
            .arg(include_str!("init.sh"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare can be started");
        let orders = outside.stdin.take();
        let answers = outside.stdout.take().expect("it was piped");
        let mut machine = Self {
            outside,
            orders,
            answers: BufReader::new(answers),
            work,
            group,
            init: 0,
            _place: place,
        };
        machine.answer("ready");
        machine.start();
        machine
    }

    /// Ends it in good order and boots it again.
    ///
    /// # Panics
    /// If it does not go down or does not come up.
    #[track_caller]
    pub fn reboot(&mut self) {
        // The call may be cut off by what it asks for.
        drop(self.run("root", "systemctl --no-block reboot"));
        let init = PathBuf::from(format!("/proc/{}", self.init));
        wait_until("the machine goes down", || !init.exists());
        self.lose_power();
    }

    /// Ends it at once and boots it again.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn lose_power(&mut self) {
        self.order("cut");
        self.start();
    }

    #[track_caller]
    fn start(&mut self) {
        self.order("boot");
        let pid = self.work.path().join("pid");
        self.init = wait_for("the machine has a first process", || {
            self.outlives();
            fs::read_to_string(&pid).ok()?.trim().parse().ok()
        });
        self.until(
            "the machine is up",
            "root",
            "case $(systemctl is-system-running --wait) in running|degraded) ;; *) exit 1;; esac",
        );
        let failed = self.run("root", "systemctl --failed --plain --no-legend");
        assert_eq!(failed.ok().text(), "", "units have failed");
    }

    /// Waits until a script of a user's succeeds.
    ///
    /// # Panics
    /// If it does not in time.
    #[track_caller]
    pub fn until(&self, what: &str, user: &str, script: &str) {
        wait_until(what, || self.run(user, script).code == 0);
    }

    /// Runs a script of the shell as a user of the machine, in that user's home;
    /// it can speak to that user's service manager if there is one.
    ///
    /// # Panics
    /// If it cannot be started or does not end.
    #[must_use]
    #[track_caller]
    pub fn run(&self, user: &str, script: &str) -> Output {
        let child = self.command(user, script).spawn();
        Output::wait(child.expect("a shell can be started"))
    }

    /// The same, not started yet; nothing is on its standard input.
    #[must_use]
    pub fn command(&self, user: &str, script: &str) -> Command {
        // In a group of the machine's, so that it ends with it.
        let enter = "echo $$ >\"$1\"; shift; exec nsenter \"$@\"";
        let mut call = command(Path::new("sh"), Path::new("/"));
        call.args(["-c", enter, "sh"])
            .arg(self.group.join("commands/cgroup.procs"))
            .args(["-t", &self.init.to_string()])
            .args(["-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"])
            .args(["sh", "-c", include_str!("command.sh"), "sh", user, script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        call
    }

    /// Makes a file, or replaces one. The mode is octal.
    ///
    /// # Panics
    /// If it cannot be written.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str, mode: u32) {
        self.put(path, text.as_bytes(), mode);
    }

    /// Copies a file of this machine's to it, with its mode.
    ///
    /// # Panics
    /// If it cannot be read or written.
    #[track_caller]
    pub fn copy_in(&self, from: &Path, to: &str) {
        let bytes = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        let mode = fs::metadata(from).map(|meta| meta.permissions().mode());
        self.put(to, &bytes, mode.expect("it was just read") & 0o7777);
    }

    #[track_caller]
    fn put(&self, path: &str, bytes: &[u8], mode: u32) {
        let script = format!(
            "mkdir -p \"$(dirname '{path}')\" && cat >'{path}.new' &&
             chmod {mode:o} '{path}.new' && mv '{path}.new' '{path}'"
        );
        let mut child = self
            .command("root", &script)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell can be started");
        let mut stdin = child.stdin.take().expect("it was piped");
        stdin.write_all(bytes).expect("the shell reads");
        drop(stdin);
        drop(Output::wait(child).ok());
    }

    /// What `journalctl` prints, with these arguments of a shell's.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    #[track_caller]
    pub fn journal(&self, args: &str) -> String {
        let output = self.run(
            "root",
            &format!("journalctl --sync && journalctl --quiet --no-pager {args}"),
        );
        output.ok().text().to_owned()
    }

    /// A user with a home and a service manager that is always there.
    ///
    /// # Panics
    /// If there is one of that name, or its manager does not come.
    #[track_caller]
    pub fn add_user(&self, name: &str) {
        let script = format!(
            "useradd --create-home --shell /bin/bash {name} && loginctl enable-linger {name}"
        );
        drop(self.run("root", &script).ok());
        self.until(
            "the user has a service manager",
            name,
            "systemctl --user is-system-running --wait",
        );
    }

    fn order(&mut self, what: &str) {
        let orders = self.orders.as_mut().expect("it is open until the end");
        writeln!(orders, "{what}").expect("whoever holds the machine listens");
        self.answer(what);
    }

    #[track_caller]
    fn answer(&mut self, what: &str) {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("it answers in text");
        assert_eq!(line.trim(), what, "{}", self.console());
    }

    /// Whoever holds the machine has not given up.
    #[track_caller]
    fn outlives(&mut self) {
        let ended = self.outside.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "{ended:?}: {}", self.console());
    }

    fn console(&self) -> String {
        fs::read_to_string(self.work.path().join("console")).unwrap_or_default()
    }
}

impl Drop for Machine {
    #[expect(clippy::print_stderr, reason = "shown when a test has failed")]
    fn drop(&mut self) {
        if thread::panicking() {
            let call = self.command("root", &format!("journalctl --no-pager -n {SHOWN}"));
            let journal = { call }.output().map(|output| output.stdout);
            let journal = journal.unwrap_or_default();
            eprintln!(
                "the machine's console:\n{}\nits journal:\n{}",
                self.console(),
                String::from_utf8_lossy(&journal)
            );
        }
        drop(self.orders.take());
        let ended = self.outside.wait();
        if !thread::panicking() {
            assert!(
                ended.is_ok_and(|status| status.success()),
                "it was taken down"
            );
            assert!(!self.group.exists(), "{} is left", self.group.display());
        }
    }
}
