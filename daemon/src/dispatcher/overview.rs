//! How things stand, for people.

use std::collections::BTreeMap;

use super::recovery::RecoveryCounts;
use crate::task::{
    id::{Revision, Timestamp},
    state::StateKind,
};

/// What the daemon is doing as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It finds out about the attempts of its predecessor.
    Recovering,
    /// It dispatches.
    Ready,
    /// It waits for the last attempt to end, then exits.
    Draining,
    /// It is about to exit.
    Stopping,
    /// Its store has failed; it is opened again until it works.
    StoreFailed,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 5] = [
        Self::Recovering,
        Self::Ready,
        Self::Draining,
        Self::Stopping,
        Self::StoreFailed,
    ];

    /// The word in the command line and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recovering => "recovering",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::StoreFailed => "store_failed",
        }
    }
}

/// How things stand with one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgentOverview {
    /// Tasks that wait.
    pub queued: u64,
    /// Tasks that occupy a slot.
    pub occupied: u32,
    /// Nothing of it is dispatched.
    pub paused: bool,
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// What the daemon is doing.
    pub phase: Phase,
    /// Active tasks by state.
    pub states: BTreeMap<StateKind, u64>,
    /// Queued tasks that a person holds.
    pub held: u64,
    /// By agent, those with active or paused tasks.
    pub agents: BTreeMap<String, AgentOverview>,
    /// Accounts whose provider takes no more, and until when.
    pub parked: BTreeMap<String, Timestamp>,
    /// Nothing is dispatched at all.
    pub paused: bool,
    /// What the start found.
    pub recovery: RecoveryCounts,
    /// The newest revision.
    pub revision: Revision,
}
