//! Agents that are given nothing to do for a while.

use agentd_proto::v1;
use tonic::Code;

use super::{Shared, error::Failure, from_proto};

/// Stops or resumes dispatch of the agent that is named, or of all.
pub(super) async fn set_paused(
    shared: &Shared,
    agent: String,
    paused: bool,
) -> Result<v1::PauseResponse, Failure> {
    let agent = (!agent.is_empty()).then_some(agent);
    let config = shared.dispatcher.config();
    if let Some(name) = &agent
        && config.agent(name).is_none()
    {
        return Err(from_proto::unknown_agent(
            name,
            &config,
            Code::InvalidArgument,
        ));
    }
    let changed = shared.dispatcher.set_paused(agent, paused).await?;
    Ok(v1::PauseResponse { changed })
}
