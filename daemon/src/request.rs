//! What has to hold of a new task, whoever asks for it.

use std::path::{Path, PathBuf};

use crate::{
    config::Agent,
    task::{
        limits::{MAX_PROMPT, clip},
        spec::{AgentType, Payload},
    },
    workspace,
};

/// Longest title made from a prompt or command, bytes.
const MADE_TITLE: usize = 80;

/// A part of a task that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Which part.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: &'static str,
}

impl Refused {
    fn new(field: &'static str, message: impl Into<String>, hint: &'static str) -> Self {
        Self {
            field,
            message: message.into(),
            hint,
        }
    }
}

/// Whether an agent can be given this to do.
///
/// # Errors
/// Too much, nothing, what is no text, or a command for an agent that has its own.
pub fn payload_fits(agent: &Agent, payload: &Payload) -> Result<(), Refused> {
    let Payload { prompt, command } = payload;
    let size = prompt.len() + command.iter().map(String::len).sum::<usize>();
    if size > MAX_PROMPT {
        return Err(Refused::new(
            "prompt",
            format!("prompt and command have {size} bytes; {MAX_PROMPT} are the limit"),
            "put long material into a file in the repository and name it in the prompt",
        ));
    }
    if prompt.contains('\0') {
        return Err(Refused::new(
            "prompt",
            "the prompt has a NUL byte, which is no text",
            "put data into a file in the repository and name it in the prompt",
        ));
    }
    if command.iter().any(|word| word.contains('\0'))
        || command.first().is_some_and(String::is_empty)
    {
        return Err(Refused::new(
            "command",
            "the command has an empty program or a NUL byte",
            "",
        ));
    }
    if agent.agent_type != AgentType::Command {
        return driven_fits(agent, payload);
    }
    if agent.command.is_empty() {
        if prompt.trim().is_empty() && command.is_empty() {
            return Err(Refused::new(
                "prompt",
                "prompt and command are both empty",
                "agentctl run PROMPT, or agentctl run -- COMMAND",
            ));
        }
    } else if !command.is_empty() {
        return Err(Refused::new(
            "command",
            format!("agent {} has a command of its own", agent.name),
            "give it a prompt, or leave out --agent to run the command as it is",
        ));
    }
    Ok(())
}

/// An agent with a driver is asked in words.
fn driven_fits(agent: &Agent, payload: &Payload) -> Result<(), Refused> {
    let name = &agent.name;
    if !payload.command.is_empty() {
        return Err(Refused::new(
            "command",
            format!("agent {name} takes a prompt, not a command"),
            "give it a prompt, or leave out --agent to run the command as it is",
        ));
    }
    if payload.prompt.trim().is_empty() {
        return Err(Refused::new(
            "prompt",
            format!("agent {name} needs a prompt"),
            "agentctl run --agent NAME PROMPT",
        ));
    }
    Ok(())
}

/// The repository that a path is in. Runs git: blocks.
///
/// # Errors
/// There is none.
pub fn locate(path: &Path) -> Result<PathBuf, Refused> {
    let failed = |message: String| {
        let hint = "name a directory inside a git repository";
        Refused::new("repo", message, hint)
    };
    if !path.is_absolute() {
        return Err(failed(format!("{}: not an absolute path", path.display())));
    }
    let found = workspace::locate_repo(path).map_err(|error| failed(error.to_string()))?;
    if found.to_str().is_none() {
        return Err(failed(format!("{}: not UTF-8", found.display())));
    }
    Ok(found)
}

/// The first line of the prompt, or the command.
#[must_use]
pub fn made_title(payload: &Payload, agent: &Agent) -> String {
    let mut lines = payload.prompt.lines().map(str::trim);
    let title = match lines.find(|line| !line.is_empty()) {
        Some(line) => line.to_owned(),
        None if payload.command.is_empty() => agent.command.join(" "),
        None => payload.command.join(" "),
    };
    clip(&title.replace(char::is_control, " "), MADE_TITLE)
}
