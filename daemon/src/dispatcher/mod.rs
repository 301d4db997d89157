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
mod overview;
mod recovery;
mod timers;
mod turn;

use std::{sync::Arc, thread, time::Instant};

use tokio::{
    runtime,
    sync::{mpsc, watch},
};

use self::{
    actor::Actor,
    engine::{Engine, Engines},
    handle::Message,
};
pub use self::{
    handle::{
        CancelError, CancelOrder, Cancelled, Handle, OnBusy, RerunOrder, ShutDown, Submission,
        SubmitError, Submitted, Unavailable,
    },
    overview::{AgentOverview, Overview, Phase},
    recovery::RecoveryCounts,
};
use crate::{
    config::Config,
    store::{Reader, Store, StoreError},
    supervisor::{Report, Supervisor},
    task::{
        attempt::Phase as AttemptPhase,
        event::AttemptRef,
        id::{AttemptId, Incarnation, Revision},
        transition::reference,
    },
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
    pub runtime: runtime::Handle,
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
    let inbox = Inbox {
        requests: inbox,
        reports: parts.reports,
    };
    let runtime = parts.runtime.clone();
    let reader = parts.store.reader()?;
    let (revision, revisions) = watch::channel(reader.revision()?);
    let handle = Handle::new(
        requests,
        revisions,
        parts.supervisor.clone(),
        parts.incarnation,
    );
    let left = left_behind(&parts.supervisor, &reader)?;
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
        .spawn(move || {
            actor.tidy(left);
            run(engine, &actor, inbox, &revision, &runtime)
        })
        .map_err(|error| StoreError::from(redb::StorageError::from(error)))?;
    Ok((handle, thread))
}

/// Attempts that are not active and have files among those under way.
#[derive(Debug, Default)]
struct LeftBehind {
    /// They have ended; the daemon died before their files were put away.
    ended: Vec<AttemptRef>,
    /// The store knows nothing of them.
    unknown: Vec<AttemptId>,
}

fn left_behind(supervisor: &Supervisor, reader: &Reader) -> Result<LeftBehind, StoreError> {
    let present = supervisor.attempts_present().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot look for files of ended attempts");
        Vec::new()
    });
    let mut left = LeftBehind::default();
    for id in present {
        match reader.attempt(id)? {
            Some(attempt) if attempt.phase == AttemptPhase::Ended => {
                left.ended.push(reference(&attempt));
            }
            Some(_) => {}
            None => left.unknown.push(id),
        }
    }
    Ok(left)
}

/// What waits for the loop: reports of processes go first.
struct Inbox {
    requests: mpsc::Receiver<Message>,
    reports: mpsc::Receiver<Report>,
}

fn run(
    mut engine: Engine,
    actor: &Actor,
    mut inbox: Inbox,
    revision: &watch::Sender<Revision>,
    runtime: &runtime::Handle,
) -> Result<(), StoreError> {
    for attempt in engine.unresolved() {
        actor.examine(attempt);
    }
    let mut reports = Vec::with_capacity(TURN);
    let mut requests = Vec::with_capacity(TURN);
    loop {
        let messages = reports.drain(..).map(Message::Report);
        let turn = engine.turn(messages.chain(requests.drain(..)), Instant::now())?;
        revision.send_if_modified(|known| std::mem::replace(known, turn.revision) != turn.revision);
        for act in turn.acts {
            actor.act(act);
        }
        if engine.is_done() {
            return Ok(());
        }
        let open =
            runtime.block_on(inbox.receive(&mut reports, &mut requests, engine.next_timer()));
        if !open {
            return Ok(());
        }
    }
}

impl Inbox {
    /// Waits for messages, at the latest until `deadline`, and takes what is
    /// there. Returns false once nobody can send any more.
    async fn receive(
        &mut self,
        reports: &mut Vec<Report>,
        requests: &mut Vec<Message>,
        deadline: Option<Instant>,
    ) -> bool {
        let timer = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            taken = self.reports.recv_many(reports, TURN) => taken > 0,
            taken = self.requests.recv_many(requests, TURN) => taken > 0,
            () = timer => true,
        }
    }
}
