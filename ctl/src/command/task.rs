//! The arguments that describe a task, common to `run` and `submit`.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use agentd_proto::v1;
use clap::{Args, ValueEnum};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    at_least_one,
    budget::BudgetArgs,
    given,
    later::{AfterArg, LaterArgs, parse_after},
    priority, random_request_id,
    resources::ResourceArgs,
    retry::RetryArgs,
};
use crate::{
    error::{Error, Kind},
    output::{page::quoted, table::cut},
    when::Span,
};

/// The largest prompt the daemon takes, bytes.
const MAX_PROMPT: usize = 1024 * 1024;

/// The agent that runs a command when no other was named.
const COMMAND_AGENT: &str = "shell";

/// Columns of a title made from a prompt.
const TITLE_WIDTH: usize = 80;

/// What to run, by whom and where.
#[derive(Debug, Args)]
pub(crate) struct TaskArgs {
    /// What the agent is to do; - reads it from stdin.
    #[arg(value_name = "PROMPT", conflicts_with_all = ["prompt_file", "command"])]
    prompt: Option<String>,

    /// Read the prompt from a file.
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    prompt_file: Option<PathBuf>,

    /// Run this command instead of giving an agent a prompt.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,

    /// The agent that does it [default: the daemon's; shell for a command].
    #[arg(short, long, value_name = "NAME", value_parser = given)]
    agent: Option<String>,

    /// The git repository to work in, or its name in the configuration; without it
    /// the agent gets an empty directory.
    #[arg(short = 'C', long, value_name = "DIR")]
    repo: Option<PathBuf>,

    /// The issue it is about. Of one agent, repository and issue only one task
    /// is active at a time.
    #[arg(long, value_name = "ISSUE", value_parser = given)]
    issue: Option<String>,

    /// The model to use [default: the agent's].
    #[arg(long, value_name = "NAME", value_parser = given)]
    model: Option<String>,

    /// A title for lists [default: the prompt's first line].
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,

    /// A label; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,

    /// Tasks of higher priority are started first.
    #[arg(
        long,
        default_value_t = 0,
        value_name = "N",
        value_parser = priority,
        allow_negative_numbers = true
    )]
    priority: i32,

    /// How long one attempt may run, for example 90m.
    #[arg(long, value_name = "TIME", value_parser = parse_limit)]
    timeout: Option<Span>,

    /// How long an attempt may take to start once its workspace is ready.
    #[arg(long, value_name = "TIME", value_parser = parse_limit)]
    start_timeout: Option<Span>,

    /// How long an agent may do nothing (no output, hardly any CPU time, no
    /// new process) before it is stopped; off for as long as it likes [default: 30m].
    #[arg(long, value_name = "TIME|off", value_parser = parse_idle)]
    idle_timeout: Option<Idle>,

    /// How long it may wait for its first start before it fails.
    #[arg(long, value_name = "TIME", value_parser = parse_limit)]
    queue_ttl: Option<Span>,

    /// How long an agent that is to stop has before it is killed.
    #[arg(long, value_name = "TIME", value_parser = parse_limit)]
    kill_grace: Option<Span>,

    /// How many attempts may be made in all.
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>)]
    max_attempts: Option<u32>,

    #[command(flatten)]
    retry: RetryArgs,

    #[command(flatten)]
    budget: BudgetArgs,

    #[command(flatten)]
    resources: ResourceArgs,

    /// Where the agent works [default: worktree with a repository, else none].
    #[arg(long, value_enum, value_name = "MODE")]
    workspace: Option<Workspace>,

    #[command(flatten)]
    busy: BusyArgs,

    #[command(flatten)]
    later: LaterArgs,

    /// Wait until this task has succeeded; with :any until it has ended. May be
    /// given several times, and name several: 42, 40-44, @last:any.
    #[arg(long, value_name = "ID[:ok|:any]", value_parser = parse_after)]
    pub(super) after: Vec<AfterArg>,

    /// The same id with the same contents makes one task, however often it is
    /// sent [default: a random one].
    #[arg(long, value_name = "ID", value_parser = given)]
    request_id: Option<String>,
}

/// What to do if the issue has an active task of this agent already.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct BusyArgs {
    /// If the issue has an active task of this agent, wait behind it.
    #[arg(long)]
    queue: bool,

    /// If the issue has an active task of this agent, cancel it first, and all
    /// that wait behind it.
    #[arg(long, conflicts_with = "queue")]
    replace: bool,
}

