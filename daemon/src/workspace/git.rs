//! The `git` program: no shell, nothing inherited that points it elsewhere, a
//! time limit, and its own words when it fails.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

/// How long one command may take.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(120);
/// What a stopped git has to take its lock files away, and then to end.
const GRACE: Duration = Duration::from_secs(2);
/// Output of one stream that is kept, bytes.
const MAX_OUTPUT: usize = 8 * 1024 * 1024;

/// `GIT_*` variables that an operator sets for all of a machine's gits. Every
/// other one is taken away: most would point git to another repository.
const KEPT: [&str; 4] = [
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
];

/// A git command that did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// It could not be started.
    #[error("cannot run git: {0}")]
    Spawn(#[source] io::Error),
    /// It was ended at the time limit.
    #[error("git {command}: ended after {} s without an answer", limit.as_secs_f32())]
    TimedOut {
        /// The first word of its arguments.
        command: String,
        /// How long it had.
        limit: Duration,
    },
    /// It failed.
    #[error("git {command}: {words}")]
    Failed {
        /// The first word of its arguments.
        command: String,
        /// Its exit code; `None`: a signal ended it.
        code: Option<i32>,
        /// Its own words in one line.
        words: String,
    },
    /// It said more than is kept.
    #[error("git {command}: answered with more than {MAX_OUTPUT} bytes")]
    TooLong {
        /// The first word of its arguments.
        command: String,
    },
}

/// Runs git in a directory.
pub(super) struct Git<'a> {
    dir: &'a Path,
    lock: Option<&'a File>,
    limit: Duration,
}

impl<'a> Git<'a> {
    pub(super) fn at(dir: &'a Path) -> Self {
        Self {
            dir,
            lock: None,
            limit: TIME_LIMIT,
        }
    }

    /// Every command inherits `lock` as its standard input and so holds it
    /// even if this process dies first. It must be an empty file.
    pub(super) fn holding(self, lock: &'a File) -> Self {
        Self {
            lock: Some(lock),
            ..self
        }
    }

    #[cfg(test)]
    pub(super) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// What the command prints, without the last end of line.
    pub(super) fn call(&self, args: &[&dyn AsRef<OsStr>]) -> Result<Vec<u8>, GitError> {
        let word = args.first().map(|word| word.as_ref().to_string_lossy());
        let command = word.unwrap_or_default().into_owned();
        let mut child = self.spawn(args).map_err(GitError::Spawn)?;
        let stdout = Capture::of(child.stdout.take()).map_err(GitError::Spawn);
        let stderr = Capture::of(child.stderr.take()).map_err(GitError::Spawn);
        let ended = watch(&child).map_err(GitError::Spawn);
        let (Ok(stdout), Ok(stderr), Ok(ended)) = (stdout, stderr, ended) else {
            stop(&child, Signal::SIGKILL);
            reap_later(child);
            let err = io::Error::from(Errno::EAGAIN);
            return Err(GitError::Spawn(err));
        };
        let Some(status) = wait(child, &ended, self.limit).map_err(GitError::Spawn)? else {
            let limit = self.limit;
            return Err(GitError::TimedOut { command, limit });
        };
        let mut output = stdout.take();
        if !status.success() {
            let words = words(&stderr.take(), status);
            let code = status.code();
            return Err(GitError::Failed {
                command,
                code,
                words,
            });
        }
        if output.len() > MAX_OUTPUT {
            return Err(GitError::TooLong { command });
        }
        output.pop_if(|last| *last == b'\n');
        Ok(output)
    }

