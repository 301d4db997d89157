//! Every name that is told, and what it means: one list.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::ConstCounter, gauge::ConstGauge, histogram::Histogram, info::Info},
};

use super::{
    Metrics,
    agent::{OfAgent, Tally},
    look::Look,
    to::{To, unix},
};

/// What was counted and what was found, at one moment.
#[derive(Debug)]
pub(super) struct Page {
    metrics: Arc<Metrics>,
    look: Look,
    agents: Vec<(String, Arc<OfAgent>)>,
}

impl Page {
    pub(super) fn new(metrics: Arc<Metrics>, look: Look) -> Self {
        Self {
            agents: metrics.agents(),
            metrics,
            look,
        }
    }
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = To::new(encoder);
        self.daemon(&mut to)?;
        self.tasks(&mut to)?;
        self.attempts(&mut to)?;
        self.times(&mut to)?;
        self.usage(&mut to)?;
        self.slots(&mut to)?;
        self.runners(&mut to)?;
        self.store(&mut to)?;
        self.process(&mut to)
    }
}

impl Page {
    fn daemon(&self, to: &mut To<'_>) -> fmt::Result {
        let look = &self.look;
        let build = Info::new([("version", look.version)]);
        to.one("build", "The version of agentd that runs", build)?;
        to.one(
            "incarnation",
            "The life of the daemon, counted in its store; a failure of the store begins another one",
            ConstGauge::new(look.incarnation),
        )?;
        let phases = look.phases.iter();
        to.each(
            "phase",
            "What the daemon is doing as a whole: 1 for what it is",
            phases.map(|(word, is)| ([("phase", *word)], ConstGauge::new(u32::from(*is)))),
        )
    }

    fn tasks(&self, to: &mut To<'_>) -> fmt::Result {
        let active = self.agents.iter().flat_map(|(name, agent)| {
            let label = |state| [("agent", name.as_str()), ("state", state)];
            let active = agent.active();
            active.map(move |(state, count)| (label(state), ConstGauge::new(count)))
        });
        to.each("tasks", "Tasks that have not ended, by state", active)?;
        to.each(
            "tasks_submitted",
            "Tasks that were accepted, by what they came from",
            self.tally(["trigger"], |agent| &agent.submitted),
        )?;
        to.each(
            "tasks_finished",
            "Tasks that have ended, by final state and the reason of a failure",
            self.tally(["state", "reason"], |agent| &agent.finished),
        )?;
        to.each(
            "tasks_requeued",
            "Tasks that were queued again after an attempt, by the reason of its end",
            self.tally(["reason"], |agent| &agent.requeued),
        )
    }

    fn attempts(&self, to: &mut To<'_>) -> fmt::Result {
        to.each(
            "attempts_claimed",
            "Attempts that got a slot",
            self.counter(|agent| agent.claimed.get()),
        )?;
        to.each(
            "attempts_finished",
            "Attempts that have ended, those that were followed by another one included",
            self.tally(["outcome", "reason"], |agent| &agent.ended),
        )
    }

    fn times(&self, to: &mut To<'_>) -> fmt::Result {
        to.each(
            "queue_wait_seconds",
            "How long tasks waited for a slot, from when nothing of their own held them",
            self.histogram(|agent| &agent.waits),
        )?;
        to.each(
            "start_seconds",
            "How long attempts took from their claim to the start of their agent, the making of the workspace included",
            self.histogram(|agent| &agent.starts),
        )?;
        to.each(
            "run_seconds",
            "How long agents ran",
            self.histogram(|agent| &agent.runs),
        )
    }

    fn usage(&self, to: &mut To<'_>) -> fmt::Result {
        let cost = self.agents.iter().map(|(name, agent)| {
            let dollars = agent.cost.get() as f64 / 1e6;
            ([("agent", name.as_str())], ConstCounter::new(dollars))
        });
        to.each(
            "cost_usd",
            "What agents have cost, US dollars, as they say themselves",
            cost,
        )?;
        let tokens = self.agents.iter().flat_map(|(name, agent)| {
            let kinds = [
                ("input", &agent.input),
                ("output", &agent.output),
                ("cached", &agent.cached),
            ];
            kinds.map(|(kind, count)| {
                let labels = [("agent", name.as_str()), ("kind", kind)];
                (labels, ConstCounter::new(count.get()))
            })
        });
        to.each(
            "tokens",
            "Tokens that agents have used: read, written, and read from the cache of their provider",
            tokens,
        )
    }

    fn slots(&self, to: &mut To<'_>) -> fmt::Result {
        let look = &self.look;
        to.one(
            "slots_used",
            "Tasks that occupy a slot",
            ConstGauge::new(self.metrics.slots_used.get()),
        )?;
        to.one(
            "slots_limit",
            "How many tasks may occupy a slot",
            ConstGauge::new(look.slots),
        )?;
        let agents = look.agents.iter();
        to.each(
            "agent_slots_limit",
            "How many tasks of an agent may occupy a slot",
            agents.map(|agent| {
                (
                    [("agent", agent.name.as_str())],
                    ConstGauge::new(agent.slots),
                )
            }),
        )?;
        to.some(
            "paused",
            "1 if nothing is dispatched because a person has paused all agents",
            look.paused.map(u64::from),
        )?;
        let agents = look.agents.iter().filter_map(|agent| {
            let paused = u32::from(agent.paused?);
            Some(([("agent", agent.name.as_str())], ConstGauge::new(paused)))
        });
        to.each(
            "agent_paused",
            "1 if nothing of an agent is dispatched because a person has paused it",
            agents,
        )?;
        let accounts = look.accounts.iter().flatten();
        let parked = accounts.clone().map(|(name, until)| {
            let parked = u32::from(until.is_some());
            ([("account", name.as_str())], ConstGauge::new(parked))
        });
        to.each(
            "account_parked",
            "1 if nothing of an account is dispatched because its provider takes no more for a while",
            parked,
        )?;
        let until = accounts.filter_map(|(name, until)| {
            Some((
                [("account", name.as_str())],
                ConstGauge::new(unix((*until)?)),
            ))
        });
        to.each(
            "account_parked_until_timestamp_seconds",
            "When an account that is parked opens again",
            until,
        )
    }

