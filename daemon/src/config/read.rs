//! From TOML to [`Config`]: the schema, and every problem of a file.

mod access;
mod agent;
mod limits;
mod notify;
mod schedules;

#[cfg(test)]
pub(super) use self::notify::NOTIFY;

use std::{
    collections::BTreeMap,
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    Access, Agent, Config, ConfigError, Environment, MIN_BEATS, Permissions, Repo, Role,
    SETUP_TIMEOUT, SHELL, Sessions,
    document::{Problems, Section},
    env_file, output, value,
};
use crate::task::{
    limits::{MAX_PROMPT, MAX_QUEUED},
    retention::Retention,
};

pub(super) const TOP: &[&str] = &[
    "daemon",
    "defaults",
    "agents",
    "repos",
    "schedules",
    "retention",
    "notify",
];
pub(super) const DAEMON: &[&str] = &[
    "max_running",
    "max_queued",
    "default_agent",
    "cache",
    "min_free_disk",
    "daily_backups",
    "heartbeat",
    "suspect_after",
    "agents_may_control",
    "cgroups",
    "allow_users",
    "allow_groups",
];
/// Durations, or `off`.
pub(super) const RETENTION: &[&str] = &["tasks", "transcripts", "worktrees", "every"];
pub(super) const LIMITS: &[&str] = &[
    "start_timeout",
    "timeout",
    "kill_grace",
    "max_attempts",
    "queue_ttl",
    "idle_timeout",
    "memory",
    "pids",
    "cpu",
    "max_cost_usd",
    "max_tokens",
    "max_wall_time",
    "max_lineage_attempts",
];
pub(super) const RETRY: &[&str] = &[
    "initial_interval",
    "backoff_coefficient",
    "maximum_interval",
    "retry_on",
    "non_retryable",
];
/// Besides these, an agent takes all of [`LIMITS`] and [`RETRY`].
pub(super) const AGENT: &[&str] = &[
    "type",
    "command",
    "model",
    "max_running",
    "account",
    "env",
    "env_pass",
    "env_file",
    "path",
    "sandbox",
    "writable",
    "abort_code",
    "polite_signal",
    "output",
    "session",
];
pub(super) const REPO: &[&str] = &[
    "path",
    "base",
    "max_running",
    "issue_state",
    "require_issue_state",
    "setup",
    "teardown",
    "setup_timeout",
    "fetch",
];
/// Besides these, it takes every sign.
pub(super) const OUTPUT: &[&str] = &["keys", "adds_up"];
pub(super) const SESSIONS: &[&str] = &["file"];
/// And these, if its type has a driver.
pub(super) const DRIVEN: &[&str] = &["args", "permissions", "allow_root", "result_grace"];

/// Most attempts at the same time.
const MAX_RUNNING: u64 = 10_000;
/// Most attempts of one task.
const MAX_ATTEMPTS: u64 = 1000;
/// A year of them.
const MAX_BACKUPS: u64 = 366;
/// Between two heartbeats, milliseconds.
const HEARTBEATS: RangeInclusive<u64> = 100..=60_000;
/// A store needs some cache, bytes.
const MIN_CACHE: u64 = 1024 * 1024;

/// Whether files and directories that the text names are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    Look,
    Ignore,
}

/// Reads and checks `text`, which `file` holds.
pub(super) fn read(
    text: &str,
    file: &Path,
    env: &Environment,
    files: Files,
) -> Result<Config, ConfigError> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        home: env.home.as_ref().map(PathBuf::from),
        problems: Problems::default(),
        env_files: Vec::new(),
        writable: Vec::new(),
        repos: Vec::new(),
    };
    let mut config = Config {
        source: Some(file.to_path_buf()),
        ..Config::default()
    };
    for err in &errors {
        let span = err.span().unwrap_or_default();
        let words = match (err.message(), text.get(span.clone())) {
            (words @ "duplicate key", Some(key)) => format!("{words} {}", key.escape_debug()),
            (words, _) => words.replace('\n', ", ").escape_debug().to_string(),
        };
        reader.problems.problem(span.start, words);
    }
    // What follows from broken syntax is not worth a message.
    if errors.is_empty() {
        reader.config(document.get_ref(), &mut config, files);
        if files == Files::Look {
            reader.look_at_files(&mut config);
        }
    }
    reader.problems.finish(file, text)?;
    Ok(config)
}

struct Reader {
    home: Option<PathBuf>,
    problems: Problems,
    /// Where `env_file`s and repositories are named, for a look at them.
    env_files: Vec<(usize, String, PathBuf)>,
    writable: Vec<(usize, String, PathBuf)>,
    repos: Vec<(usize, String)>,
}

impl Reader {
    fn config(&mut self, document: &DeTable<'_>, config: &mut Config, files: Files) {
        let top = Section {
            path: String::new(),
            at: 0,
            table: document,
        };
        self.problems.unknown_keys(&top, TOP);
        if let Some(section) = self.problems.section(&top, "daemon") {
            self.daemon(&section, config, files);
        }
        if let Some(section) = self.problems.section(&top, "defaults") {
            self.problems
                .unknown_keys(&section, &[LIMITS, RETRY].concat());
            config.limits = self.limits(&section);
            config.retry = self.policy(&section);
        }
        if let Some(section) = self.problems.section(&top, "retention") {
            self.retention(&section, &mut config.retention);
        }
        self.notify(&top, &mut config.notify);
        for (name, section) in self.problems.named(&top, "agents") {
            let agent = self.agent(&name, &section);
            config.agents.insert(name, agent);
        }
        for (name, section) in self.problems.named(&top, "repos") {
            if let Some(repo) = self.repo(&name, &section) {
                config.repos.insert(name, repo);
            }
        }
        self.schedules(&top, config, files);
        if let Some(agent) = &config.default_agent
            && !config.agents.contains_key(agent)
        {
            let names: Vec<&str> = config.agents.keys().map(String::as_str).collect();
            let wrong = format!("no agent {agent}{}", value::suggest(agent, &names));
            if let Some(daemon) = self.problems.section(&top, "daemon") {
                self.problems.reject(&daemon, "default_agent", &wrong);
            }
        }
    }

