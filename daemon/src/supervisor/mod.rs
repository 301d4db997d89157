//! The daemon's side of its runners: spawns them, speaks to them, finds out
//! when they are gone, and reports all of it.
//!
//! It decides nothing. What it finds goes to the dispatcher as a [`Report`];
//! what the dispatcher wants is a call. It keeps no state that matters: after
//! a restart, [`Supervisor::examine`] finds out about each attempt anew.
//!
//! **Guards.** From the moment at which it is begun or found until its files
//! are put away, an attempt has one guard: an async task that waits for its
//! runner's end, asks the files what came of it, reports that, and tidies up.
//! A guard never gives up: what it cannot find out now it looks at again. See
//! `guard.rs`.
//!
//! **Who is gone.** A runner is dead when its lock is free; everything else
//! (a child that was waited for, a pidfd) only says when to look.

mod guard;
mod launch;
mod outbox;
mod pulse;
mod reap;
mod resolve;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    guard::{Begin, Now},
    pulse::Pulses,
};
pub use self::{
    launch::Plan,
    outbox::{Outbox, ToRunner},
    pulse::{Beat, Expected, Vitals},
    resolve::Seen,
};
use crate::{
    metrics::Metrics,
    process::Containment,
    spool::StateDir,
    task::{
        attempt::{Changes, ProcessIdentity, RunResult, Workspace},
        event::{AttemptRef, Event, Stage},
        id::AttemptId,
        session::Given,
    },
};

/// What was found out about an attempt.
#[derive(Debug)]
pub enum Report {
    /// Something that the core decides about as it is.
    Event(Event),
    /// The workspace is there.
    Prepared {
        /// Of which attempt.
        attempt: AttemptRef,
        /// Where.
        workspace: Workspace,
        /// The session that the attempt has.
        given: Given,
        /// Whoever waits until this is durable, to spawn the runner if the
        /// attempt is still under way.
        durable: oneshot::Sender<bool>,
    },
    /// A runner has connected and says how far it is.
    Registered {
        /// For which attempt.
        attempt: AttemptRef,
        /// Who it is.
        runner: ProcessIdentity,
        /// How far it is.
        stage: Stage,
        /// The way to it.
        outbox: Outbox,
    },
    /// The runner is done; the verdict is still to be found.
    Exited {
        /// Whose.
        attempt: AttemptRef,
        /// What it saw.
        result: RunResult,
        /// The way to a runner that says so as it connects.
        outbox: Option<Outbox>,
    },
    /// What an attempt has left in its workspace was looked at; its files can be
    /// put away once that is stored.
    Closed {
        /// Whose.
        attempt: AttemptRef,
        /// What it left; none if that could not be found out.
        changes: Option<Changes>,
    },
    /// What a start of the daemon found of an attempt.
    Examined {
        /// Of which attempt.
        attempt: AttemptRef,
        /// What was found; `None`: nothing could be, in time.
        seen: Option<Seen>,
    },
}

/// Nobody listens to reports any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// What the supervisor knows of one attempt in this incarnation.
#[derive(Debug, Default)]
struct Entry {
    /// Its guard follows this. That it is dropped says that the incarnation has
    /// ended, and nothing about the attempt.
    now: watch::Sender<Now>,
    /// It has a guard.
    guarded: bool,
    /// Ends a start that has not come to the runner yet.
    abort: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    state: StateDir,
    boot_id: String,
    socket: PathBuf,
    open_files: Option<u64>,
    containment: Arc<Containment>,
    reports: mpsc::Sender<Report>,
    entries: Mutex<HashMap<AttemptRef, Entry>>,
    tracker: TaskTracker,
    end: CancellationToken,
    pulses: Pulses,
    metrics: Arc<Metrics>,
}

/// Where a supervisor works.
#[derive(Debug, Clone)]
pub struct Place {
    /// The daemon's directory.
    pub state: StateDir,
    /// This boot of the machine.
    pub boot_id: String,
    /// Where runners find the daemon.
    pub socket: PathBuf,
    /// How many files an agent may have open unless it asks for more.
    pub open_files: Option<u64>,
    /// What the trees of attempts are held by.
    pub containment: Arc<Containment>,
}

/// The handle; clones share one supervisor.
#[derive(Debug, Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