impl BusyArgs {
    /// For the interface.
    pub(crate) fn on_busy(self) -> v1::OnBusy {
        match (self.queue, self.replace) {
            (true, _) => v1::OnBusy::Queue,
            (false, true) => v1::OnBusy::Replace,
            (false, false) => v1::OnBusy::Unspecified,
        }
    }
}

/// Where the agent works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workspace {
    /// A git worktree and a branch of its own.
    Worktree,
    /// The repository's own checkout.
    InPlace,
    /// None is made: the repository itself, without one a private, empty directory.
    None,
}

impl TaskArgs {
    /// Checks what can be checked here and makes the request.
    ///
    /// # Errors
    /// Wrong usage, or a file that cannot be read.
    pub(crate) fn into_request(
        self,
        stdin: impl Read,
        (now, zone): (Timestamp, &TimeZone),
    ) -> Result<v1::SubmitRequest, Error> {
        let (not_before, delay) = self.later.times(now, zone)?;
        let prompt = self.read_prompt(stdin)?;
        let repo = self.repo.as_deref().map(canonical_repo).transpose()?;
        let mode = match self.workspace {
            None => v1::WorkspaceMode::Unspecified,
            Some(Workspace::Worktree) => v1::WorkspaceMode::Worktree,
            Some(Workspace::InPlace) => v1::WorkspaceMode::InPlace,
            Some(Workspace::None) => v1::WorkspaceMode::None,
        };
        if repo.is_none()
            && matches!(
                self.workspace,
                Some(Workspace::Worktree | Workspace::InPlace)
            )
        {
            return Err(Error::usage("this workspace mode needs a repository")
                .hint("name one with --repo DIR, or --repo . for this directory"));
        }
        let agent = match self.agent {
            Some(agent) => agent,
            None if self.command.is_empty() => String::new(),
            None => COMMAND_AGENT.to_owned(),
        };
        let title = self
            .title
            .unwrap_or_else(|| title_of(&prompt, &self.command));
        Ok(v1::SubmitRequest {
            request_id: self.request_id.map_or_else(random_request_id, Ok)?,
            agent,
            title,
            prompt,
            command: self.command,
            repo: repo.unwrap_or_default(),
            issue: self.issue.unwrap_or_default(),
            model: self.model.unwrap_or_default(),
            labels: unique_labels(self.labels)?,
            priority: self.priority,
            limits: Some(v1::Limits {
                start_timeout: self.start_timeout.map(Span::as_millis),
                timeout: self.timeout.map(Span::as_millis),
                kill_grace: self.kill_grace.map(Span::as_millis),
                max_attempts: self.max_attempts,
                queue_ttl: self.queue_ttl.map(Span::as_millis),
                idle_timeout: self.idle_timeout.map(|idle| idle.0),
                memory: self.resources.memory,
                pids: self.resources.pids,
                cpu: self.resources.cpu,
                ..self.budget.limits()
            }),
            retry: self.retry.policy(),
            workspace_mode: mode.into(),
            on_busy: self.busy.on_busy().into(),
            not_before,
            delay,
            // Known when the daemon was asked.
            after: Vec::new(),
        })
    }

    fn read_prompt(&self, stdin: impl Read) -> Result<String, Error> {
        if !self.command.is_empty() {
            return Ok(String::new());
        }
        let prompt = match (&self.prompt, &self.prompt_file) {
            (Some(dash), _) if dash == "-" => read_limited(stdin, "stdin")?,
            (Some(prompt), _) => prompt.clone(),
            (None, Some(path)) if path == Path::new("-") => read_limited(stdin, "stdin")?,
            (None, Some(path)) => {
                let name = path.display().to_string();
                let file = File::open(path).map_err(|error| cannot_read(&name, error))?;
                read_limited(file, &name)?
            }
            // It may have a command of its own; the daemon knows.
            (None, None) if self.agent.is_some() => return Ok(String::new()),
            (None, None) => {
                return Err(Error::usage("there is nothing to do")
                    .because("neither a prompt nor a command was given")
                    .hint("agentctl run 'fix the failing test', or agentctl run -- make test"));
            }
        };
        check_prompt(prompt)
    }
}

