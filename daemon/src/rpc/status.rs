//! How the daemon is.

use agentd_proto::v1;

use super::{Shared, error::Failure, quota, to_proto};

/// All that `agentctl status` shows.
pub(super) async fn status(shared: &Shared) -> Result<v1::StatusResponse, Failure> {
    let overview = shared.dispatcher.overview().await?;
    let mut parked = quota::accounts(shared, &overview).await?;
    parked.retain(|account| account.until != 0);
    let config = shared.dispatcher.config();
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let agents = config.agents.values().map(|agent| {
        let now = overview
            .agents
            .get(&agent.name)
            .copied()
            .unwrap_or_default();
        v1::AgentStatus {
            name: agent.name.clone(),
            r#type: agent.agent_type.as_str().to_owned(),
            paused: now.paused,
            slots: agent.max_running.unwrap_or(config.max_running),
            running: now.occupied,
            queued: now.queued,
        }
    });
    Ok(v1::StatusResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        incarnation: shared.dispatcher.incarnation().0,
        started_at: shared.started_at.0,
        slots: config.max_running,
        agents: agents.collect(),
        parked,
        state_dir: path(shared.state.path()),
        socket: path(&shared.socket),
        config: config.source.as_deref().map(path).unwrap_or_default(),
        store_bytes: shared.store.size(),
        trouble: shared
            .dispatcher
            .trouble()
            .map(|trouble| trouble.to_string())
            .unwrap_or_default(),
        ..to_proto::status(&overview)
    })
}
