//! How others speak to the dispatcher.

mod message;
mod orders;
mod pruning;
mod sessions;
mod told;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};

pub(super) use self::message::{Message, Reply};
pub use self::{
    orders::{CancelOrder, Firing, OnBusy, RerunOrder, ShutDown, Submission, Submitted},
    pruning::{Pruned, Pruning},
    sessions::ForgetError,
};
use super::{
    outcome::{Cancelled, FiringError, Held, HoldError, SubmitError, Trouble, Unavailable},
    overview::{Overview, Phase},
};
use crate::{
    clock,
    config::Config,
    supervisor::{Beat, Report, Supervisor, Vitals},
    task::{
        event::AttemptRef,
        id::{Incarnation, Revision, TaskId},
        moment::{Boot, Moment},
        timetable::Fired,
    },
};

/// How the dispatcher is at present.
#[derive(Debug, Clone)]
pub(super) struct Now {
    pub(super) incarnation: Incarnation,
    pub(super) config: Arc<Config>,
    /// To the supervisor's listener.
    pub(super) reports: mpsc::Sender<Report>,
    /// Who knows how runners are.
    pub(super) supervisor: Supervisor,
    pub(super) phase: Phase,
    pub(super) trouble: Option<Trouble>,
}

/// How long the loop may take to say why it dropped a request.
const SAID: Duration = Duration::from_secs(1);

/// The way to the dispatcher; clones share it.
#[derive(Debug, Clone)]
pub struct Handle {
    messages: mpsc::Sender<Message>,
    revisions: watch::Receiver<Revision>,
    now: watch::Receiver<Now>,
    boot: Boot,
}

impl Handle {
    pub(super) fn new(
        messages: mpsc::Sender<Message>,
        revisions: watch::Receiver<Revision>,
        now: watch::Receiver<Now>,
        boot: Boot,
    ) -> Self {
        Self {
            messages,
            revisions,
            now,
            boot,
        }
    }

