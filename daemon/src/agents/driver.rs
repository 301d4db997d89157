//! What the drivers have in common.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{InvocationError, Login, Plan, Probe, Start, note::before_prompt};
use crate::{
    config::Agent,
    spool::{Reads, Stdin},
    task::{attempt::Workspace, spec::Payload},
};

/// Variables of an agent.
pub(super) type Env = BTreeMap<String, String>;

/// What a driver makes a command line of.
pub(super) struct Job<'a> {
    pub(super) agent: &'a Agent,
    pub(super) payload: &'a Payload,
    pub(super) model: Option<&'a str>,
    pub(super) workspace: &'a Workspace,
    pub(super) start: Start<'a>,
    /// What it is told before its prompt.
    pub(super) note: Option<&'a str>,
    /// What its environment will be, but for [`Plan::env`].
    pub(super) env: &'a Env,
}

impl Job<'_> {
    /// The program and what is to come first of its arguments.
    pub(super) fn program(&self) -> Vec<String> {
        match self.agent.command.as_slice() {
            [] => self.agent.agent_type.program().map(String::from),
            words => return words.to_vec(),
        }
        .into_iter()
        .collect()
    }

    /// The directory where it works.
    pub(super) fn directory(&self) -> Result<&str, InvocationError> {
        let path = self.workspace.path.to_str();
        path.ok_or_else(|| InvocationError::Directory {
            path: self.workspace.path.display().to_string(),
        })
    }

    /// A prompt goes to standard input: an argument has less room, and one that
    /// begins with a hyphen would be a flag.
    pub(super) fn plan(
        &self,
        argv: Vec<String>,
        reads: Reads,
        env: &[(&str, &str)],
    ) -> Result<Plan, InvocationError> {
        let agent = || self.agent.name.clone();
        if !self.payload.command.is_empty() {
            return Err(InvocationError::TwoCommands { agent: agent() });
        }
        if self.payload.prompt.trim().is_empty() {
            return Err(InvocationError::NoPrompt { agent: agent() });
        }
        let pairs = env.iter();
        Ok(Plan {
            argv,
            stdin: Stdin::Prompt,
            prompt: before_prompt(self.note, &self.payload.prompt),
            reads,
            env: pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        })
    }
}

/// `--name=value`: no value is taken for another flag, whatever it begins with.
pub(super) fn flag(name: &str, value: &str) -> String {
    format!("--{name}={value}")
}

/// The directory of this variable, else a place in the home directory.
pub(super) fn home_of(env: &Env, variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = env.get(variable).filter(|value| !value.is_empty());
    let own = set.map(PathBuf::from);
    own.or_else(|| Some(Path::new(env.get("HOME")?).join(below_home)))
}

/// The names in a directory; none if there is no such directory.
pub(super) fn names(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if is_none(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// What a search for a session's file came to. One that failed proves nothing.
pub(super) fn probed(found: io::Result<bool>) -> Probe {
    match found {
        Ok(true) => Probe::Present,
        Ok(false) => Probe::Absent,
        Err(_) => Probe::Unknown,
    }
}

fn is_none(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether there is such a file.
pub(super) fn exists(file: &Path) -> io::Result<bool> {
    match fs::metadata(file) {
        Ok(_) => Ok(true),
        Err(error) if is_none(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Logged in by one of these variables or by this file, as far as can be seen
/// from outside; whether the key is good, only the provider knows.
pub(super) fn login(env: &Env, variables: &[&str], file: Option<PathBuf>) -> Login {
    let is_set = |name: &&&str| env.get(**name).is_some_and(|value| !value.is_empty());
    if let Some(name) = variables.iter().find(is_set) {
        return Login::Yes(format!("by {name}"));
    }
    let Some(file) = file else {
        return Login::Unknown;
    };
    match exists(&file) {
        Ok(true) => Login::Yes(format!("by {}", file.display())),
        Ok(false) => Login::No,
        Err(_) => Login::Unknown,
    }
}
