//! How things stand, for people.

use std::collections::BTreeMap;

use super::Engine;
use crate::{
    dispatcher::overview::{AgentOverview, Overview},
    task::{
        id::Revision,
        state::{Hold, State},
    },
};

impl Engine {
    pub(in crate::dispatcher) fn overview(&self, revision: Revision) -> Overview {
        let mut states = BTreeMap::new();
        let mut held = 0;
        let mut agents: BTreeMap<String, AgentOverview> = BTreeMap::new();
        for task in self.tasks.values() {
            held += u64::from(matches!(task.state, State::Queued(Hold::Held { .. })));
            *states.entry(task.state.kind()).or_default() += 1;
            let agent = agents.entry(task.spec.agent.clone()).or_default();
            if task.state.is_occupied() {
                agent.occupied += 1;
            } else {
                agent.queued += 1;
            }
        }
        for name in self.schedule.paused_agents() {
            agents.entry(name.clone()).or_default().paused = true;
        }
        Overview {
            phase: self.phase,
            states,
            held,
            agents,
            parked: self.accounts.parked(),
            paused: self.schedule.is_paused(),
            recovery: self.recovery.counts,
            revision,
        }
    }
}
