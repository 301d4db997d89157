//! What is counted, and how it is told to Prometheus.
//!
//! ```text
//!  dispatcher ── steps of a turn, after its commit ──┐
//!  supervisor ── signs of life ──────────────────────┴─► Metrics ─┐
//!                                                                 ├─► page ─► text
//!  scrape ────── what is found when somebody asks ───────► Look ──┘
//! ```
//!
//! Counters begin at 0 with the process, as Prometheus expects of them. How many
//! tasks are active is counted up and down with each change, beginning with what
//! the store holds, so that no scrape reads a task. Nothing here wakes up by
//! itself, and nothing waits for the loop: it may be asked while a commit hangs.
//!
//! **Bounds.** Labels are names of the configuration and words of the program, never
//! numbers of tasks or texts of others. At most [`AGENTS`] agents have series of
//! their own. What other agents do, those that are not configured any more among
//! them, is told as [`OTHER`]; series of an agent that a reload takes away go with
//! it, as they would with the process.

mod agent;
mod look;
mod page;
mod step;
mod text;
mod to;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};

use self::agent::OfAgent;
pub use self::{
    look::{Look, LookedAgent, Process, StoreSize},
    step::Step,
    text::Format,
};
use crate::task::state::Task;

/// Most agents with series of their own.
pub const AGENTS: usize = 256;
/// The label of all other agents: no configuration can have such a name.
pub const OTHER: &str = "(other)";

/// Bounds of how long commits take, seconds.
const COMMITS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];
/// Bounds of how many messages a turn takes.
const MESSAGES: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

/// What has become of the attempts that the newest incarnation found under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Their runner lives and has registered.
    pub adopted: u64,
    /// They had ended, with their result.
    pub finished: u64,
    /// Their runner was dead.
    pub lost: u64,
    /// The machine was restarted.
    pub rebooted: u64,
    /// The service manager had ended them.
    pub stopped: u64,
    /// No agent had been started for them.
    pub requeued: u64,
    /// Nothing was heard of them in time.
    pub unknown: u64,
    /// They look dead, and wait for a person to confirm it.
    pub held: u64,
}

impl Recovered {
    /// Each with its word.
    fn words(self) -> [(&'static str, u64); 8] {
        [
            ("adopted", self.adopted),
            ("finished", self.finished),
            ("lost", self.lost),
            ("rebooted", self.rebooted),
            ("scope_stopped", self.stopped),
            ("requeued", self.requeued),
            ("unknown", self.unknown),
            ("held", self.held),
        ]
    }
}

/// Everything that is counted, for as long as the process lives.
#[derive(Debug)]
pub struct Metrics {
    agents: RwLock<BTreeMap<String, Arc<OfAgent>>>,
    slots_used: Gauge,
    recovered: RwLock<Recovered>,
    messages: Histogram,
    commits: Histogram,
    store_failures: Counter,
    heartbeats: Counter,
    late: Counter,
    reconnects: Counter,
    fenced: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let other = (OTHER.to_owned(), Arc::default());
        Self {
            agents: RwLock::new(BTreeMap::from([other])),
            slots_used: Gauge::default(),
            recovered: RwLock::default(),
            messages: Histogram::new(MESSAGES),
            commits: Histogram::new(COMMITS),
            store_failures: Counter::default(),
            heartbeats: Counter::default(),
            late: Counter::default(),
            reconnects: Counter::default(),
            fenced: Counter::default(),
        }
    }
}

impl Metrics {
    /// Has these agents be those of the configuration, and counts the active
    /// tasks anew. What was counted of agents that stay goes on.
    pub fn recount<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
        active: impl IntoIterator<Item = &'a Task>,
    ) {
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        let names = names.into_iter().take(AGENTS).chain([OTHER]);
        let kept = names.map(|name| {
            let known = agents.get(name).cloned();
            (name.to_owned(), known.unwrap_or_default())
        });
        *agents = kept.collect();
        let mut counts: BTreeMap<&str, agent::Active> = BTreeMap::new();
        for task in active {
            let name = task.spec.agent.as_str();
            let name = if agents.contains_key(name) {
                name
            } else {
                OTHER
            };
            agent::count(counts.entry(name).or_default(), task.state.kind());
        }
        for (name, agent) in &*agents {
            agent.set_active(counts.get(name.as_str()).copied().unwrap_or_default());
        }
    }

    /// Counts what a turn has changed. To be called once it is durable.
    pub fn count(&self, steps: &[Step]) {
        if steps.is_empty() {
            return;
        }
        let agents = self.agents.read().unwrap_or_else(PoisonError::into_inner);
        for step in steps {
            // That of all others is always there.
            let agent = agents.get(step.agent()).or_else(|| agents.get(OTHER));
            if let Some(agent) = agent {
                agent.count(step);
            }
        }
    }

    /// A turn of the loop is over: so many messages, and how long its commit
    /// took if there was anything to commit.
    pub fn turned(&self, messages: usize, commit: Option<Duration>) {
        self.messages.observe(number(messages));
        if let Some(took) = commit {
            self.commits.observe(took.as_secs_f64());
        }
    }

    /// How many tasks occupy a slot, and what recovery has found until now.
    pub fn stands(&self, slots_used: u32, recovered: Recovered) {
        self.slots_used.set(i64::from(slots_used));
        let mut known = self
            .recovered
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *known = recovered;
    }

    /// A life of the loop has ended because of the store.
    pub fn store_failed(&self) {
        self.store_failures.inc();
    }

    /// A runner has given a sign of life with its figures.
    pub fn heartbeat(&self) {
        self.heartbeats.inc();
    }

    /// A runner has given no sign of life for too long.
    pub fn late(&self) {
        self.late.inc();
    }

    /// A runner that was known has connected again.
    pub fn reconnected(&self) {
        self.reconnects.inc();
    }

    /// An attempt was found that the store does not know.
    pub fn fenced(&self) {
        self.fenced.inc();
    }

    /// All of it, with what was found just now.
    #[must_use]
    pub fn text(self: &Arc<Self>, look: Look, format: Format) -> String {
        text::write(page::Page::new(Arc::clone(self), look), format)
    }

    /// What was counted and nothing else, for tests of other rooms.
    #[cfg(test)]
    pub(crate) fn told(self: &Arc<Self>) -> String {
        let look = Look {
            version: "1",
            ..Look::default()
        };
        self.text(look, Format::Prometheus)
    }

    /// Every agent with series of its own, and the others.
    fn agents(&self) -> Vec<(String, Arc<OfAgent>)> {
        let agents = self.agents.read().unwrap_or_else(PoisonError::into_inner);
        let agents = agents.iter();
        agents
            .map(|(name, agent)| (name.clone(), Arc::clone(agent)))
            .collect()
    }

    fn recovered(&self) -> Recovered {
        *self
            .recovered
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number of things as Prometheus counts; exact up to 2^53.
fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests;
