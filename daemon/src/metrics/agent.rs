//! What is counted of one agent.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};

use super::step::Step;
use crate::task::{reason::FailureReason, spec::Trigger, state::StateKind};

/// Bounds of how long tasks wait for a slot, seconds.
const WAITS: [f64; 11] = [
    0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0,
];
/// Bounds of how long starts take, seconds.
const STARTS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];
/// Bounds of how long agents run, seconds.
const RUNS: [f64; 12] = [
    1.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 86_400.0, 604_800.0,
];

/// Active tasks by state, in the order of [`StateKind::ACTIVE`].
pub(super) type Active = [i64; StateKind::ACTIVE.len()];

/// Counts a task that is in this state, if that is an active one.
pub(super) fn count(active: &mut Active, state: StateKind) {
    if let Some(count) = place(state).and_then(|place| active.get_mut(place)) {
        *count += 1;
    }
}

fn place(state: StateKind) -> Option<usize> {
    StateKind::ACTIVE.iter().position(|kind| *kind == state)
}

/// Counters by two words of the program.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<BTreeMap<[&'static str; 2], u64>>);

impl Tally {
    fn add(&self, words: [&'static str; 2]) {
        *self.lock().entry(words).or_default() += 1;
    }

    /// Those that are not 0, in the order of their words.
    pub(super) fn read(&self) -> Vec<([&'static str; 2], u64)> {
        let tally = self.lock();
        tally
            .iter()
            .map(|(words, count)| (*words, *count))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<[&'static str; 2], u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is counted of one agent.
#[derive(Debug)]
pub(super) struct OfAgent {
    active: [Gauge; StateKind::ACTIVE.len()],
    /// By trigger; the second word is none.
    pub(super) submitted: Tally,
    /// By reason; the second word is none.
    pub(super) requeued: Tally,
    /// By final state and reason.
    pub(super) finished: Tally,
    pub(super) claimed: Counter,
    /// Attempts that have ended, by outcome and reason.
    pub(super) ended: Tally,
    pub(super) waits: Histogram,
    pub(super) starts: Histogram,
    pub(super) runs: Histogram,
    /// Millionths of a US dollar.
    pub(super) cost: Counter,
    pub(super) input: Counter,
    pub(super) output: Counter,
    pub(super) cached: Counter,
}

impl Default for OfAgent {
    fn default() -> Self {
        Self {
            active: Default::default(),
            submitted: Tally::default(),
            requeued: Tally::default(),
            finished: Tally::default(),
            claimed: Counter::default(),
            ended: Tally::default(),
            waits: Histogram::new(WAITS),
            starts: Histogram::new(STARTS),
            runs: Histogram::new(RUNS),
            cost: Counter::default(),
            input: Counter::default(),
            output: Counter::default(),
            cached: Counter::default(),
        }
    }
}

impl OfAgent {
    /// How many tasks are active, by the word of their state.
    pub(super) fn active(&self) -> impl Iterator<Item = (&'static str, i64)> + '_ {
        let states = StateKind::ACTIVE.iter().map(|kind| kind.as_str());
        states.zip(self.active.iter().map(Gauge::get))
    }

    pub(super) fn set_active(&self, counts: Active) {
        for (gauge, count) in self.active.iter().zip(counts) {
            gauge.set(count);
        }
    }

    /// Counts a step of one of its tasks.
    pub(super) fn count(&self, step: &Step) {
        let gauge = |state| place(state).and_then(|place| self.active.get(place));
        if step.from != Some(step.to) {
            if let Some(left) = step.from.and_then(gauge) {
                left.dec();
            }
            if let Some(entered) = gauge(step.to) {
                entered.inc();
            }
        }
        if step.from.is_none() {
            self.submitted.add([trigger(step.trigger), ""]);
        }
        if step.is_final() {
            self.finished.add([step.to.as_str(), word(step.reason)]);
        }
        if let Some(waited) = step.waited {
            self.claimed.inc();
            self.waits.observe(seconds(waited));
        }
        if let Some(started) = step.started {
            self.starts.observe(seconds(started));
        }
        if let Some(ended) = step.ended {
            self.ended.add([ended.outcome.as_str(), word(ended.reason)]);
            if step.is_retry() {
                self.requeued.add([word(ended.reason), ""]);
            }
            if let Some(ran) = ended.ran {
                self.runs.observe(seconds(ran));
            }
        }
        self.cost.inc_by(step.used.cost.unwrap_or(0));
        self.input.inc_by(step.used.input);
        self.output.inc_by(step.used.output);
        self.cached.inc_by(step.used.cached);
    }
}

/// The word of a reason; that there is none has one, too, since Prometheus takes
/// an empty label for one that is not there.
fn word(reason: Option<FailureReason>) -> &'static str {
    reason.map_or("none", FailureReason::as_str)
}

fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Manual => "manual",
        Trigger::Rerun => "rerun",
        Trigger::Webhook => "webhook",
        Trigger::Schedule => "schedule",
    }
}

/// Seconds of so many milliseconds.
fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}
