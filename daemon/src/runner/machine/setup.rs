//! The stage before the agent: what sets the repository up.
//!
//! It is supervised as the agent is, with a limit of its own. The agent follows
//! it only if it has ended well by itself and nothing of it is left.

use std::time::Duration;

use super::{Action, End, Machine, SetupFailure, Stage, State};
use crate::task::attempt::Status;

impl Machine {
    /// One that sets the repository up first, within `limit`.
    #[must_use]
    pub fn setting_up(self, limit: Duration) -> Self {
        Self {
            stage: Stage::Setup,
            setup_limit: limit,
            ..self
        }
    }

    /// Whether what runs, or ran last, sets the repository up.
    pub fn sets_up(&self) -> bool {
        self.stage == Stage::Setup
    }

    /// Whether the setup has ended well, and nobody wants anything else.
    pub(super) fn is_set_up(&self) -> bool {
        let done = self.main() == Some(Status::Code(0));
        done && self.sets_up() && self.by_itself && !self.overdue && !self.unwanted
    }

    pub(super) fn start_agent(&mut self) -> Vec<Action> {
        self.state = State::Starting { first: None };
        self.by_itself = false;
        self.stage = Stage::Agent;
        vec![Action::Spawn(self.stage)]
    }

    /// The end of a setup that no agent follows.
    pub(super) fn not_set_up(&mut self, main: Option<Status>) -> Vec<Action> {
        let done = main == Some(Status::Code(0));
        let failure = match main {
            _ if self.overdue => SetupFailure::Overdue,
            Some(status) if self.by_itself && !done => SetupFailure::Ended(status),
            _ if self.by_itself && !self.unwanted => SetupFailure::LeftOver,
            // It did not come to its end, or the agent was not to follow it.
            Some(_) | None => {
                self.by_itself = false;
                return self.conclude(End::NotStarted);
            }
        };
        self.conclude(End::SetupFailed(failure))
    }
}