    /// This life of the daemon.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.now.borrow().incarnation
    }

    /// What the operator set.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.now.borrow().config)
    }

    /// The next configuration after this one; `None`: there will be none.
    pub async fn config_after(&self, known: &Arc<Config>) -> Option<Arc<Config>> {
        let mut now = self.now.clone();
        let next = now.wait_for(|now| !Arc::ptr_eq(&now.config, known)).await;
        next.ok().map(|now| Arc::clone(&now.config))
    }

    /// What it is doing as a whole.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.now.borrow().phase
    }

    /// What is wrong, beyond any one task.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.now.borrow().trouble.clone()
    }

    /// Waits until the phase or the trouble may be another.
    ///
    /// # Errors
    /// If the loop has ended.
    pub async fn changed(&mut self) -> Result<(), Unavailable> {
        self.now.changed().await.map_err(|_| Unavailable::Stopping)
    }

    /// Waits until there is another configuration than this one.
    ///
    /// # Errors
    /// If the loop has ended.
    pub async fn reconfigured(&mut self, config: &Arc<Config>) -> Result<(), Unavailable> {
        loop {
            self.changed().await?;
            if !Arc::ptr_eq(&self.config(), config) {
                return Ok(());
            }
        }
    }

    /// What the clocks show, as tasks are held against it.
    #[must_use]
    pub fn moment(&self) -> Moment {
        clock::moment(self.boot)
    }

    /// The newest durable revision, and its changes.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<Revision> {
        self.revisions.clone()
    }

    /// Stores a task. It is durable when this returns.
    ///
    /// # Errors
    /// If it is not accepted; nothing has changed then.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, SubmitError> {
        self.ask(|reply| Message::Submit(Box::new(submission), reply))
            .await?
    }

    /// Stores a task that runs a finished one again.
    ///
    /// # Errors
    /// If it is not accepted; nothing has changed then.
    pub async fn rerun(&self, order: RerunOrder) -> Result<Submitted, SubmitError> {
        self.ask(|reply| Message::Rerun(Box::new(order), reply))
            .await?
    }

    /// Ends tasks, gracefully or at once, all of them in one turn: none is
    /// started because of another one's end. Durable when this returns; the
    /// signals follow. What came of each is in the order of `ids`.
    ///
    /// # Errors
    /// If the daemon is stopping or its store has failed; nothing has changed
    /// then.
    pub async fn cancel(
        &self,
        ids: Vec<TaskId>,
        by: String,
        order: CancelOrder,
    ) -> Result<Vec<Cancelled>, Unavailable> {
        self.ask(|reply| Message::Cancel {
            ids,
            by,
            order,
            reply,
        })
        .await
    }

    /// Keeps a queued task from being started until it is released.
    ///
    /// # Errors
    /// If there is no such task, or it is not queued.
    pub async fn hold(&self, id: TaskId, by: String) -> Result<Held, HoldError> {
        self.ask(|reply| Message::Hold { id, by, reply }).await?
    }

    /// Ends whatever a person or a clock keeps a queued task for.
    ///
    /// # Errors
    /// If there is no such task.
    pub async fn release(&self, id: TaskId, by: String) -> Result<Held, HoldError> {
        self.ask(|reply| Message::Release { id, by, reply }).await?
    }

    /// Says which schedules there are, by name, with what tells their times from
    /// others. Returns how far each has come.
    ///
    /// # Errors
    /// If the daemon is stopping or its store has failed.
    pub async fn set_schedules(
        &self,
        known: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Fired>, Unavailable> {
        self.ask(|reply| Message::SetSchedules(known, reply)).await
    }

    /// Deals with a time of a schedule, once. `None`: it makes no task, or has
    /// made one before.
    ///
    /// # Errors
    /// If it makes no task; unless the daemon is unavailable, it is dealt with.
    pub async fn fire(&self, firing: Firing) -> Result<Option<Submitted>, FiringError> {
        self.ask(|reply| Message::Fire(Box::new(firing), reply))
            .await?
    }

    /// Says that the wall clock was set, or that the machine has slept.
    ///
    /// # Errors
    /// If the daemon is stopping.
    pub async fn clock_set(&self) -> Result<(), Unavailable> {
        let sent = self.messages.send(Message::ClockSet).await;
        sent.map_err(|_| Unavailable::Stopping)
    }

    /// Stops or resumes dispatch of an agent, or of all. Returns whether that
    /// changed anything.
    ///
    /// # Errors
    /// If the daemon is stopping.
    pub async fn set_paused(
        &self,
        agent: Option<String>,
        paused: bool,
    ) -> Result<bool, Unavailable> {
        self.ask(|reply| Message::Pause {
            agent,
            paused,
            reply,
        })
        .await
    }

    /// Has the tasks of an account run again, whatever limit it has met.
    /// Returns whether it had met any.
    ///
    /// # Errors
    /// If the daemon is stopping.
    pub async fn clear_quota(&self, account: String) -> Result<bool, Unavailable> {
        self.ask(|reply| Message::ClearQuota { account, reply })
            .await
    }

    /// How things stand.
    ///
    /// # Errors
    /// If the daemon is stopping.
    pub async fn overview(&self) -> Result<Overview, Unavailable> {
        self.ask(Message::Overview).await
    }

    /// Believes that the attempts are dead which recovery holds. Returns how
    /// many those are.
    ///
    /// # Errors
    /// If the daemon is stopping.
    pub async fn recover(&self) -> Result<u64, Unavailable> {
        self.ask(Message::Recover).await
    }

    /// Stops dispatch and, after what is to happen first, ends the loop.
    /// Returns how many agents go on.
    ///
    /// # Errors
    /// If the daemon is stopping already.
    pub async fn shut_down(&self, how: ShutDown) -> Result<u64, Unavailable> {
        self.ask(|reply| Message::ShutDown(how, reply)).await
    }

    /// Hands on what a runner says.
    ///
    /// # Errors
    /// If the daemon is stopping.
    pub async fn report(&self, report: Report) -> Result<(), Unavailable> {
        let reports = self.now.borrow().reports.clone();
        match reports.send(report).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why().await),
        }
    }

    /// Takes what the operator has set anew.
    ///
    /// # Errors
    /// If the daemon is stopping or its store has failed.
    pub async fn reload(&self, config: Arc<Config>) -> Result<(), Unavailable> {
        self.ask(|reply| Message::Reload(config, reply)).await
    }

    /// Why an answer was dropped. The loop says so a moment later: that the
    /// store failed, or, by ending, that the daemon stops.
    async fn why(&self) -> Unavailable {
        let mut now = self.now.clone();
        let said = now.wait_for(|now| matches!(now.trouble, Some(Trouble::Store(_))));
        match tokio::time::timeout(SAID, said).await {
            Ok(Err(_)) => Unavailable::Stopping,
            Ok(Ok(_)) => Unavailable::Store,
            // It works again already, or is about to stop.
            Err(_) => match self.phase() {
                Phase::Draining | Phase::Stopping => Unavailable::Stopping,
                Phase::Recovering | Phase::Ready | Phase::StoreFailed => Unavailable::Store,
            },
        }
    }

    /// A runner has given a sign of life. Changes no task.
    pub fn heard(&self, attempt: AttemptRef) {
        self.now.borrow().supervisor.heard(attempt, clock::now());
    }

    /// A runner has told its figures. The dispatcher hears of it only if the
    /// agent has been idle for as long as it may.
    ///
    /// # Errors
    /// If the daemon is stopping.
    pub async fn beat(&self, attempt: AttemptRef, beat: Beat) -> Result<(), Unavailable> {
        let follows = self.now.borrow().supervisor.beat(attempt, beat);
        match follows {
            Some(report) => self.report(report).await,
            None => Ok(()),
        }
    }

    /// What is known of a runner that is under way.
    #[must_use]
    pub fn vitals(&self, attempt: AttemptRef) -> Option<Vitals> {
        self.now.borrow().supervisor.vitals(attempt)
    }

    pub(super) async fn ask<T>(
        &self,
        message: impl FnOnce(Reply<T>) -> Message,
    ) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.messages
            .send(message(reply))
            .await
            .map_err(|_| Unavailable::Stopping)?;
        match answer.await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.why().await),
        }
    }
}
