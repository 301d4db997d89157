//! The agent of the torture: what it does is known beforehand, and what it did
//! can be seen without asking anybody.
//!
//! It holds a lock for its job and one for its key, which its children inherit:
//! whoever finds one held has met a second live tree. It appends when it
//! begins and when it ends to a file that all share, each with one write.
//!
//! One that keeps sessions names a new one, and does not know any that it is
//! given: it says so and fails, and whoever started it has to do it again
//! without.

use std::{
    env,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::{
        signal::{SigSet, Signal},
        time::TimeValLike as _,
    },
    time::{ClockId, clock_gettime},
    unistd::{pause, setsid},
};

use super::{AttemptName, drafts};

/// What an agent says of a session that it is to resume, and how it ends then.
const UNKNOWN: &str = "no such session\n";
pub(super) const UNKNOWN_EXIT: u8 = 1;

/// Each so-manieth line goes to standard error.
const ERRORS: u64 = 7;

/// What an agent is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Work {
    /// The number of the job.
    pub(super) job: u64,
    /// Lines to print.
    pub(super) lines: u64,
    /// Milliseconds between two of them.
    pub(super) pause: u64,
    /// The code to exit with.
    pub(super) exit: u8,
    /// Leave a child behind that does not want to end.
    pub(super) child: bool,
    /// At no time two agents of this key.
    pub(super) key: Option<u64>,
    /// Name a session, and know none that is given.
    pub(super) keeps: bool,
}

impl Work {
    /// The command line behind the program; `dir` is where all agents meet.
    pub(super) fn args(&self, dir: &Path) -> Vec<String> {
        let key = self
            .key
            .map_or_else(|| "-".to_owned(), |key| key.to_string());
        vec![
            dir.display().to_string(),
            self.job.to_string(),
            self.lines.to_string(),
            self.pause.to_string(),
            self.exit.to_string(),
            u8::from(self.child).to_string(),
            key,
            u8::from(self.keeps).to_string(),
        ]
    }

    fn parse(args: &[String]) -> Option<(PathBuf, Self)> {
        let [dir, job, lines, pause, exit, child, key, keeps] = args else {
            return None;
        };
        let work = Self {
            job: job.parse().ok()?,
            lines: lines.parse().ok()?,
            pause: pause.parse().ok()?,
            exit: exit.parse().ok()?,
            child: child == "1",
            key: if key == "-" {
                None
            } else {
                Some(key.parse().ok()?)
            },
            keeps: keeps == "1",
        };
        Some((dir.into(), work))
    }

    /// Everything that it prints on standard output and on standard error in
    /// this attempt, which was `given` a session or not.
    pub(super) fn output(&self, attempt: AttemptName, given: bool) -> [Vec<u8>; 2] {
        let mut both = [Vec::new(), Vec::new()];
        if self.keeps {
            both[0].extend(self.refusal(given).as_bytes());
            both[0].extend(opening(&attempt.to_string()).into_bytes());
        }
        for index in 0..self.lines {
            both[usize::from(is_error(index))].extend(line(self.job, index).into_bytes());
        }
        both
    }

    /// What it prints of the session that it was given, if it was.
    pub(super) fn refusal(&self, given: bool) -> &'static str {
        if self.keeps && given { UNKNOWN } else { "" }
    }
}

/// The session that an agent begins in an attempt.
pub(super) fn session(attempt: &str) -> String {
    format!("s-{attempt}")
}

fn opening(attempt: &str) -> String {
    format!("session {}\n", session(attempt))
}

fn is_error(index: u64) -> bool {
    index % ERRORS == ERRORS - 1
}

/// A line that is like no other one of any job.
fn line(job: u64, index: u64) -> String {
    let filler = usize::try_from((job * 31 + index * 17) % 120).unwrap_or(0);
    format!("{job}:{index}:{:x>filler$}\n", "")
}

/// The file to which all agents append.
pub(super) fn witness(dir: &Path) -> PathBuf {
    dir.join("witness")
}

/// The directory of the locks.
pub(super) fn locks(dir: &Path) -> PathBuf {
    dir.join("locks")
}

/// Does what the arguments say.
///
/// # Errors
/// If they say nothing, or the directory cannot be used.
pub(super) fn run(args: &[String]) -> io::Result<ExitCode> {
    if args == ["leaf"] {
        return leaf();
    }
    let Some((dir, work)) = Work::parse(args) else {
        return Err(io::Error::other(format!("not understood: {args:?}")));
    };
    let mark = env::var("AGENTD_ATTEMPT").map_err(io::Error::other)?;
    let attempt = mark.split(':').next().unwrap_or_default().to_owned();
    let mut held = Vec::new();
    let key = work.key.map(|key| format!("key-{key}"));
    for name in key.into_iter().chain([format!("job-{}", work.job)]) {
        match lock(&locks(&dir).join(&name))? {
            Some(lock) => held.push(lock),
            None => note(&dir, "clash", &work, &attempt)?,
        }
    }
    let given = env::var_os("AGENTD_SESSION").is_some_and(|session| !session.is_empty());
    let refuses = work.keeps && given;
    if !refuses {
        // Whoever has begun has left it.
        drafts::leave(&attempt)?;
        note(&dir, "begin", &work, &attempt)?;
    }
    if work.child {
        start_leaf()?;
    }
    if refuses {
        io::stdout().write_all(UNKNOWN.as_bytes())?;
        return Ok(ExitCode::from(UNKNOWN_EXIT));
    }
    if work.keeps {
        io::stdout().write_all(opening(&attempt).as_bytes())?;
    }
    print(&work)?;
    note(&dir, "end", &work, &attempt)?;
    Ok(ExitCode::from(work.exit))
}

fn print(work: &Work) -> io::Result<()> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    for index in 0..work.lines {
        let line = line(work.job, index);
        if is_error(index) {
            err.write_all(line.as_bytes())?;
        } else {
            out.write_all(line.as_bytes())?;
        }
        if work.pause > 0 {
            out.flush()?;
            wait(Duration::from_millis(work.pause));
        }
    }
    out.flush()
}

#[expect(
    clippy::disallowed_methods,
    reason = "an agent that takes its time waits for nothing"
)]
fn wait(time: Duration) {
    thread::sleep(time);
}

/// Takes a lock that children inherit; `None` if somebody has it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {
            fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty()))?;
            Ok(Some(file))
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// One line, in one write.
fn note(dir: &Path, what: &str, work: &Work, attempt: &str) -> io::Result<()> {
    let at = clock_gettime(ClockId::CLOCK_REALTIME)?.num_milliseconds();
    let line = format!("{what} {} {attempt} {at}\n", work.job);
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(witness(dir))?;
    file.write_all(line.as_bytes())
}

#[expect(clippy::disallowed_methods, reason = "an agent starts processes")]
fn start_leaf() -> io::Result<()> {
    let mut command = Command::new(env::current_exe()?);
    command
        .arg("leaf")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().map(drop)
}

/// Ends only when it is killed.
fn leaf() -> io::Result<ExitCode> {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]).thread_block()?;
    setsid()?;
    loop {
        pause();
    }
}
