//! What agents are run as, and what their exits mean: one file an agent type.
//!
//! A driver says of its program what is run for a task ([`invocation`]), how what
//! it prints is read ([`stream`]), whether a session of it is still there
//! ([`probe()`]), what it needs to write in its home ([`sandbox()`]), and whether
//! it is logged in ([`survey()`]). What the end of a run
//! means ([`classify`]) and the environment ([`fn@environment`]) are much the same
//! for all.
//!
//! Not here: starting anything, and deciding what happens after a failure.
//!
//! Invariant: nothing of a task is put into a shell's command line. A prompt
//! reaches an agent through its standard input only.

mod claude;
mod codex;
mod command;
mod driver;
mod environment;
mod exit;
mod gemini;
mod note;
mod opencode;
mod probe;
pub mod readable;
mod sandbox;
pub mod stream;
mod survey;
mod surveys;
mod version;

use std::{collections::BTreeMap, env, fmt, path::Path};

use self::driver::Job;
pub use self::{
    environment::{EnvironmentError, base_environment, environment},
    exit::classify,
    note::{Told, note},
    probe::{probe, takes_id},
    sandbox::{SandboxError, sandbox},
    survey::{Survey, Trouble, Versions, outdated, survey},
    surveys::Surveys,
};
use crate::{
    config::Agent,
    spool::{Reads, Stdin},
    task::{
        attempt::{Attempt, Workspace},
        reason::FailureReason,
        session::{Given, Probe, Way},
        spec::{AgentType, Payload},
        state::Task,
        usage::Usage,
    },
};

/// The conversation that an agent begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start<'a> {
    /// A new one.
    #[default]
    Fresh,
    /// A new one under this id, if it takes one; see [`takes_id`].
    Minted(&'a str),
    /// One that it had before.
    Resume {
        /// Its id.
        session: &'a str,
        /// What is known to have been used in it, for agents whose figures go
        /// on over a resume.
        before: Usage,
    },
}

/// Whether an agent is logged in at its provider, as far as can be seen without
/// asking that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// It is, in this way; it may still be refused.
    Yes(String),
    /// It has no key and no login.
    No,
    /// That cannot be seen.
    Unknown,
}

/// What the runner is to start. Its `Debug` hides values and arguments.
#[derive(Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// The whole environment, but for the marker that the runner adds.
    pub env: BTreeMap<String, String>,
    /// Standard input.
    pub stdin: Stdin,
    /// What goes there with [`Stdin::Prompt`].
    pub prompt: String,
    /// What is read from its output.
    pub reads: Reads,
    /// The number of the signal that asks it to end.
    pub polite_signal: i32,
}

impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("program", &self.argv.first())
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("stdin", &self.stdin)
            .field("polite_signal", &self.polite_signal)
            .finish_non_exhaustive()
    }
}

/// A task that its agent cannot be started for.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// Neither the configuration nor the task says what to run.
    #[error("agent {agent} has no command of its own, and the task brings none")]
    NoCommand {
        /// The agent's name.
        agent: String,
    },
    /// Both say what to run.
    #[error("agent {agent} has a command of its own and takes none from a task")]
    TwoCommands {
        /// The agent's name.
        agent: String,
    },
    /// There is nothing to ask of it.
    #[error("agent {agent} needs a prompt")]
    NoPrompt {
        /// The agent's name.
        agent: String,
    },
    /// It refuses to do everything as root.
    #[error(
        "agent {agent} may do everything, which Claude Code does not do as root: \
         set allow_root for it if this machine is a sandbox, or permissions, \
         or run agentd as another user"
    )]
    Root {
        /// The agent's name.
        agent: String,
    },
    /// It cannot be put into an argument.
    #[error("the directory {path} is not UTF-8")]
    Directory {
        /// The directory, as far as it can be shown.
        path: String,
    },
    /// No process can be given such an argument.
    #[error("the command holds a NUL character")]
    Nul,
    /// Its environment cannot be made.
    #[error("agent {agent}: {source}")]
    Environment {
        /// The agent's name.
        agent: String,
        /// Why.
        source: EnvironmentError,
    },
}

impl InvocationError {
    /// The reason of an attempt that fails of it. Another try would fail too:
    /// it takes a person to change the configuration or the task.
    #[must_use]
    pub fn reason(&self) -> FailureReason {
        FailureReason::AgentError
    }
}

/// Command line and standard input, as a driver makes them.
struct Plan {
    argv: Vec<String>,
    stdin: Stdin,
    reads: Reads,
    /// The prompt, with what the agent is told before it.
    prompt: String,
    /// Variables that are set unless the operator does.
    env: BTreeMap<String, String>,
}

/// What is to be started for an attempt that was given what it was given, and
/// comes after what is told.
///
/// Reads the agent's `env_file`, the process's environment, and where the
/// agent's program is.
///
/// # Errors
/// A task without a command or prompt, and an environment that cannot be made.
pub fn invocation(
    agent: &Agent,
    task: &Task,
    attempt: &Attempt,
    payload: &Payload,
    workspace: &Workspace,
    socket: &Path,
    told: &Told,
) -> Result<Invocation, InvocationError> {
    debug_assert_eq!(attempt.id.task, task.id, "an attempt of another task");
    let note = note(&attempt.given, told);
    let facts = environment::facts(task, attempt, workspace, socket);
    let facts = facts.map(|mut facts| {
        let session = attempt.given.resumes().map(str::to_owned);
        let more = [("AGENTD_SESSION", session), ("AGENTD_NOTE", note.clone())];
        let more = more.into_iter();
        facts.extend(more.filter_map(|(name, value)| Some((name.to_owned(), value?))));
        facts
    });
    let env = facts.and_then(|facts| environment(agent, &|name| env::var_os(name), facts));
    let mut env = env.map_err(|source| InvocationError::Environment {
        agent: agent.name.clone(),
        source,
    })?;
    let job = Job {
        agent,
        payload,
        model: task.spec.model.as_deref(),
        workspace,
        start: start(&attempt.given, told),
        note: note.as_deref(),
        env: &env,
    };
    let plan = match agent.agent_type {
        AgentType::Command => command::plan(&job),
        AgentType::Claude => claude::plan(&job),
        AgentType::Codex => codex::plan(&job),
        AgentType::Gemini => gemini::plan(&job),
        AgentType::Opencode => opencode::plan(&job),
    }?;
    if plan.argv.iter().any(|word| word.contains('\0')) {
        return Err(InvocationError::Nul);
    }
    for (name, value) in plan.env {
        env.entry(name).or_insert(value);
    }
    Ok(Invocation {
        argv: plan.argv,
        env,
        stdin: plan.stdin,
        prompt: plan.prompt,
        reads: plan.reads,
        polite_signal: agent.polite_signal,
    })
}

/// The conversation that an attempt begins with, as it was given.
fn start<'a>(given: &'a Given, told: &Told) -> Start<'a> {
    match (given.way, given.session.as_deref()) {
        (Way::Chosen | Way::Seen | Way::Unseen, Some(session)) => Start::Resume {
            session,
            before: told.used,
        },
        (Way::Minted, Some(session)) => Start::Minted(session),
        (_, None) | (Way::Fresh | Way::Gone, Some(_)) => Start::Fresh,
    }
}

#[cfg(test)]
mod tests;