/// Refuses what the daemon would refuse.
///
/// # Errors
/// Empty or too long.
pub(crate) fn check_prompt(prompt: String) -> Result<String, Error> {
    if prompt.trim().is_empty() {
        return Err(Error::usage("the prompt is empty"));
    }
    if prompt.len() > MAX_PROMPT {
        return Err(too_long());
    }
    Ok(prompt)
}

fn too_long() -> Error {
    Error::usage("the prompt is longer than 1 MiB")
        .hint("put what is long into a file in the repository and name it in the prompt")
}

fn cannot_read(name: &str, error: io::Error) -> Error {
    Error::new(Kind::Usage, format!("cannot read the prompt from {name}")).because(error)
}

fn read_limited(from: impl Read, name: &str) -> Result<String, Error> {
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is too much.
    from.take(MAX_PROMPT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot_read(name, error))?;
    if bytes.len() > MAX_PROMPT {
        return Err(too_long());
    }
    String::from_utf8(bytes)
        .map_err(|error| Error::usage(format!("the prompt in {name} is not UTF-8")).because(error))
}

fn canonical_repo(path: &Path) -> Result<String, Error> {
    let shown = path.display();
    let real = match fs::canonicalize(path) {
        Ok(real) => real,
        // It may be the name of one that is configured: the daemon knows.
        Err(error) => {
            return bare_name(path).ok_or_else(|| {
                Error::usage(format!("cannot use the repository {shown}")).because(error)
            });
        }
    };
    if !real.is_dir() {
        return Err(Error::usage(format!(
            "cannot use the repository {shown}: it is no directory"
        )));
    }
    real.into_os_string()
        .into_string()
        .map_err(|_| Error::usage(format!("the repository's path {shown} is not UTF-8")))
}

/// A word without a slash.
pub(crate) fn bare_name(path: &Path) -> Option<String> {
    let name = path.to_str()?;
    let is_name = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    is_name.then(|| name.to_owned())
}

/// The first line that says something, or the command.
fn title_of(prompt: &str, command: &[String]) -> String {
    let first = prompt.lines().map(str::trim).find(|line| !line.is_empty());
    let text = first.map_or_else(|| quoted(command), str::to_owned);
    // A tab in a prompt, a newline in a script: a title is one line.
    let words: Vec<&str> = text.split_whitespace().collect();
    cut(&words.join(" ").replace(char::is_control, " "), TITLE_WIDTH)
}

/// `key=value`.
///
/// # Errors
/// There is no `=`, or nothing before it.
pub(crate) fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("a label is written KEY=VALUE".to_owned()),
    }
}

/// Labels by key.
///
/// # Errors
/// A key was given twice.
pub(crate) fn unique_labels(
    labels: Vec<(String, String)>,
) -> Result<HashMap<String, String>, Error> {
    let mut unique = HashMap::new();
    for (key, value) in labels {
        if unique.contains_key(&key) {
            return Err(Error::usage(format!("the label {key} was given twice")));
        }
        unique.insert(key, value);
    }
    Ok(unique)
}

/// How long an agent may do nothing, milliseconds; 0 is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Idle(u64);

/// A duration, or `off`.
fn parse_idle(text: &str) -> Result<Idle, String> {
    match text {
        "off" => Ok(Idle(0)),
        text => parse_limit(text).map(|span| Idle(span.as_millis())),
    }
}

/// A duration that is not zero: in the interface that means the default.
pub(crate) fn parse_limit(text: &str) -> Result<Span, String> {
    let span: Span = text
        .parse()
        .map_err(|e: crate::when::ParseTimeError| e.to_string())?;
    if span.as_millis() == 0 {
        return Err("it must be longer than nothing".to_owned());
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_short_line() {
        let script = ["sh", "-c", "echo a\n  echo b"].map(str::to_owned);
        for (prompt, command, title) in [
            (
                "\n  fix\tthe build \nand the docs",
                &[][..],
                "fix the build",
            ),
            ("", &script[..], "sh -c 'echo a echo b'"),
        ] {
            assert_eq!(title_of(prompt, command), title);
        }
        let long = title_of(&"word ".repeat(100), &[]);
        assert!(long.chars().count() <= TITLE_WIDTH, "{long}");
    }
}
