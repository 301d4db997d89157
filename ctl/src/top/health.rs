//! What the head of the screen knows of the daemon. All of its text is
//! harmless and short.

use agentd_proto::v1;

use super::text::short;
use crate::output::page::bytes;

/// Accounts that are kept.
const ACCOUNTS: usize = 20;

/// The daemon as it said last that it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) version: String,
    pub(super) phase: String,
    pub(super) trouble: String,
    pub(super) started_at: i64,
    pub(super) paused: bool,
    pub(super) slots: u32,
    pub(super) queued: u64,
    /// Starting, running and stopping.
    pub(super) busy: u64,
    pub(super) running: u64,
    /// Tasks of these wait for their provider.
    pub(super) parked: Vec<Parked>,
    /// Ones that are paused on their own.
    pub(super) paused_agents: Vec<String>,
    /// The machine, as far as the daemon sees it.
    pub(super) host: Vec<Fact>,
}

/// Something about the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) text: String,
    /// It is why nothing is started.
    pub(super) is_short: bool,
}

/// An account that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parked {
    pub(super) name: String,
    pub(super) until: i64,
    pub(super) reason: String,
}

/// How busy the machine is, and what is left of it.
fn host(status: &v1::StatusResponse) -> Vec<Fact> {
    let fact = |name, text| Fact {
        name,
        text,
        is_short: false,
    };
    let mut facts = Vec::new();
    if let Some(host) = &status.host {
        let load = format!("{:.2} of {} cpus", host.load1, host.cpus);
        facts.push(fact("load", load));
        let waits = [
            ("cpu", &host.cpu_pressure),
            ("memory", &host.memory_pressure),
            ("io", &host.io_pressure),
        ];
        let waits = waits.into_iter().filter_map(|(name, pressure)| {
            let share = pressure.as_ref()?.some10;
            (share >= 1.0).then(|| format!("{name} {share:.0}%"))
        });
        let waits: Vec<String> = waits.collect();
        if !waits.is_empty() {
            facts.push(fact("pressure", waits.join(" ")));
        }
        if host.memory != 0 {
            let free = bytes(host.memory_available);
            facts.push(fact("memory", format!("{free} free")));
        }
    }
    if status.state_free != 0 || status.min_free_disk != 0 {
        facts.push(Fact {
            is_short: status.state_free < status.min_free_disk,
            ..fact("disk", format!("{} free", bytes(status.state_free)))
        });
    }
    facts
}

impl From<v1::StatusResponse> for Health {
    fn from(status: v1::StatusResponse) -> Self {
        let parked = status.parked.iter().take(ACCOUNTS).map(|account| Parked {
            name: short(&account.name),
            until: account.until,
            reason: short(&account.reason),
        });
        let paused = status.agents.iter().filter(|agent| agent.paused);
        Self {
            host: host(&status),
            version: short(&status.version),
            phase: short(&status.phase),
            trouble: short(&status.trouble),
            started_at: status.started_at,
            paused: status.paused,
            slots: status.slots,
            queued: status.queued,
            busy: status.starting + status.running + status.stopping,
            running: status.running,
            parked: parked.collect(),
            paused_agents: paused
                .take(ACCOUNTS)
                .map(|agent| short(&agent.name))
                .collect(),
        }
    }
}

impl Health {
    /// Whether a queued task may be held by something else than before.
    pub(super) fn holds_differ(&self, before: &Self) -> bool {
        let holds = |health: &Self| {
            (
                health.paused,
                health.phase.clone(),
                health.trouble.clone(),
                health.parked.clone(),
                health.paused_agents.clone(),
                health.host.iter().any(|fact| fact.is_short),
            )
        };
        holds(self) != holds(before)
    }
}