    /// Whether the command says yes (exit 0) or no (exit 1).
    pub(super) fn asks(&self, args: &[&dyn AsRef<OsStr>]) -> Result<bool, GitError> {
        match self.call(args) {
            Ok(_) => Ok(true),
            Err(GitError::Failed { code: Some(1), .. }) => Ok(false),
            Err(err) => Err(err),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that starts git, within its limits"
    )]
    fn spawn(&self, args: &[&dyn AsRef<OsStr>]) -> io::Result<Child> {
        let mut command = Command::new("git");
        for (name, _) in env::vars_os() {
            let is_git = name.as_encoded_bytes().starts_with(b"GIT_");
            if is_git && !KEPT.iter().any(|kept| name == *kept) {
                command.env_remove(name);
            }
        }
        let stdin = match self.lock {
            Some(lock) => Stdio::from(lock.try_clone()?),
            None => Stdio::null(),
        };
        command
            .arg("-C")
            .arg(self.dir)
            .args(args)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
    }
}

/// Says when the child has ended, and leaves it to be reaped: until then its
/// pid cannot become another's.
fn watch(child: &Child) -> io::Result<Receiver<()>> {
    let pid = pid_of(child);
    let (ended, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("git-wait".into())
        .spawn(move || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
            // Nobody listens any more if it was given up.
            drop(ended);
        })?;
    Ok(receiver)
}

/// `None`: it was stopped at its limit.
fn wait(mut child: Child, ended: &Receiver<()>, limit: Duration) -> io::Result<Option<ExitStatus>> {
    // The sender is dropped, never used: a disconnect is the end.
    let gone = |limit| ended.recv_timeout(limit) != Err(RecvTimeoutError::Timeout);
    if gone(limit) {
        return child.wait().map(Some);
    }
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        stop(&child, signal);
        if gone(GRACE) {
            break;
        }
    }
    // Hooks and filters that ignored the polite signal.
    stop(&child, Signal::SIGKILL);
    reap_later(child);
    Ok(None)
}

fn stop(child: &Child, signal: Signal) {
    // It cannot fail for a child that is not reaped yet.
    let _sent = killpg(pid_of(child), signal);
}

/// A process in an uninterruptible wait ends when the kernel lets it.
fn reap_later(mut child: Child) {
    let reaper = thread::Builder::new().name("git-reap".into());
    // Without a thread it stays a zombie until the daemon ends.
    let _started = reaper.spawn(move || child.wait());
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// A stream that is read to its end, and kept up to a limit.
struct Capture {
    kept: Arc<Mutex<Vec<u8>>>,
    done: Receiver<()>,
}

impl Capture {
    fn of(stream: Option<impl Read + Send + 'static>) -> io::Result<Self> {
        let mut stream = stream.ok_or(Errno::EBADF)?;
        let (ended, done) = mpsc::sync_channel::<()>(1);
        let kept = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&kept);
        thread::Builder::new()
            .name("git-read".into())
            .spawn(move || {
                let mut chunk = [0; 8192];
                loop {
                    match stream.read(&mut chunk) {
                        Ok(0) => break,
                        Ok(count) => {
                            let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                            // One chunk more than the limit shows that there was more.
                            if kept.len() <= MAX_OUTPUT {
                                kept.extend_from_slice(&chunk[..count]);
                            }
                        }
                        Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                        Err(_) => break,
                    }
                }
                drop(ended);
            })?;
        Ok(Self { kept, done })
    }

    /// What has been read. A process that a hook left behind may hold the
    /// stream open for ever: that is not waited for.
    fn take(self) -> Vec<u8> {
        let _end = self.done.recv_timeout(GRACE);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut kept)
    }
}

/// Git's own words in one line: its errors, else all it said, else its exit.
pub(super) fn words(stderr: &[u8], status: ExitStatus) -> String {
    let text = String::from_utf8_lossy(stderr);
    let said = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| line.starts_with("fatal: ") || line.starts_with("error: ");
    let mut lines: Vec<&str> = said().filter(is_error).collect();
    if lines.is_empty() {
        lines = said().collect();
    }
    let exit = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    if lines.is_empty() {
        exit
    } else if lines.iter().any(is_error) {
        lines.join("; ")
    } else {
        format!("{exit}: {}", lines.join("; "))
    }
}
