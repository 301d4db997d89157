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
//! the store: if a commit fails, the loop ends, and with it the daemon, and
//! the next incarnation reads the store anew.

mod actor;
mod engine;
mod handle;
mod recovery;
mod timers;

use std::{sync::Arc, thread, time::Instant};

use tokio::sync::{mpsc, watch};

pub use self::{
    engine::{AgentOverview, Overview, Phase},
    handle::{
        CancelError, Cancelled, Handle, OnBusy, RerunOrder, Submission, SubmitError, Submitted,
        Unavailable,
    },
    recovery::RecoveryCounts,
};
use self::{
    actor::Actor,
    engine::{Engine, Engines},
    handle::Message,
};
use crate::{
    config::Config,
    store::{Store, StoreError},
    supervisor::{Report, Supervisor},
    task::id::{Incarnation, Revision},
};

/// Requests and reports that may wait; those who send more wait, too.
pub const INBOX: usize = 4096;

/// Most messages of one turn: bounds the size of a commit.
const TURN: usize = 512;

/// What the dispatcher works with.
#[derive(Debug)]
pub struct Parts {
    /// Where tasks are kept.
    pub store: Arc<Store>,
    /// What the operator set.
    pub config: Arc<Config>,
    /// The hands.
    pub supervisor: Supervisor,
    /// What it reports.
    pub reports: mpsc::Receiver<Report>,
    /// This life of the daemon.
    pub incarnation: Incarnation,
    /// This boot of the machine.
    pub boot_id: String,
    /// For what it starts.
    pub runtime: tokio::runtime::Handle,
}

/// Reads the store and starts the loop. The thread ends when the daemon is
/// told to stop, or with an error when the store fails.
///
/// # Errors
/// If the store cannot be read.
pub fn start(
    parts: Parts,
) -> Result<(Handle, thread::JoinHandle<Result<(), StoreError>>), StoreError> {
    let (requests, inbox) = mpsc::channel(INBOX);
    let reader = parts.store.reader()?;
    let (revision, revisions) = watch::channel(reader.revision()?);
    let handle = Handle::new(
        requests.clone(),
        revisions,
        parts.supervisor.clone(),
        parts.incarnation,
    );
    // Reports take the same way in: one queue, one order.
    let mut reports = parts.reports;
    parts.runtime.spawn(async move {
        while let Some(report) = reports.recv().await {
            if requests.send(Message::Report(report)).await.is_err() {
                break;
            }
        }
    });
    let actor = Actor::new(
        parts.supervisor,
        Arc::clone(&parts.config),
        Arc::clone(&parts.store),
        parts.runtime,
    );
    let engine = Engine::load(
        Engines {
            store: parts.store,
            config: parts.config,
            incarnation: parts.incarnation,
            boot_id: parts.boot_id,
        },
        &reader,
        Instant::now(),
    )?;
    drop(reader);
    let thread = thread::Builder::new()
        .name("dispatcher".to_owned())
        .spawn(move || run(engine, &actor, inbox, &revision))
        .map_err(|error| StoreError::from(redb::StorageError::from(error)))?;
    Ok((handle, thread))
}

fn run(
    mut engine: Engine,
    actor: &Actor,
    mut inbox: mpsc::Receiver<Message>,
    revision: &watch::Sender<Revision>,
) -> Result<(), StoreError> {
    for attempt in engine.unresolved() {
        actor.examine(attempt);
    }
    let mut messages = Vec::with_capacity(TURN);
    loop {
        let turn = engine.turn(messages.drain(..), Instant::now())?;
        revision.send_if_modified(|known| std::mem::replace(known, turn.revision) != turn.revision);
        for act in turn.acts {
            actor.act(act);
        }
        if engine.is_done() {
            return Ok(());
        }
        match receive(&mut inbox, &mut messages, engine.next_timer()) {
            Received::Closed => return Ok(()),
            Received::Messages | Received::Timer => {}
        }
    }
}

enum Received {
    Messages,
    Timer,
    Closed,
}

/// Waits for messages, at the latest until `deadline`, and takes what is there.
fn receive(
    inbox: &mut mpsc::Receiver<Message>,
    messages: &mut Vec<Message>,
    deadline: Option<Instant>,
) -> Received {
    let runtime = tokio::runtime::Handle::try_current();
    let taken = match (deadline, runtime) {
        (None, _) | (_, Err(_)) => inbox.blocking_recv_many(messages, TURN),
        (Some(deadline), Ok(runtime)) => {
            let wait = tokio::time::timeout_at(deadline.into(), inbox.recv_many(messages, TURN));
            match runtime.block_on(wait) {
                Ok(taken) => taken,
                Err(_) => return Received::Timer,
            }
        }
    };
    if taken == 0 {
        Received::Closed
    } else {
        Received::Messages
    }
}
