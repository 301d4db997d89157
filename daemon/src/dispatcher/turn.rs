//! One turn of the loop: what it gathers, and what it leads to.

use std::{sync::Arc, time::Instant};

use super::{
    handle::{Reply, Submitted},
    outcome::SubmitError,
};
use crate::{
    config::Config,
    metrics::Step,
    store::Batch,
    supervisor::Outbox,
    task::{
        attempt::{Attempt, ProcessIdentity},
        effect::Effect,
        event::AttemptRef,
        id::{Revision, Timestamp},
        moment::Moment,
        reason::FailureReason,
        state::Task,
    },
};

/// Something to do after the commit.
#[must_use]
pub(super) enum Act {
    /// What a transition asks for, with the task as it is now.
    Effect(Effect, Box<Task>),
    /// A registration was taken; with `started`, the agent may have been
    /// started before it.
    Connected {
        attempt: AttemptRef,
        runner: ProcessIdentity,
        started: bool,
        outbox: Outbox,
    },
    /// Somebody's attempt is over, or not the current one.
    Dismiss { outbox: Outbox, has_result: bool },
    /// A runner does not know yet that its result is stored.
    Acknowledge(AttemptRef),
    /// What an ended attempt left is stored: its runner may go, and its files
    /// can be put away.
    Conclude(AttemptRef),
    /// A runner of an earlier incarnation is to be looked after.
    Adopt(Box<Attempt>),
    /// A dead runner's tree is to be ended.
    Reap(AttemptRef, FailureReason),
    /// The operator has set something anew.
    Reconfigure(Arc<Config>),
    /// An answer.
    Reply(Box<dyn FnOnce() + Send>),
}

/// What a turn has led to. It is durable.
#[must_use]
pub(super) struct Turned {
    pub(super) acts: Vec<Act>,
    pub(super) revision: Revision,
}

/// One turn of the loop.
pub(super) struct Turn {
    pub(super) batch: Batch,
    pub(super) acts: Vec<Act>,
    /// What is counted once it is durable.
    pub(super) steps: Vec<Step>,
    /// New tasks whose submitters are told at the end of the turn, when they
    /// may have a slot already.
    pub(super) submitted: Vec<(Reply<Result<Submitted, SubmitError>>, Submitted)>,
    pub(super) now: Instant,
    pub(super) wall: Timestamp,
    pub(super) moment: Moment,
}

impl Turn {
    pub(super) fn reply<T: Send + 'static>(&mut self, to: Reply<T>, answer: T) {
        self.acts.push(Act::Reply(Box::new(move || {
            // Who asked may have gone; then nobody wants to know.
            drop(to.send(answer));
        })));
    }

    pub(super) fn reply_submitted(
        &mut self,
        to: Reply<Result<Submitted, SubmitError>>,
        answer: Result<Submitted, SubmitError>,
    ) {
        match answer {
            Ok(submitted) => self.submitted.push((to, submitted)),
            Err(_) => self.reply(to, answer),
        }
    }
}
