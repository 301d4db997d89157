//! What an agent that is to be in a sandbox may touch, and what is hidden from it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::actor::Failed;
use crate::{
    agents,
    config::{Agent, Config},
    spool::Sandbox,
    supervisor::Supervisor,
    task::{attempt::Workspace, spec::TaskSpec},
    workspace,
};

/// What is hidden from an agent that is to be in a sandbox: the state directory but
/// for its own workspace, and of secrets what it is not given.
pub(super) fn hidden(
    supervisor: &Supervisor,
    config: &Config,
    agent: &Agent,
) -> Option<Vec<PathBuf>> {
    let mut hidden = agent.sandbox.then(|| supervisor.not_for_agents())?;
    hidden.extend(config.secrets().map(Path::to_owned));
    Some(hidden)
}

/// What the agent may touch, if not whatever its user may.
pub(super) fn sandbox(
    hidden: Option<Vec<PathBuf>>,
    agent: &Agent,
    spec: &TaskSpec,
    workspace: &Workspace,
    env: &BTreeMap<String, String>,
) -> Result<Option<Sandbox>, Failed> {
    let Some(hidden) = hidden else {
        return Ok(None);
    };
    let git = match &spec.repo {
        Some(repo) => workspace::git_places(repo, workspace)?,
        None => Vec::new(),
    };
    agents::sandbox(agent, env, workspace, git, hidden).map_err(|error| Failed {
        reason: error.reason(),
        message: error.to_string(),
    })
}
