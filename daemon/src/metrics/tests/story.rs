//! Tasks that are led through their lives, and counted on the way.

use std::sync::Arc;

use super::super::{Metrics, Step};
use crate::task::{
    event::{AttemptRef, Event, Stage, Teller},
    id::Timestamp,
    moment::Moment,
    observed::Observed,
    state::Task,
    testing::{NONCE, claim, id, named, registered, spec, started},
    transition::{Context, Decision, decide},
    usage::Usage,
};

/// A task that is led through its life, and where that is counted.
pub(super) struct Story {
    metrics: Arc<Metrics>,
    pub(super) task: Task,
    now: Moment,
}

impl Story {
    /// A task of an agent is submitted at 1 s.
    pub(super) fn begin(metrics: &Arc<Metrics>, number: u64, agent: &str) -> Self {
        let task = Task::submitted(id(number), spec(agent));
        let mut story = Self {
            metrics: Arc::clone(metrics),
            task,
            now: Moment::of_wall(Timestamp(1_000)),
        };
        let step = Step::of(None, &story.task, story.now);
        story.metrics.count(&[step]);
        story.at(1_500);
        story
    }

    pub(super) fn at(&mut self, millis: i64) {
        self.now = Moment::of_wall(Timestamp(millis));
    }

    #[track_caller]
    pub(super) fn then(&mut self, event: &Event) {
        let context = Context {
            now: self.now,
            random: u64::MAX,
        };
        match decide(&self.task, event, context) {
            Decision::Apply(change) => {
                let step = Step::of(Some(&self.task), &change.next, self.now);
                self.metrics.count(&[step]);
                self.task = change.next;
            }
            other @ (Decision::Repeat(_) | Decision::Ignore(_)) => panic!("{event:?}: {other:?}"),
        }
    }

    /// Claimed, registered, started after half a second.
    pub(super) fn run(&mut self) -> AttemptRef {
        self.then(&claim(NONCE));
        let attempt = named(self.task.id.get(), self.task.attempts, NONCE);
        self.then(&registered(attempt, Stage::Waiting));
        self.at(2_000);
        self.then(&started(attempt));
        attempt
    }

    pub(super) fn uses(&mut self, attempt: AttemptRef, usage: Usage) {
        let observed = Observed {
            usage: Some(usage),
            ..Observed::default()
        };
        self.then(&Event::Observed {
            attempt,
            observed: Box::new(observed),
            by: Teller::Runner,
        });
    }
}