impl Supervisor {
    /// A supervisor that reports into `reports`; a runner that says nothing for
    /// `suspect_after` is looked at. Calls that start something need a runtime.
    #[must_use]
    pub fn new(
        place: Place,
        reports: mpsc::Sender<Report>,
        suspect_after: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: place.state,
                boot_id: place.boot_id,
                socket: place.socket,
                open_files: place.open_files,
                containment: place.containment,
                reports,
                entries: Mutex::new(HashMap::new()),
                tracker: TaskTracker::new(),
                end: CancellationToken::new(),
                pulses: Pulses::new(suspect_after),
                metrics,
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

    /// What of it no agent has to read.
    #[must_use]
    pub fn not_for_agents(&self) -> Vec<PathBuf> {
        self.shared.state.not_for_agents().collect()
    }

    /// How many files an agent may have open unless it asks for more.
    #[must_use]
    pub fn open_files(&self) -> Option<u64> {
        self.shared.open_files
    }

    /// Tells whether this incarnation has ended, to those who block.
    #[must_use]
    pub fn end(&self) -> CancellationToken {
        self.shared.end.clone()
    }

    /// Runs something that belongs to an attempt; it ends with the supervisor.
    pub fn track(&self, act: impl Future<Output = ()> + Send + 'static) {
        let end = self.shared.end.clone();
        self.shared.tracker.spawn(async move {
            // Whoever is woken by the end is not to go on first.
            tokio::select! {
                biased;
                () = end.cancelled() => {}
                () = act => {}
            }
        });
    }

    /// Reports something that happened on the way to a runner.
    pub async fn tell(&self, event: Event) {
        self.report(Report::Event(event)).await;
    }

    /// Says that the workspace is there, and waits until that is durable.
    /// Returns whether the attempt is still under way: if not, or if nobody
    /// listens any more, its runner is not to be spawned.
    pub async fn prepared(&self, attempt: AttemptRef, workspace: Workspace, given: Given) -> bool {
        let (durable, known) = oneshot::channel();
        self.report(Report::Prepared {
            attempt,
            workspace,
            given,
            durable,
        })
        .await;
        known.await.unwrap_or(false)
    }

    /// Begins an attempt: until [`Supervisor::launch`] is called for it, the
    /// token tells whether it is still wanted.
    #[must_use]
    pub fn begin(&self, attempt: AttemptRef) -> CancellationToken {
        let mut entries = self.entries();
        let entry = entries.entry(attempt).or_default();
        entry.guarded = true;
        entry.abort.clone()
    }

    /// Looks after a runner that this incarnation did not spawn. With
    /// `started`, its agent may have been started.
    pub fn adopt(&self, attempt: AttemptRef, runner: Option<ProcessIdentity>, started: bool) {
        self.update(attempt, |now| {
            now.runner = now.runner.take().or(runner);
            now.started |= started;
        });
        self.guard(attempt, Begin::Found);
    }

    /// A runner's registration was taken: it is spoken to through `outbox`
    /// from now on. With `started`, its agent may have been started.
    pub fn connected(
        &self,
        attempt: AttemptRef,
        runner: ProcessIdentity,
        outbox: Outbox,
        started: bool,
    ) {
        if started {
            self.shared.metrics.reconnected();
        }
        self.update(attempt, |now| {
            now.runner = Some(runner);
            now.started |= started;
            // A registration that comes late, after that of the runner's next
            // connection, must not take that one's place.
            if !outbox.is_closed() {
                now.outbox = Some(outbox);
            }
        });
        self.guard(attempt, Begin::Found);
    }

    /// Tells the runner to start the agent.
    pub fn go(&self, attempt: AttemptRef) {
        crashpoint!("supervisor.go");
        self.start(attempt, ToRunner::Go);
    }

    /// Tells the runner that nothing has changed.
    pub fn carry_on(&self, attempt: AttemptRef) {
        self.start(attempt, ToRunner::CarryOn);
    }

    fn start(&self, attempt: AttemptRef, message: ToRunner) {
        self.note(attempt, |now| now.started = true);
        self.send(attempt, message);
    }

    /// Ends the agent, or its start. A runner that is not connected is told
    /// when it registers.
    pub fn stop(&self, attempt: AttemptRef, reason: &'static str, grace: u64) {
        if let Some(entry) = self.entries().get(&attempt) {
            entry.abort.cancel();
        }
        crashpoint!("supervisor.stop");
        self.send(attempt, ToRunner::Stop { reason, grace });
    }

    /// What the attempt left is stored as well: once its runner is gone, its
    /// files are put away.
    pub fn conclude(&self, attempt: AttemptRef) {
        self.update(attempt, |now| now.concluded = true);
        self.guard(attempt, Begin::Found);
    }

    /// The attempt has ended in the store: its runner may go.
    pub fn acknowledge(&self, attempt: AttemptRef) {
        crashpoint!("supervisor.ack");
        self.send(attempt, ToRunner::Ack);
    }

    /// Ends what belongs to this incarnation; runners and agents go on.
    pub fn shut_down(&self) {
        // First: a guard is not to see that its entry has gone, and go on.
        self.shared.end.cancel();
        for (_, entry) in self.entries().drain() {
            entry.abort.cancel();
        }
        self.shared.tracker.close();
    }

    /// Changes what is known of an attempt, and wakes its guard.
    fn update(&self, attempt: AttemptRef, change: impl FnOnce(&mut Now)) {
        let mut entries = self.entries();
        let entry = entries.entry(attempt).or_default();
        entry.now.send_modify(change);
    }

    /// Changes what is known of an attempt, if anything is. Its guard need not
    /// look again for that.
    fn note(&self, attempt: AttemptRef, change: impl FnOnce(&mut Now)) {
        if let Some(entry) = self.entries().get(&attempt) {
            entry.now.send_if_modified(|now| {
                change(now);
                false
            });
        }
    }

    fn send(&self, attempt: AttemptRef, message: ToRunner) {
        self.note(attempt, |now| {
            // Gone, or it does not read: it will register again and ask.
            now.outbox.take_if(|outbox| !outbox.send(message));
        });
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

    /// The attempts whose files are among those under way.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn attempts_present(&self) -> std::io::Result<Vec<AttemptId>> {
        self.shared.state.attempts_present()
    }
}
