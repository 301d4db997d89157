//! Why a queued task is not running now.

use agentd_proto::v1;

use crate::task::id::{TaskId, Timestamp};

/// Why a queued task is not running now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rpc) enum ShownHold {
    /// It waits for a slot.
    None,
    /// Its last attempt failed.
    Backoff(Timestamp),
    /// Its agent is paused.
    AgentPaused,
    /// Everything is.
    Paused,
    /// The daemon is to end.
    Draining,
    /// The daemon looks after what it found at its start.
    Recovering,
    /// Too little space is free.
    DiskFull,
    /// Another task has its key.
    KeyBusy(TaskId),
    /// Its provider takes nothing from its account.
    Quota {
        /// The account.
        account: String,
        /// When that is over.
        until: Timestamp,
    },
    /// A person holds it.
    Held(String),
    /// It was submitted for later.
    Scheduled(Timestamp),
    /// It waits for this task, and for so many others.
    Dependency(TaskId, u32),
}

impl From<ShownHold> for v1::Hold {
    fn from(hold: ShownHold) -> Self {
        let mut shown = Self::default();
        let (kind, until, task) = match hold {
            ShownHold::None => ("none", 0, 0),
            ShownHold::Backoff(until) => ("backoff", until.0, 0),
            ShownHold::AgentPaused => ("agent_paused", 0, 0),
            ShownHold::Paused => ("paused", 0, 0),
            ShownHold::Draining => ("daemon_draining", 0, 0),
            ShownHold::Recovering => ("recovering", 0, 0),
            ShownHold::DiskFull => ("disk_full", 0, 0),
            ShownHold::KeyBusy(task) => ("key_busy", 0, task.get()),
            ShownHold::Quota { account, until } => {
                shown.account = account;
                ("quota", until.0, 0)
            }
            ShownHold::Held(by) => {
                shown.by = by;
                ("held", 0, 0)
            }
            ShownHold::Scheduled(until) => ("scheduled", until.0, 0),
            ShownHold::Dependency(task, others) => {
                shown.others = others;
                ("dependency", 0, task.get())
            }
        };
        Self {
            kind: kind.to_owned(),
            until,
            task,
            ..shown
        }
    }
}
