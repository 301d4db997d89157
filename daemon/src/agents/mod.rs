//! What agents are run as, and what their exits mean: one file an agent type.
//!
//! A driver says two things of its program: the command line and standard
//! input for a task ([`invocation`]), and what the end of a run means
//! ([`classify`]). The environment is the same for all
//! ([`fn@environment`]).
//!
//! Not here: starting anything, and deciding what happens after a failure.
//!
//! Invariant: nothing of a task is put into a shell's command line. A prompt
//! reaches an agent through its standard input only.

mod command;
mod environment;
mod exit;
mod note;
mod probe;
pub mod stream;

use std::{collections::BTreeMap, env, fmt, path::Path};

pub use self::{
    environment::{EnvironmentError, environment},
    exit::classify,
    note::{Told, note},
    probe::{probe, takes_session_id},
};
use crate::{
    config::Agent,
    spool::{Reads, Stdin},
    task::{
        attempt::{Attempt, Workspace},
        reason::FailureReason,
        spec::{AgentType, Payload},
        state::Task,
    },
};

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
}

/// What is to be started for an attempt that was given what it was given, and
/// comes after what is told.
///
/// Reads the agent's `env_file` and the process's environment.
///
/// # Errors
/// A task without a command, and an environment that cannot be made.
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
    let plan = match agent.agent_type {
        AgentType::Command => command::plan(agent, payload, note.as_deref())?,
    };
    if plan.argv.iter().any(|word| word.contains('\0')) {
        return Err(InvocationError::Nul);
    }
    let facts = environment::facts(task, attempt, workspace, socket);
    let facts = facts.map(|mut facts| {
        let session = attempt.given.resumes().map(str::to_owned);
        let more = [("AGENTD_SESSION", session), ("AGENTD_NOTE", note)];
        let more = more.into_iter();
        facts.extend(more.filter_map(|(name, value)| Some((name.to_owned(), value?))));
        facts
    });
    let env = facts.and_then(|facts| environment(agent, &|name| env::var_os(name), facts));
    let env = env.map_err(|source| InvocationError::Environment {
        agent: agent.name.clone(),
        source,
    })?;
    Ok(Invocation {
        argv: plan.argv,
        env,
        stdin: plan.stdin,
        prompt: plan.prompt,
        reads: plan.reads,
        polite_signal: agent.polite_signal,
    })
}

#[cfg(test)]
mod tests;
