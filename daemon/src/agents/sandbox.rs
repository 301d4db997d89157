//! What an agent in a sandbox may touch: where it works, what its program keeps
//! in the home, and what the operator adds.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::driver::{Env, home_of};
use crate::{
    config::Agent,
    process::{Cage, CageError},
    spool::Sandbox,
    task::{attempt::Workspace, reason::FailureReason, spec::AgentType},
};

/// A sandbox that an agent cannot be held in; so it is not started.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There can be none, or none that keeps what it is to keep.
    #[error("{agent} is to run in a sandbox: {source}")]
    Cage {
        /// The agent's name.
        agent: String,
        /// Why not.
        source: CageError,
    },
    /// Its program keeps something there, and could not make it itself.
    #[error("{agent} is to run in a sandbox: cannot make {}: {source}", path.display())]
    Home {
        /// The agent's name.
        agent: String,
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl SandboxError {
    /// The reason of an attempt that fails of it: it takes a person to change the
    /// configuration or the machine.
    #[must_use]
    pub fn reason(&self) -> FailureReason {
        FailureReason::AgentMissing
    }
}

/// The sandbox of an agent that is to run in one. `git` is what git needs to
/// write for a commit, `hidden` what no agent is to read unless it works there.
///
/// Makes what the agent's program keeps in the home, and tries whether the kernel
/// takes the rules.
///
/// # Errors
/// If it cannot be made, or would not hold.
pub fn sandbox(
    agent: &Agent,
    env: &BTreeMap<String, String>,
    workspace: &Workspace,
    git: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
) -> Result<Option<Sandbox>, SandboxError> {
    if !agent.sandbox {
        return Ok(None);
    }
    for path in kept(agent.agent_type, env) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| SandboxError::Home {
            agent: agent.name.clone(),
            path,
            source,
        })?;
    }
    let mut writable = vec![workspace.path.clone()];
    writable.extend(git);
    writable.extend(kept(agent.agent_type, env));
    writable.extend(settings(agent.agent_type, env));
    writable.extend(env.get("TMPDIR").map(PathBuf::from));
    writable.extend(agent.writable.iter().cloned());
    // What is not there yet is hidden from the time on at which it is.
    let hidden = hidden
        .into_iter()
        .map(|path| fs::canonicalize(&path).unwrap_or(path));
    let sandbox = Sandbox {
        writable,
        hidden: hidden.collect(),
    };
    match Cage::new(&sandbox.writable, &sandbox.hidden) {
        Ok(_) => Ok(Some(sandbox)),
        Err(source) => Err(SandboxError::Cage {
            agent: agent.name.clone(),
            source,
        }),
    }
}

/// The directories in which an agent's program keeps sessions, logins and the like.
fn kept(agent_type: AgentType, env: &Env) -> Vec<PathBuf> {
    let one = |variable, below| home_of(env, variable, below);
    let several = match agent_type {
        AgentType::Command => vec![],
        AgentType::Claude => vec![one("CLAUDE_CONFIG_DIR", ".claude")],
        AgentType::Codex => vec![one("CODEX_HOME", ".codex")],
        AgentType::Gemini => vec![one("GEMINI_CLI_HOME", "").map(|home| home.join(".gemini"))],
        AgentType::Opencode => [
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_STATE_HOME", ".local/state"),
        ]
        .map(|(variable, below)| one(variable, below).map(|base| base.join("opencode")))
        .to_vec(),
    };
    several.into_iter().flatten().collect()
}

/// Files that it keeps beside other things; it can write them if they are there.
fn settings(agent_type: AgentType, env: &Env) -> Option<PathBuf> {
    let moved = env.contains_key("CLAUDE_CONFIG_DIR");
    match agent_type {
        AgentType::Claude if !moved => Some(Path::new(env.get("HOME")?).join(".claude.json")),
        AgentType::Claude
        | AgentType::Command
        | AgentType::Codex
        | AgentType::Gemini
        | AgentType::Opencode => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_keeps_what_it_keeps_where_its_variables_say() {
        let home = Env::from([("HOME".to_owned(), "/h".to_owned())]);
        for (agent_type, variable, places, elsewhere) in [
            (
                AgentType::Claude,
                "CLAUDE_CONFIG_DIR",
                &["/h/.claude"][..],
                "/x",
            ),
            (AgentType::Codex, "CODEX_HOME", &["/h/.codex"], "/x"),
            (
                AgentType::Gemini,
                "GEMINI_CLI_HOME",
                &["/h/.gemini"],
                "/x/.gemini",
            ),
            (
                AgentType::Opencode,
                "XDG_DATA_HOME",
                &[
                    "/h/.local/share/opencode",
                    "/h/.config/opencode",
                    "/h/.cache/opencode",
                    "/h/.local/state/opencode",
                ],
                "/x/opencode",
            ),
        ] {
            let places: Vec<_> = places.iter().map(PathBuf::from).collect();
            assert_eq!(kept(agent_type, &home), places);
            let mut moved = home.clone();
            moved.insert(variable.to_owned(), "/x".to_owned());
            assert_eq!(kept(agent_type, &moved)[0], Path::new(elsewhere));
        }
        assert!(kept(AgentType::Command, &home).is_empty());
        let json = settings(AgentType::Claude, &home);
        assert_eq!(json, Some(PathBuf::from("/h/.claude.json")));
    }
}
