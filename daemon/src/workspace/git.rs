//! The `git` program: no shell, nothing inherited that points it elsewhere, a
//! time limit, and its own words when it fails.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Seek as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::process::{self, Cage, Ended};

/// How long one command may take.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(120);
/// Output of one stream that is kept, bytes.
const MAX_OUTPUT: usize = 8 * 1024 * 1024;
/// The same of a list of files: some millions of them.
const MAX_LIST: usize = 512 * 1024 * 1024;

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
    #[error("git {command}: answered with more than {most} bytes")]
    TooLong {
        /// The first word of its arguments.
        command: String,
        /// What is kept.
        most: usize,
    },
}

/// Runs git in a directory.
#[derive(Clone, Copy)]
pub(super) struct Git<'a> {
    dir: &'a Path,
    lock: Option<&'a File>,
    limit: Duration,
    most: usize,
    env: &'a [(OsString, OsString)],
    held: Option<&'a Cage>,
}

impl<'a> Git<'a> {
    pub(super) fn at(dir: &'a Path) -> Self {
        Self {
            dir,
            lock: None,
            limit: TIME_LIMIT,
            most: MAX_OUTPUT,
            env: &[],
            held: None,
        }
    }

    /// With these variables besides its own.
    pub(super) fn env(self, env: &'a [(OsString, OsString)]) -> Self {
        Self { env, ..self }
    }

    /// May answer with the names of all files there are.
    pub(super) fn at_length(self) -> Self {
        self.keeping(MAX_LIST)
    }

    /// May answer with so many bytes.
    pub(super) fn keeping(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Every command inherits `lock` as its standard input and so holds it
    /// even if this process dies first. It must be an empty file.
    pub(super) fn holding(self, lock: &'a File) -> Self {
        Self {
            lock: Some(lock),
            ..self
        }
    }

    /// In this sandbox, with whatever it runs; see [`super::held`].
    pub(super) fn held(self, held: Option<&'a Cage>) -> Self {
        Self { held, ..self }
    }

    /// With another time limit.
    pub(super) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// What the command prints, without the last end of line.
    pub(super) fn call(&self, args: &[&dyn AsRef<OsStr>]) -> Result<Vec<u8>, GitError> {
        let stdin = match self.lock {
            Some(lock) => Stdio::from(lock.try_clone().map_err(GitError::Spawn)?),
            None => Stdio::null(),
        };
        self.run(args, stdin)
    }

    /// As [`Git::call`], with something to read. Such a command does not hold
    /// the lock: it must be one that may go on when this process has died.
    pub(super) fn call_with(
        &self,
        args: &[&dyn AsRef<OsStr>],
        input: &[u8],
    ) -> Result<Vec<u8>, GitError> {
        let input = in_memory(input).map_err(GitError::Spawn)?;
        self.run(args, Stdio::from(input))
    }

    fn run(&self, args: &[&dyn AsRef<OsStr>], stdin: Stdio) -> Result<Vec<u8>, GitError> {
        let word = args.first().map(|word| word.as_ref().to_string_lossy());
        let command = word.unwrap_or_default().into_owned();
        let run = match self.held {
            Some(_) => process::run_alone,
            None => process::run,
        };
        let ended = run(self.command(args, stdin), self.limit, self.most);
        let Some(Ended {
            status,
            stdout: mut output,
            stderr,
        }) = ended.map_err(GitError::Spawn)?
        else {
            let limit = self.limit;
            return Err(GitError::TimedOut { command, limit });
        };
        if !status.success() {
            let words = words(&stderr, status);
            let code = status.code();
            return Err(GitError::Failed {
                command,
                code,
                words,
            });
        }
        if output.len() > self.most {
            let most = self.most;
            return Err(GitError::TooLong { command, most });
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
        reason = "the one place that makes a git command; it is run within limits"
    )]
    fn command(&self, args: &[&dyn AsRef<OsStr>], stdin: Stdio) -> Command {
        let mut command = Command::new("git");
        for (name, _) in env::vars_os() {
            let is_git = name.as_encoded_bytes().starts_with(b"GIT_");
            if is_git && !KEPT.iter().any(|kept| name == *kept) {
                command.env_remove(name);
            }
        }
        // Tests do not depend on the settings of whoever runs them.
        #[cfg(test)]
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command
            .arg("-C")
            .arg(self.dir)
            .args(args)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(stdin);
        if let Some(held) = self.held {
            held.hold(&mut command);
        }
        command
    }
}

/// A file of no directory, to be read from its beginning.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("agentd-git-input", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// What git says is to be done about a repository of somebody else.
const TRUST: &str = "git config --global --add safe.directory ";

/// Git's own words in one line: its errors, else all it said, else its exit.
pub(super) fn words(stderr: &[u8], status: ExitStatus) -> String {
    let text = String::from_utf8_lossy(stderr);
    let said = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| {
        let heads = ["fatal: ", "error: ", TRUST];
        heads.iter().any(|head| line.starts_with(head))
    };
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
