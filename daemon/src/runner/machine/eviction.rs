//! The service manager ends what is here: the scope of the attempt, its slice,
//! the user's session, the machine.
//!
//! That is no end that the agent has come to, whatever it makes of it, and none
//! that the daemon has asked for. So there is no result: the daemon finds that
//! the runner is gone, and by the boot whether the machine went down with it. An
//! end that the agent had come to before, or that was asked for before, counts;
//! the runner leaves once the result is in place, since nobody may be left to
//! acknowledge it.

use std::time::{Duration, Instant};

use super::{Action, Leave, Machine, State};

impl Machine {
    pub(super) fn evict(&mut self, grace: Duration, now: Instant) -> Vec<Action> {
        if std::mem::replace(&mut self.evicted, true) {
            return Vec::new();
        }
        // A setup has no end of its own: what counts is what would follow it.
        self.cut_short = self.has_tree() && self.sets_up() && !self.unwanted;
        self.unwanted |= self.has_tree();
        let note = || Action::Note("stopped by the service manager".to_owned());
        let done = !self.sets_up();
        match &mut self.state {
            State::Waiting { .. } => self.leave(Leave::Evicted),
            State::Running { until } => {
                // After its last word there is nothing more to come of it.
                let said = done && until.is_some();
                self.by_itself = said;
                self.lingered = said;
                self.cut_short |= !said;
                let until = now + grace;
                self.state = State::Ending { main: None, until };
                vec![note(), Action::AskPolitely]
            }
            State::Ending { until, .. } => {
                *until = (*until).min(now + grace);
                vec![note()]
            }
            // Nothing comes between the order to start and the start.
            State::Starting { .. } | State::Killing { .. } | State::Reporting | State::Left => {
                Vec::new()
            }
        }
    }

    /// Whether the result need not be acknowledged: it is found where it is.
    pub fn may_leave(&self) -> bool {
        self.evicted && self.state == State::Reporting
    }
}
