//! The agents that are there, and what they lack.

use agentd_proto::v1;

use super::{Shared, error::Failure, to_proto};
use crate::{
    agents::{Login, Survey, Trouble},
    config::{Agent, Config},
    dispatcher::{AgentOverview, Overview},
    store::Reader,
    task::{
        spec::AgentType,
        state::{State, Task},
    },
};

/// Looks at every agent, all at once: each may wait for its program.
pub(super) async fn agents(shared: &Shared) -> Result<v1::AgentsResponse, Failure> {
    let overview = shared.dispatcher.overview().await?;
    let config = shared.dispatcher.config();
    let names: Vec<String> = config.agents.keys().cloned().collect();
    let last = move |reader: &Reader| names.iter().map(|name| reader.last_ended(name)).collect();
    let last: Vec<Option<Task>> = shared.read(last).await?;
    let found = shared.surveys.look(&config).await;
    let seen = config.agents.values().zip(found).zip(last);
    let agents = seen.map(|((agent, found), last)| v1::Agent {
        last: last.as_ref().and_then(last_task),
        ..message(agent, found, &config, &overview)
    });
    Ok(v1::AgentsResponse {
        agents: agents.collect(),
    })
}

fn message(agent: &Agent, found: Survey, config: &Config, overview: &Overview) -> v1::Agent {
    let now = overview.agents.get(&agent.name);
    let AgentOverview {
        queued,
        occupied,
        paused,
    } = now.copied().unwrap_or_default();
    let (login, login_by) = match found.login {
        Login::Yes(by) => (v1::Login::Yes, by),
        Login::No => (v1::Login::No, String::new()),
        Login::Unknown => (v1::Login::Unknown, String::new()),
    };
    let agent_type = agent.agent_type.as_str();
    let program = found
        .program
        .map(|path| path.to_string_lossy().into_owned());
    v1::Agent {
        name: agent.name.clone(),
        r#type: agent_type.to_owned(),
        program: program.unwrap_or_default(),
        version: found.version.unwrap_or_default(),
        login: login.into(),
        login_by,
        slots: agent.max_running.unwrap_or(config.max_running),
        running: occupied,
        queued,
        paused,
        account: agent.account().to_owned(),
        model: agent.model.clone().unwrap_or_default(),
        permissions: match agent.agent_type {
            AgentType::Command => String::new(),
            AgentType::Claude | AgentType::Codex | AgentType::Gemini | AgentType::Opencode => {
                agent.permissions.as_str().to_owned()
            }
        },
        looks_for: agent
            .command
            .first()
            .map(String::as_str)
            .or_else(|| agent.agent_type.program())
            .unwrap_or_default()
            .to_owned(),
        last: None,
        troubles: troubles(found.troubles),
    }
}

/// What keeps an agent from working.
pub(super) fn troubles(found: Vec<Trouble>) -> Vec<v1::agent::Trouble> {
    let told = found.into_iter().map(|trouble| v1::agent::Trouble {
        what: trouble.what,
        hint: trouble.hint,
    });
    told.collect()
}

/// What came of a task that has ended.
fn last_task(task: &Task) -> Option<v1::agent::LastTask> {
    let ending = match &task.state {
        State::Finished(ending) => ending,
        State::Queued(_) | State::Starting | State::Running | State::Stopping { .. } => {
            return None;
        }
    };
    let reason = ending.reason.map_or("", |reason| reason.as_str());
    Some(v1::agent::LastTask {
        task: task.id.get(),
        state: to_proto::state(task.state.kind()).into(),
        failure_reason: reason.to_owned(),
        ended_at: ending.at.0,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        dispatcher::{Phase, RecoveryCounts},
        task::id::Revision,
    };

    #[test]
    fn the_account_is_the_one_that_limits_are_counted_by() {
        let overview = Overview {
            phase: Phase::Ready,
            states: BTreeMap::new(),
            held: 0,
            agents: BTreeMap::new(),
            paused: false,
            parked: BTreeMap::new(),
            recovery: RecoveryCounts::default(),
            revision: Revision(1),
        };
        let shown = |agent: &Agent| {
            let nothing = Survey {
                program: None,
                version: None,
                login: Login::Unknown,
                troubles: Vec::new(),
            };
            message(agent, nothing, &Config::default(), &overview).account
        };
        let mut agent = Agent::new("tests", AgentType::Command);
        assert_eq!(shown(&agent), "tests");
        agent.account = Some("team-a".to_owned());
        assert_eq!(shown(&agent), "team-a");
        assert_eq!(shown(&Agent::new("fast", AgentType::Claude)), "claude");
    }
}