    fn runners(&self, to: &mut To<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        let recovered = metrics.recovered().words();
        to.each(
            "recovery_attempts",
            "Attempts that this incarnation found under way, by what became of them",
            recovered.map(|(word, count)| ([("result", word)], ConstGauge::new(count))),
        )?;
        for (name, help, counter) in [
            (
                "attempts_fenced",
                "Attempts of which files were found and that the store does not know",
                &metrics.fenced,
            ),
            (
                "runner_heartbeats",
                "Signs of life of runners that told figures",
                &metrics.heartbeats,
            ),
            (
                "runner_heartbeats_late",
                "Times that a runner gave no sign of life for daemon.suspect_after",
                &metrics.late,
            ),
            (
                "runner_reconnects",
                "Connections of runners that had been connected before, to this daemon or to one before it",
                &metrics.reconnects,
            ),
        ] {
            to.one(name, help, ConstCounter::new(counter.get()))?;
        }
        Ok(())
    }

    fn store(&self, to: &mut To<'_>) -> fmt::Result {
        let (metrics, look) = (&self.metrics, &self.look);
        to.one(
            "turn_messages",
            "Messages that a turn of the loop has taken, and so its commit",
            metrics.messages.clone(),
        )?;
        to.one(
            "store_commit_seconds",
            "How long commits of the store took, until they were on disk",
            metrics.commits.clone(),
        )?;
        to.one(
            "store_failures",
            "Times that the store failed and was opened again",
            ConstCounter::new(metrics.store_failures.get()),
        )?;
        to.some(
            "store_size_bytes",
            "The size of the file of the store",
            Some(look.store_bytes),
        )?;
        let store = look.store;
        to.some(
            "store_tasks",
            "Tasks in the store",
            store.map(|store| store.tasks),
        )?;
        to.some(
            "store_events",
            "Entries of the journal in the store",
            store.map(|store| store.events),
        )?;
        to.some(
            "store_revision",
            "The newest revision",
            store.map(|store| store.revision),
        )?;
        to.some(
            "state_free_bytes",
            "Free space of the state directory",
            look.state_free,
        )?;
        to.some(
            "state_needed_bytes",
            "Nothing is started while less than this is free (daemon.min_free_disk)",
            Some(look.state_needed),
        )?;
        if let Some((at, bytes)) = look.backup {
            to.one(
                "backup_timestamp_seconds",
                "When the newest copy of the store was made",
                ConstGauge::new(unix(at)),
            )?;
            to.some(
                "backup_size_bytes",
                "The size of the newest copy of the store",
                Some(bytes),
            )?;
        }
        Ok(())
    }

    fn process(&self, to: &mut To<'_>) -> fmt::Result {
        if let Some(at) = self.look.started_at {
            to.one(
                "process_start_time_seconds",
                "When agentd was started",
                ConstGauge::new(unix(at)),
            )?;
        }
        let Some(process) = &self.look.process else {
            return Ok(());
        };
        to.one(
            "process_cpu_seconds",
            "CPU time of agentd, runners and agents not included",
            ConstCounter::new(process.cpu),
        )?;
        to.some(
            "process_resident_memory_bytes",
            "Resident memory of agentd",
            Some(process.resident),
        )?;
        to.some(
            "process_threads",
            "Threads of agentd",
            Some(process.threads),
        )?;
        to.some(
            "process_open_fds",
            "Files that agentd has open",
            Some(process.files),
        )?;
        to.some(
            "process_max_fds",
            "Files that agentd may have open",
            process.most_files,
        )
    }

    /// Counters of each agent by words; the first label is the agent's.
    fn tally<const N: usize>(
        &self,
        labels: [&'static str; N],
        of: impl Fn(&OfAgent) -> &Tally,
    ) -> impl Iterator<Item = (Vec<(&'static str, &str)>, ConstCounter<u64>)> {
        let agents = self.agents.iter();
        agents.flat_map(move |(name, agent)| {
            let counts = of(agent).read().into_iter();
            counts.map(move |(words, count)| {
                let words = labels.into_iter().zip(words);
                let labels = std::iter::once(("agent", name.as_str())).chain(words);
                (labels.collect(), ConstCounter::new(count))
            })
        })
    }

    /// A counter of each agent.
    fn counter(
        &self,
        of: impl Fn(&OfAgent) -> u64,
    ) -> impl Iterator<Item = ([(&'static str, &str); 1], ConstCounter<u64>)> {
        let agents = self.agents.iter();
        agents.map(move |(name, agent)| ([("agent", name.as_str())], ConstCounter::new(of(agent))))
    }

    /// A histogram of each agent.
    fn histogram(
        &self,
        of: impl Fn(&OfAgent) -> &Histogram,
    ) -> impl Iterator<Item = ([(&'static str, &str); 1], Histogram)> {
        let agents = self.agents.iter();
        agents.map(move |(name, agent)| ([("agent", name.as_str())], of(agent).clone()))
    }
}
