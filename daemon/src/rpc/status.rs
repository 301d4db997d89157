//! How the daemon is.

use agentd_proto::v1;

use super::{Shared, agents::troubles, error::Failure, quota, to_proto};
use crate::{
    backup,
    host::{Host, Pressure},
    notify::Standing,
};

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
        let (surveyed_at, found) = shared.surveys.last(agent).unwrap_or_default();
        v1::AgentStatus {
            surveyed_at: surveyed_at.0,
            troubles: troubles(found),
            name: agent.name.clone(),
            r#type: agent.agent_type.as_str().to_owned(),
            paused: now.paused,
            slots: agent.max_running.unwrap_or(config.max_running),
            running: now.occupied,
            queued: now.queued,
        }
    });
    let state = shared.state.clone();
    let looked = shared.blocking(move |_| {
        let free = state.free_space().unwrap_or(0);
        Ok((Host::look(), free, backup::newest(&state)))
    });
    let (machine, state_free, newest) = looked.await?;
    let newest = newest.as_ref();
    Ok(v1::StatusResponse {
        host: Some(host(machine)),
        notices: shared.notices.standing().into_iter().map(notices).collect(),
        state_free,
        min_free_disk: config.min_free_disk,
        backup_at: newest.map_or(0, |copy| copy.at.0),
        backup: newest.map_or_else(String::new, |copy| path(&copy.path)),
        backup_bytes: newest.map_or(0, |copy| copy.bytes),
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

fn notices(standing: Standing) -> v1::Notices {
    let failing = standing.failing.as_ref();
    let given_up = standing.last_given_up.as_ref();
    v1::Notices {
        way: standing.way.as_str().to_owned(),
        to: standing.to,
        failing_since: failing.map_or(0, |trouble| trouble.at.0),
        task: failing.map_or(0, |trouble| trouble.task.get()),
        why: failing.map_or_else(String::new, |trouble| trouble.why.clone()),
        given_up: standing.given_up,
        given_up_task: given_up.map_or(0, |trouble| trouble.task.get()),
        given_up_why: given_up.map_or_else(String::new, |trouble| trouble.why.clone()),
    }
}

fn host(host: Host) -> v1::Host {
    let [load1, load5, load15] = host.load.unwrap_or_default();
    let (memory, memory_available) = host.memory.unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, |count| count.get());
    v1::Host {
        load1,
        load5,
        load15,
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory,
        memory_available,
        cpu_pressure: host.cpu.map(pressure),
        memory_pressure: host.memory_pressure.map(pressure),
        io_pressure: host.io.map(pressure),
    }
}

fn pressure(pressure: Pressure) -> v1::host::Pressure {
    v1::host::Pressure {
        some10: pressure.some10,
        some60: pressure.some60,
        full10: pressure.full10,
    }
}
