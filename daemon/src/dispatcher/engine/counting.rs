//! What a turn adds to the figures, once it is durable.

use std::{sync::Arc, time::Duration};

use super::Engine;
use crate::{
    config::Config,
    metrics::{Recovered, Step},
};

impl Engine {
    /// Counts a turn that took so many messages and whose commit, if it made one,
    /// took so long. `before` is the configuration that it began with.
    pub(super) fn count(
        &self,
        messages: usize,
        commit: Option<Duration>,
        steps: &[Step],
        before: &Arc<Config>,
    ) {
        let metrics = &self.parts.metrics;
        metrics.turned(messages, commit);
        metrics.count(steps);
        metrics.stands(self.schedule.occupied(), self.recovered());
        // Its tasks may be those of other agents now, as far as names go.
        if !Arc::ptr_eq(before, &self.parts.config) {
            self.recount();
        }
    }

    /// Counts the active tasks anew, by the agents that there are now.
    pub(super) fn recount(&self) {
        let names = self.parts.config.agents.keys().map(String::as_str);
        self.parts.metrics.recount(names, self.tasks.values());
        let metrics = &self.parts.metrics;
        metrics.stands(self.schedule.occupied(), self.recovered());
    }

    fn recovered(&self) -> Recovered {
        let counts = self.recovery.counts;
        Recovered {
            adopted: counts.adopted,
            finished: counts.finished,
            lost: counts.reaped - counts.rebooted - counts.stopped,
            rebooted: counts.rebooted,
            stopped: counts.stopped,
            requeued: counts.never_started,
            unknown: counts.unknown,
            held: counts.held,
        }
    }
}
