//! What is found when somebody asks, and is counted nowhere.

use crate::task::id::Timestamp;

/// How the daemon and what it stands on are, at one moment. What could not be
/// found out is `None`, and is not told.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Of this program.
    pub version: &'static str,
    /// The life of the daemon.
    pub incarnation: u64,
    /// What the daemon may be doing, and whether it does it.
    pub phases: Vec<(&'static str, bool)>,
    /// How many tasks may occupy a slot.
    pub slots: u32,
    /// Nothing is dispatched at all.
    pub paused: Option<bool>,
    /// Of the configuration, by name.
    pub agents: Vec<LookedAgent>,
    /// The accounts of the configuration, and until when those are parked that
    /// are.
    pub accounts: Option<Vec<(String, Option<Timestamp>)>>,
    /// Of the task store; none while it is closed.
    pub store: Option<StoreSize>,
    /// Of the file of the store, bytes.
    pub store_bytes: u64,
    /// Free in the file system of the state directory, bytes.
    pub state_free: Option<u64>,
    /// Below that nothing is started, bytes.
    pub state_needed: u64,
    /// The newest copy of the store: when it was made, and its bytes.
    pub backup: Option<(Timestamp, u64)>,
    /// When the process began to serve.
    pub started_at: Option<Timestamp>,
    /// What it uses.
    pub process: Option<Process>,
}

/// One agent of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedAgent {
    /// Its name.
    pub name: String,
    /// How many of its tasks may occupy a slot.
    pub slots: u32,
    /// Nothing of it is dispatched; `None`: that could not be found out.
    pub paused: Option<bool>,
}

/// How much is in the task store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSize {
    /// Tasks.
    pub tasks: u64,
    /// Entries of the journal.
    pub events: u64,
    /// The newest revision.
    pub revision: u64,
}

/// What the daemon's own process uses.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Process {
    /// CPU time, seconds.
    pub cpu: f64,
    /// Resident memory, bytes.
    pub resident: u64,
    /// Threads.
    pub threads: u64,
    /// Files that are open.
    pub files: u64,
    /// How many may be; none: there is no limit.
    pub most_files: Option<u64>,
}
