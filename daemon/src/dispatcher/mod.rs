//! The one loop: takes what happened, decides, commits, acts.
//!
//! ```text
//!  rpc ──requests──►┐                                   ┌─► replies
//!                   ├─► engine.turn(): decide … commit ─┤
//!  supervisor ─reports─►┘        (one thread)           └─► actor: workspace, runners
//!        ▲                                                        │
//!        └────────────────────────────────────────────────────────┘
//! ```
//!
//! The loop runs on a thread of its own, because committing blocks. Each turn
//! takes everything that has gathered, so that one sync serves all of it; only
//! when the commit has returned are replies sent and effects carried out. No
//! other code changes a task.
//!
//! Invariants: no effect and no reply before its commit · tasks change through
//! [`crate::task::transition::decide`] only · what is in memory is what is in
//! the store: if a commit fails, this life ends (see `life.rs`), and the next
//! incarnation reads the store anew.

mod actor;
mod close;
mod engine;
mod handle;
mod life;
mod outcome;
mod overview;
mod recovery;
mod said;
mod sandbox;
mod session;
mod timers;
mod turn;

use std::{sync::Arc, thread};

use tokio::{
    runtime,
    sync::{mpsc, watch},
};

use self::life::{Life, Lives};
pub use self::{
    handle::{
        CancelOrder, Firing, ForgetError, Handle, OnBusy, Pruned, Pruning, RerunOrder, ShutDown,
        Submission, Submitted,
    },
    outcome::{Cancelled, FiringError, Held, HoldError, SubmitError, Trouble, Unavailable},
    overview::{AgentOverview, Overview, Phase},
    recovery::RecoveryCounts,
    said::{Heard, Statement, StatementError},
};
use crate::{
    agents::Versions,
    config::Config,
    metrics::Metrics,
    store::{Store, StoreError},
    supervisor::Place,
    task::moment::Boot,
};

/// Requests and reports that may wait; those who send more wait, too.
const INBOX: usize = 4096;

/// What the dispatcher works with.
#[derive(Debug)]
pub struct Parts {
    /// Where tasks are kept.
    pub store: Arc<Store>,
    /// What the operator set.
    pub config: Arc<Config>,
    /// Where everything else is.
    pub place: Place,
    /// Of the programs of agents.
    pub versions: Arc<Versions>,
    /// Where it is counted what happens.
    pub metrics: Arc<Metrics>,
    /// For what it starts.
    pub runtime: runtime::Handle,
}

/// The thread of the loop.
pub type Thread = thread::JoinHandle<Result<(), StoreError>>;

/// Reads the store and starts the loop. The thread ends when the daemon is
/// told to stop, or with an error when the store is damaged.
///
/// # Errors
/// If the store cannot be read or written.
pub fn start(parts: Parts) -> Result<(Handle, Thread), StoreError> {
    let (sender, requests) = mpsc::channel(INBOX);
    let life = Life::begin(&parts, Arc::clone(&parts.config))?;
    let (revision, revisions) = watch::channel(life.revision());
    let (now, watched) = watch::channel(life.now());
    let boot = Boot::of(&parts.place.boot_id);
    let handle = Handle::new(sender, revisions, watched, boot);
    let lives = Lives {
        parts,
        requests,
        revision,
        now,
    };
    let thread = thread::Builder::new()
        .name("dispatcher".to_owned())
        .spawn(move || lives.live(life))
        .map_err(|error| StoreError::from(redb::StorageError::from(error)))?;
    Ok((handle, thread))
}
