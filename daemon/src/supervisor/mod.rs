//! The daemon's side of its runners: spawns them, speaks to them, finds out
//! when they are gone, and reports all of it.
//!
//! It decides nothing. What it finds goes to the dispatcher as a [`Report`];
//! what the dispatcher wants is a call. It keeps no state that matters: after
//! a restart, [`Supervisor::examine`] finds out about each attempt anew.
//!
//! **Who is gone.** The runner is dead when its lock is free. A runner that we
//! spawned is waited for; one that was adopted is watched through a pidfd.
//! Either wakes us, and then the files are asked: a result, or none.

mod launch;
mod outbox;
mod resolve;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{launch::Plan, outbox::ToRunner};
use crate::{
    spool::StateDir,
    task::{
        attempt::RunResult,
        event::{AttemptRef, Event},
        id::AttemptId,
        recovery::Finding,
    },
};

/// Messages that may wait for one runner.
const OUTBOX: usize = 16;

/// What was found out about an attempt.
#[derive(Debug, Clone)]
pub enum Report {
    /// Something that the core decides about as it is.
    Event(Event),
    /// The runner is done; the verdict is still to be found.
    Exited {
        /// Whose.
        attempt: AttemptRef,
        /// What it saw.
        result: RunResult,
    },
    /// What a start of the daemon found of an attempt; what follows from it is
    /// reported separately.
    Examined {
        /// Of which attempt.
        attempt: AttemptId,
        /// What was found; `None`: nothing could be.
        finding: Option<Finding>,
    },
}

/// Nobody listens to reports any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// What the supervisor knows of one attempt in this incarnation.
#[derive(Debug, Default)]
struct Entry {
    /// To its runner, while connected.
    outbox: Option<mpsc::Sender<ToRunner>>,
    /// Somebody waits for the runner's end and will act on it.
    watched: bool,
    /// The agent may have been started.
    started: bool,
    /// The attempt has ended in the store.
    concluded: bool,
    /// Ends a start that has not come to the runner yet.
    abort: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    state: StateDir,
    boot_id: String,
    socket: PathBuf,
    reports: mpsc::Sender<Report>,
    entries: Mutex<HashMap<AttemptRef, Entry>>,
    tracker: TaskTracker,
}

/// The handle; clones share one supervisor.
#[derive(Debug, Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

impl Supervisor {
    /// A supervisor that reports into `reports`. Calls that start something
    /// need a runtime.
    #[must_use]
    pub fn new(
        state: StateDir,
        boot_id: String,
        socket: PathBuf,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                state,
                boot_id,
                socket,
                reports,
                entries: Mutex::new(HashMap::new()),
                tracker: TaskTracker::new(),
            }),
        }
    }

    /// Where runners are to find the daemon.
    #[must_use]
    pub fn socket(&self) -> &std::path::Path {
        &self.shared.socket
    }

    /// The daemon's directory.
    #[must_use]
    pub fn state_dir(&self) -> &std::path::Path {
        self.shared.state.path()
    }

    /// Runs something that belongs to an attempt, and is waited for at the end.
    pub fn track(&self, act: impl Future<Output = ()> + Send + 'static) {
        self.shared.tracker.spawn(act);
    }

    /// Reports something that happened on the way to a runner.
    pub async fn tell(&self, event: Event) {
        self.report(Report::Event(event)).await;
    }

    /// Begins an attempt: until [`Supervisor::launch`] is called for it, the
    /// token tells whether it is still wanted.
    #[must_use]
    pub fn begin(&self, attempt: AttemptRef) -> CancellationToken {
        let mut entries = self.entries();
        let entry = entries.entry(attempt).or_default();
        entry.watched = true;
        entry.abort.clone()
    }

    /// A runner has connected and named an attempt. Returns what is to be sent
    /// to it; it takes the place of an earlier connection.
    #[must_use]
    pub fn connect(&self, attempt: AttemptRef) -> mpsc::Receiver<ToRunner> {
        let (sender, receiver) = mpsc::channel(OUTBOX);
        self.entries().entry(attempt).or_default().outbox = Some(sender);
        receiver
    }

    /// Tells the runner to start the agent.
    pub fn go(&self, attempt: AttemptRef) {
        if let Some(entry) = self.entries().get_mut(&attempt) {
            entry.started = true;
        }
        self.send(attempt, ToRunner::Go);
    }

    /// Tells the runner that nothing has changed.
    pub fn carry_on(&self, attempt: AttemptRef) {
        if let Some(entry) = self.entries().get_mut(&attempt) {
            entry.started = true;
        }
        self.send(attempt, ToRunner::CarryOn);
    }

    /// Ends the agent, or its start. A runner that is not connected is told
    /// when it registers.
    pub fn stop(&self, attempt: AttemptRef, reason: &'static str, grace: u64) {
        if let Some(entry) = self.entries().get(&attempt) {
            entry.abort.cancel();
        }
        self.send(attempt, ToRunner::Stop { reason, grace });
    }

    /// Answers a runner whose attempt is not the current one: its result is
    /// known or of no use, or it is to end everything.
    pub fn dismiss(&self, attempt: AttemptRef, has_result: bool) {
        self.send(
            attempt,
            if has_result {
                ToRunner::Ack
            } else {
                ToRunner::Fenced {
                    why: "this attempt has ended or was replaced",
                }
            },
        );
        let mut entries = self.entries();
        if entries.get(&attempt).is_some_and(|entry| !entry.watched) {
            entries.remove(&attempt);
        }
    }

    /// The attempt has ended in the store: the runner may go, and once it is
    /// gone its files are put away.
    pub fn conclude(&self, attempt: AttemptRef) {
        self.send(attempt, ToRunner::Ack);
        let watched = {
            let mut entries = self.entries();
            let entry = entries.entry(attempt).or_default();
            entry.concluded = true;
            entry.watched
        };
        if !watched {
            self.put_away(attempt);
        }
    }

    /// Ends what belongs to this incarnation; runners and agents go on.
    pub async fn shut_down(&self) {
        for (_, entry) in self.entries().drain() {
            entry.abort.cancel();
        }
        self.shared.tracker.close();
    }

    /// Puts the files of an attempt away whose runner is gone.
    fn put_away(&self, attempt: AttemptRef) {
        self.entries().remove(&attempt);
        let state = self.shared.state.clone();
        self.shared.tracker.spawn_blocking(move || {
            if let Err(error) = state.put_away(attempt.id) {
                tracing::warn!(attempt = %attempt.id, %error, "cannot put the attempt's files away");
            }
        });
    }

    fn send(&self, attempt: AttemptRef, message: ToRunner) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(&attempt) else {
            return;
        };
        let Some(outbox) = &entry.outbox else { return };
        if outbox.try_send(message).is_err() {
            // Gone, or it does not read: it will register again and ask.
            entry.outbox = None;
        }
    }

    /// Hands on what a runner says.
    ///
    /// # Errors
    /// If nobody listens any more: the daemon is about to exit.
    pub async fn hand_on(&self, report: Report) -> Result<(), Closed> {
        self.shared.reports.send(report).await.map_err(|_| Closed)
    }

    async fn report(&self, report: Report) {
        // The next incarnation finds out for itself.
        if self.hand_on(report).await.is_err() {
            tracing::debug!("a report came after the dispatcher's end");
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<AttemptRef, Entry>> {
        // No code panics while it holds the lock; the map is whole in any case.
        self.shared
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
