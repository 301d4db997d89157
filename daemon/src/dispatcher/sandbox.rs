//! What an agent that is to be in a sandbox may touch, and what is hidden from it.

use std::{collections::BTreeMap, path::Path};

use super::actor::Failed;
use crate::{
    agents,
    config::{Agent, Config},
    spool::Sandbox,
    supervisor::Supervisor,
    task::{attempt::Workspace, spec::TaskSpec},
    workspace,
};

/// What the agent may touch, if not whatever its user may: of the state directory its
/// own workspace only, and of secrets what it is given. That it is to be in a sandbox
/// there is written down, for whoever has git look at the workspace later.
pub(super) fn sandbox(
    supervisor: &Supervisor,
    config: &Config,
    agent: &Agent,
    spec: &TaskSpec,
    workspace: &Workspace,
    env: &BTreeMap<String, String>,
) -> Result<Option<Sandbox>, Failed> {
    if !agent.sandbox {
        return Ok(None);
    }
    let git = match &spec.repo {
        Some(repo) => workspace::git_places(repo, workspace)?,
        None => Vec::new(),
    };
    let mut hidden = supervisor.not_for_agents();
    hidden.extend(config.secrets().map(Path::to_owned));
    let sandbox = agents::sandbox(agent, env, workspace, git, hidden);
    let sandbox = sandbox.map_err(|error| Failed {
        reason: error.reason(),
        message: error.to_string(),
    })?;
    if let (Some(sandbox), Some(repo)) = (&sandbox, &spec.repo) {
        workspace::note_sandbox(supervisor.state_dir(), repo, workspace, &sandbox.hidden)?;
    }
    Ok(sandbox)
}
