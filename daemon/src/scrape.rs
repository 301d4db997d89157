//! All figures of the daemon, as text for Prometheus.
//!
//! What is counted is in [`Metrics`]; the rest is found when somebody asks: in the
//! store, in `/proc`, in the file system. The loop is not asked, so that a scrape is
//! answered while it hangs. Nothing here decides or remembers anything.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    backup,
    config::Config,
    dispatcher::{Handle, Phase},
    metrics::{Format, Look, LookedAgent, Metrics, Process, StoreSize},
    process,
    spool::StateDir,
    store::{Store, StoreError},
    task::{id::Timestamp, moment::Moment},
};

/// Whoever tells the figures.
#[derive(Debug)]
pub struct Scraper {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Knows the phase and the configuration.
    pub dispatcher: Handle,
    /// Knows what is paused and parked.
    pub store: Arc<Store>,
    /// Where it is, and its copies.
    pub state: StateDir,
    /// When the process began to serve.
    pub started_at: Timestamp,
}

/// What the store knows.
#[derive(Debug, Default)]
struct Stored {
    size: Option<StoreSize>,
    /// Names of agents; an empty one for all.
    paused: Option<Vec<String>>,
    /// Until when.
    parked: Option<BTreeMap<String, Timestamp>>,
}

impl Scraper {
    /// All figures as they are now. Blocks while it reads.
    #[must_use]
    pub fn text(&self, format: Format) -> String {
        let look = self.look();
        self.metrics.text(look, format)
    }

    fn look(&self) -> Look {
        let config = self.dispatcher.config();
        let stored = stored(&self.store, self.dispatcher.moment()).unwrap_or_else(|error| {
            // While it has failed, the phase says so, and the log why.
            tracing::debug!(%error, "the store is not told of");
            Stored::default()
        });
        let phase = self.dispatcher.phase();
        let phases = Phase::ALL.map(|known| (known.as_str(), known == phase));
        let paused = |name: &str| {
            let names = stored.paused.as_ref()?;
            Some(names.iter().any(|paused| paused == name))
        };
        let agents = config.agents.values();
        let agents = agents.map(|agent| LookedAgent {
            name: agent.name.clone(),
            slots: agent.max_running.unwrap_or(config.max_running),
            paused: paused(&agent.name),
        });
        let own = process::own().inspect_err(|error| {
            tracing::debug!(%error, "cannot look at the own process");
        });
        Look {
            version: env!("CARGO_PKG_VERSION"),
            incarnation: self.dispatcher.incarnation().0,
            phases: phases.into(),
            slots: config.max_running,
            paused: paused(""),
            agents: agents.collect(),
            accounts: stored.parked.map(|parked| accounts(&config, &parked)),
            store: stored.size,
            store_bytes: self.store.size(),
            state_free: self.state.free_space().ok(),
            state_needed: config.min_free_disk,
            backup: backup::newest(&self.state).map(|copy| (copy.at, copy.bytes)),
            started_at: Some(self.started_at),
            process: own.ok().map(|own| Process {
                cpu: own.cpu.as_secs_f64(),
                resident: own.resident,
                threads: own.threads,
                files: own.files,
                most_files: own.most_files,
            }),
        }
    }
}

fn stored(store: &Store, now: Moment) -> Result<Stored, StoreError> {
    let reader = store.reader()?;
    let (tasks, events) = reader.lengths()?;
    let accounts = reader.accounts()?.into_iter();
    let parked = accounts.filter_map(|(name, account)| {
        let left = account.left(now);
        (left > 0).then(|| (name, now.wall.plus_millis(left)))
    });
    Ok(Stored {
        size: Some(StoreSize {
            tasks,
            events,
            revision: reader.revision()?.0,
        }),
        paused: Some(reader.paused()?),
        parked: Some(parked.collect()),
    })
}

/// The accounts of the configuration, and until when those are parked that are.
fn accounts(
    config: &Config,
    parked: &BTreeMap<String, Timestamp>,
) -> Vec<(String, Option<Timestamp>)> {
    let names = config.agents.values().map(|agent| agent.account());
    let names: BTreeMap<&str, _> = names
        .map(|name| (name, parked.get(name).copied()))
        .collect();
    let named = names.into_iter();
    named
        .map(|(name, until)| (name.to_owned(), until))
        .collect()
}