    /// Looks at what the file names: repositories get their canonical paths,
    /// files of variables must be private.
    fn look_at_files(&mut self, config: &mut Config) {
        for (at, path, file) in std::mem::take(&mut self.env_files) {
            if let Err(err) = env_file::check(&file) {
                self.problems
                    .problem(at, format!("{path}: {}: {err}", file.display()));
            }
        }
        for (at, path, place) in std::mem::take(&mut self.writable) {
            if let Err(err) = fs::metadata(&place) {
                let place = place.display();
                self.problems.problem(at, format!("{path}: {place}: {err}"));
            }
        }
        let mut seen: BTreeMap<PathBuf, String> = BTreeMap::new();
        for (at, name) in std::mem::take(&mut self.repos) {
            let Some(repo) = config.repos.get_mut(&name) else {
                continue;
            };
            if let Ok(path) = fs::canonicalize(&repo.path) {
                repo.path = path;
            }
            if let Some(other) = seen.insert(repo.path.clone(), name.clone()) {
                self.problems
                    .problem(at, format!("repos.{name}.path: same as repos.{other}.path"));
            }
        }
    }

    fn daemon(&mut self, section: &Section<'_>, config: &mut Config, files: Files) {
        self.problems.unknown_keys(section, DAEMON);
        if let Some(count) = self.problems.count(section, "max_running", 1..=MAX_RUNNING) {
            config.max_running = count;
        }
        if let Some(count) = self
            .problems
            .count(section, "max_queued", 1..=MAX_QUEUED as u64)
        {
            config.max_queued = count as usize;
        }
        config.default_agent = self.problems.text(section, "default_agent");
        if let Some(size) = self.problems.word(section, "cache", value::size) {
            if size < MIN_CACHE {
                self.problems
                    .reject(section, "cache", "less than 1MiB is not possible");
            }
            config.cache_bytes = size;
        }
        if let Some(size) = self.problems.word(section, "min_free_disk", value::size) {
            config.min_free_disk = size;
        }
        if let Some(count) = self
            .problems
            .count(section, "daily_backups", 0..=MAX_BACKUPS)
        {
            config.daily_backups = count;
        }
        if let Some(time) = self.problems.word(section, "heartbeat", value::duration) {
            if !HEARTBEATS.contains(&time) {
                self.problems
                    .reject(section, "heartbeat", "expected 100ms to 1m");
            }
            config.heartbeat = time;
        }
        let suspect = self
            .problems
            .word(section, "suspect_after", value::duration);
        config.suspect_after = suspect.unwrap_or(config.suspect_after);
        if config.suspect_after < config.heartbeat.saturating_mul(MIN_BEATS) {
            let wrong = format!("less than {MIN_BEATS} heartbeats");
            self.problems.reject(section, "suspect_after", &wrong);
        }
        if let Some(open) = self.problems.switch(section, "agents_may_control") {
            config.agents_may_control = open;
        }
        if let Some(on) = self.problems.switch(section, "cgroups") {
            config.cgroups = on;
        }
        config.access = self.access(section, files);
    }

    fn retention(&mut self, section: &Section<'_>, set: &mut Retention) {
        self.problems.unknown_keys(section, RETENTION);
        for (key, time) in [
            ("tasks", &mut set.tasks),
            ("transcripts", &mut set.transcripts),
            ("worktrees", &mut set.worktrees),
            ("every", &mut set.every),
        ] {
            if let Some(said) = self.problems.word(section, key, value::duration_or_off) {
                *time = (said > 0).then_some(said);
            }
        }
    }

    fn repo(&mut self, name: &str, section: &Section<'_>) -> Option<Repo> {
        self.problems.unknown_keys(section, REPO);
        let home = self.home.clone();
        let path = self
            .problems
            .word(section, "path", |text| value::path(text, home.as_deref()));
        let base = self.problems.text(section, "base");
        if base.as_ref().is_some_and(|base| base.starts_with('-')) {
            self.problems
                .reject(section, "base", "a branch or commit cannot begin with -");
        }
        let max_running = self.problems.count(section, "max_running", 1..=MAX_RUNNING);
        match section.field("path") {
            Some(field) => self.repos.push((field.at, name.to_owned())),
            None => self.problems.missing(section, "path"),
        }
        Some(Repo {
            name: name.to_owned(),
            path: path?,
            base,
            max_running,
            issue_state: self.program(section, "issue_state"),
            require_issue_state: self
                .problems
                .switch(section, "require_issue_state")
                .unwrap_or(false),
            setup: self.program(section, "setup"),
            teardown: self.program(section, "teardown"),
            setup_timeout: self
                .problems
                .word(section, "setup_timeout", value::duration)
                .unwrap_or(SETUP_TIMEOUT),
            fetch: self
                .problems
                .word(section, "fetch", value::fetch)
                .unwrap_or_default(),
        })
    }

    /// A program and its arguments; empty if none is named.
    fn program(&mut self, section: &Section<'_>, key: &str) -> Vec<String> {
        let words = self.problems.words(section, key);
        let Some(words) = words else {
            return Vec::new();
        };
        if words.first().is_none_or(String::is_empty) {
            self.problems.reject(section, key, "names no program");
        }
        if words.iter().map(String::len).sum::<usize>() > MAX_PROMPT {
            self.problems.reject(section, key, "longer than 1 MiB");
        }
        words
    }
}
