//! What the operator set: one TOML file, checked as a whole before anything
//! uses it.
//!
//! The file is `--config`, else `AGENTD_CONFIG`, else
//! `$XDG_CONFIG_HOME/agentd/config.toml`, else `/etc/agentd/config.toml`; none
//! is needed. All problems of a file are reported at once, each with its place
//! and, for a misspelt word, the nearest one that would have been right.
//!
//! Not here: values of secrets (`env_file` and `env_pass` only name them; they
//! are read when an agent is started), and what a repository on disk looks
//! like.
//!
//! Invariant: a [`Config`] is valid. Counts are at least one, names fit into
//! labels, branch names and paths, commands have a program, paths are absolute.

mod access;
mod agent;
mod changes;
mod document;
mod driven;
mod env_file;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod notify;
mod output;
mod read;
mod schedules;
mod value;

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    thread,
};

use self::read::Files;
pub use self::{
    access::{Access, Role},
    agent::{Agent, Sessions},
    changes::Change,
    driven::{Permissions, find_program},
    env_file::{EnvFileError, read as read_env_file, read_private},
    error::{ConfigError, Problem},
    notify::{NOTIFY_TIMEOUT, Notify, Webhook, WebhookUrl},
    output::pattern,
    schedules::{Busy, Schedule, Times, Zone},
    value::{is_name, is_variable, nearest, reasons, retryable},
};
use crate::task::{
    limits::{HEARTBEAT, Limits, MAX_QUEUED, SUSPECT_AFTER},
    retention::Retention,
    retry::Policy,
    spec::{AgentType, Fetch},
};

/// The agent that is always there: it runs what the task brings.
pub const SHELL: &str = "shell";

/// The exit code with which an agent says that it declines.
pub const ABORT_CODE: i32 = 79;

/// What stands for the id in the path of a session's file.
pub const SESSION: &str = "{session}";

/// Cache of the store, bytes.
pub const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Free space below which nothing is started, bytes.
pub const MIN_FREE_DISK: u64 = 256 * 1024 * 1024;

/// Copies of the store that are kept, one a day.
pub const DAILY_BACKUPS: u32 = 7;

/// After how many heartbeats' time a runner may be suspect, at the least: a quiet
/// one leaves two of three out, and one may be late.
pub const MIN_BEATS: u64 = 6;

/// How long setup and teardown of a repository may take, milliseconds.
pub const SETUP_TIMEOUT: u64 = 10 * 60 * 1000;

/// Largest configuration file, bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Everything that the operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file that it comes from; `None`: there is none.
    pub source: Option<PathBuf>,
    /// Attempts at the same time.
    pub max_running: u32,
    /// Tasks that may wait.
    pub max_queued: usize,
    /// The agent of prompts that name none.
    pub default_agent: Option<String>,
    /// Cache of the store, bytes.
    pub cache_bytes: u64,
    /// Nothing is started while less is free where the state directory is,
    /// bytes; 0: whatever is free.
    pub min_free_disk: u64,
    /// Copies of the store that are kept, one a day; 0: none is made.
    pub daily_backups: u32,
    /// Between two heartbeats of a runner, milliseconds.
    pub heartbeat: u64,
    /// Without a sign of life for so long a runner is looked at, milliseconds;
    /// at least [`MIN_BEATS`] heartbeats.
    pub suspect_after: u64,
    /// Processes of agents may submit and control tasks.
    pub agents_may_control: bool,
    /// Trees of agents are held in control groups where that can be.
    pub cgroups: bool,
    /// Who else may talk to the daemon.
    pub access: Access,
    /// For tasks and agents that set none.
    pub limits: Limits,
    /// For tasks and agents that set none.
    pub retry: Policy,
    /// How long what has ended is kept.
    pub retention: Retention,
    /// Who is told when a task has ended.
    pub notify: Notify,
    /// By name; `shell` is always among them.
    pub agents: BTreeMap<String, Agent>,
    /// By name.
    pub repos: BTreeMap<String, Repo>,
    /// By name.
    pub schedules: BTreeMap<String, Schedule>,
}

/// One repository with settings of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    /// A name of the operator's choice.
    pub name: String,
    /// The top of its checkout, or a bare repository; canonical if it was
    /// there when the file was loaded.
    pub path: PathBuf,
    /// Where new branches begin; `None`: at what is checked out.
    pub base: Option<String>,
    /// Attempts in this repository at the same time.
    pub max_running: Option<u32>,
    /// A program that prints whether an issue is `open` or `closed`, and its
    /// arguments; empty: nobody is asked. See [`crate::forge`].
    pub issue_state: Vec<String>,
    /// Nothing is run again of an issue whose state cannot be found out.
    pub require_issue_state: bool,
    /// Run in a checkout before the first agent works there; empty: nothing is.
    pub setup: Vec<String>,
    /// Run in a worktree before that is removed; empty: nothing is.
    pub teardown: Vec<String>,
    /// How long each of the two may take, milliseconds.
    pub setup_timeout: u64,
    /// Whether its remote is asked for what is new before a branch is begun.
    pub fetch: Fetch,
}

/// The environment that decides where the file is and what `~` means; a value,
/// so that tests need not change the process's own.
#[derive(Debug, Clone)]
pub struct Environment {
    /// `AGENTD_CONFIG`.
    pub config: Option<OsString>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<OsString>,
    /// `HOME`.
    pub home: Option<OsString>,
    /// `PATH`: where the programs of agents are looked for.
    pub path: Option<OsString>,
    /// The file of the whole machine.
    pub system: PathBuf,
}

impl Environment {
    /// The process's own. Empty variables count as unset.
    #[must_use]
    pub fn of_process() -> Self {
        let get = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            config: get("AGENTD_CONFIG"),
            xdg_config_home: get("XDG_CONFIG_HOME"),
            home: get("HOME"),
            path: get("PATH"),
            system: PathBuf::from("/etc/agentd/config.toml"),
        }
    }

    fn user_file(&self) -> Option<PathBuf> {
        // A relative XDG directory is to be ignored, says its specification.
        let xdg = self.xdg_config_home.as_ref().map(PathBuf::from);
        let home = self.home.as_ref().map(PathBuf::from);
        let base = xdg
            .filter(|dir| dir.is_absolute())
            .or_else(|| home.map(|dir| dir.join(".config")))?;
        Some(base.join("agentd/config.toml"))
    }
}

impl Config {
    /// Finds, reads and checks the file; without one, the built-in values. Looks
    /// for the programs of agents that it does not name.
    ///
    /// # Errors
    /// A file that was named and is missing, one that cannot be read, and
    /// every problem in it.
    pub fn load(explicit: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_in(explicit, &Environment::of_process())
    }

    /// The same in a given environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_in(explicit: Option<&Path>, env: &Environment) -> Result<Self, ConfigError> {
        let mut config = Self::find_and_read(explicit, env)?;
        if let Some(path) = &env.path {
            driven::add_found(&mut config.agents, path);
        }
        Ok(config)
    }

    fn find_and_read(explicit: Option<&Path>, env: &Environment) -> Result<Self, ConfigError> {
        let named = explicit.map(|path| ("--config", path.to_path_buf()));
        let named = named.or_else(|| {
            let path = env.config.as_ref()?;
            Some(("AGENTD_CONFIG", PathBuf::from(path)))
        });
        if let Some((by, path)) = named {
            let text = read_file(&path)?.ok_or(ConfigError::Missing {
                path: path.clone(),
                by,
            })?;
            return read::read(&text, &path, env, Files::Look);
        }
        for path in env.user_file().into_iter().chain([env.system.clone()]) {
            if let Some(text) = read_file(&path)? {
                return read::read(&text, &path, env, Files::Look);
            }
        }
        Ok(Self::default())
    }

    /// Reads `text`; `name` is what problems call it. Does not touch the file
    /// system: whether repositories and `env_file`s are there and private is
    /// left to [`Config::load`].
    ///
    /// # Errors
    /// Every problem of the text.
    pub fn parse(text: &str, name: &Path) -> Result<Self, ConfigError> {
        Self::parse_in(text, name, &Environment::of_process())
    }

    /// The same in a given environment.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_in(text: &str, name: &Path, env: &Environment) -> Result<Self, ConfigError> {
        read::read(text, name, env, Files::Ignore)
    }

    /// The agent of this name.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<&Agent> {
        self.agents.get(name)
    }

    /// The files that hold secrets, of agents and of the daemon's own.
    pub fn secrets(&self) -> impl Iterator<Item = &Path> {
        let agents = self.agents.values().filter_map(|a| a.env_file.as_deref());
        let webhook = self.notify.webhook.as_ref();
        agents.chain(webhook.and_then(|webhook| webhook.token_file.as_deref()))
    }

    /// The account of an agent; one that is not configured any more has its own.
    #[must_use]
    pub fn account_of<'a>(&'a self, agent: &'a str) -> &'a str {
        self.agent(agent).map_or(agent, Agent::account)
    }

    /// The settings of the repository at this canonical path.
    #[must_use]
    pub fn repo_at(&self, path: &Path) -> Option<&Repo> {
        self.repos.values().find(|repo| repo.path == path)
    }
}

impl Default for Config {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, |n| n.get());
        let shell = Agent::new(SHELL, AgentType::Command);
        Self {
            source: None,
            max_running: u32::try_from(cores).unwrap_or(u32::MAX),
            max_queued: MAX_QUEUED,
            default_agent: None,
            cache_bytes: CACHE_BYTES,
            min_free_disk: MIN_FREE_DISK,
            daily_backups: DAILY_BACKUPS,
            heartbeat: HEARTBEAT,
            suspect_after: SUSPECT_AFTER,
            agents_may_control: false,
            cgroups: true,
            access: Access::default(),
            limits: Limits::default(),
            retry: Policy::default(),
            retention: Retention::default(),
            notify: Notify::default(),
            agents: BTreeMap::from([(SHELL.to_owned(), shell)]),
            repos: BTreeMap::new(),
            schedules: BTreeMap::new(),
        }
    }
}

/// `None`: there is no such file.
fn read_file(path: &Path) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_path_buf(),
        source,
    };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound) => return Ok(None),
        Err(err) if matches!(err.kind(), io::ErrorKind::NotADirectory) => return Ok(None),
        Err(err) => return Err(failed(err)),
    };
    let mut text = String::new();
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(ConfigError::TooLarge {
            path: path.to_path_buf(),
            limit: MAX_FILE,
        });
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests;
