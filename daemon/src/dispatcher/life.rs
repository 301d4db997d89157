//! Lives of the loop: from the store as it is on disk to a failure of it.
//!
//! What the loop believes is what is on disk. When the store fails (a full
//! disk, for example), that is no longer known, so everything that was
//! believed is thrown away: the connections to runners, the guards, the tasks
//! in memory. Then the store is opened again until that works, and the next
//! incarnation recovers what is under way just as after a restart of the
//! daemon. Agents notice nothing; who asks meanwhile is told why nothing
//! happens.

use std::{
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime,
    sync::{mpsc, watch},
};

use super::{
    Parts,
    actor::Actor,
    close::Closing,
    engine::{Ending, Engine, Engines},
    handle::{Message, Now},
    outcome::{Trouble, Unavailable},
    overview::{Overview, Phase},
};
use crate::{
    clock,
    config::Config,
    store::{Batch, OpenError, Reader, StoreError},
    supervisor::{Report, Supervisor},
    task::{
        attempt::Phase as AttemptPhase,
        id::{AttemptId, Revision},
        moment::Boot,
    },
};

/// Reports that may wait; those who send more wait, too.
const REPORTS: usize = 4096;
/// Most messages of one turn: bounds the size of a commit.
const TURN: usize = 512;
/// First and longest pause before the store is opened again.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// Attempts that are not active and have files among those under way.
#[derive(Debug, Default)]
pub(super) struct LeftBehind {
    /// They have ended; the daemon died before their files were put away.
    pub(super) ended: Vec<Closing>,
    /// The store knows nothing of them.
    pub(super) unknown: Vec<AttemptId>,
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
                let task = reader.task(id.task)?;
                let repo = task.and_then(|task| task.spec.repo);
                left.ended.push(Closing::of(&attempt, repo));
            }
            Some(_) => {}
            None => left.unknown.push(id),
        }
    }
    Ok(left)
}

/// A store that was put back to how it was knows nothing of the tasks after
/// that. Their files are there: no other task is to have their numbers.
fn raise(batch: &mut Batch, parts: &Parts) {
    match parts.place.state.newest_task() {
        Ok(Some(newest)) if newest >= batch.next_task() => {
            tracing::warn!(
                next = %batch.next_task(), %newest,
                "there are files of tasks that the store does not know: it is an older copy; their numbers are left out"
            );
            batch.raise(newest.get(), 0);
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot look for files of unknown tasks"),
    }
}

/// One life: an incarnation and what it works with.
pub(super) struct Life {
    engine: Engine,
    boot: Boot,
    actor: Actor,
    supervisor: Supervisor,
    reports: mpsc::Receiver<Report>,
    sender: mpsc::Sender<Report>,
    left: LeftBehind,
    revision: Revision,
}

impl Life {
    /// Counts a new incarnation and takes up what the store holds.
    pub(super) fn begin(parts: &Parts, config: Arc<Config>) -> Result<Self, StoreError> {
        let incarnation = {
            let mut batch = parts.store.begin()?;
            raise(&mut batch, parts);
            let incarnation = batch.next_incarnation()?;
            batch.commit()?;
            incarnation
        };
        let (sender, reports) = mpsc::channel(REPORTS);
        let suspect_after = Duration::from_millis(config.suspect_after);
        let supervisor = Supervisor::new(
            parts.place.clone(),
            sender.clone(),
            suspect_after,
            Arc::clone(&parts.metrics),
        );
        let reader = parts.store.reader()?;
        let left = left_behind(&supervisor, &reader)?;
        let actor = Actor::new(
            supervisor.clone(),
            Arc::clone(&config),
            Arc::clone(&parts.store),
            Arc::clone(&parts.versions),
            parts.runtime.clone(),
        );
        let boot = Boot::of(&parts.place.boot_id);
        let engine = Engine::load(
            Engines {
                store: Arc::clone(&parts.store),
                metrics: Arc::clone(&parts.metrics),
                state: parts.place.state.clone(),
                config,
                incarnation,
                boot_id: parts.place.boot_id.clone(),
            },
            &reader,
            clock::reading(boot),
        )?;
        Ok(Self {
            engine,
            boot,
            actor,
            supervisor,
            reports,
            sender,
            left,
            revision: reader.revision()?,
        })
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn now(&self) -> Now {
        let supervisor = self.supervisor.clone();
        self.engine.now(self.sender.clone(), supervisor)
    }

    /// Turns until the daemon is told to stop, or the store fails.
    fn run(&mut self, lives: &mut Lives) -> Result<(), StoreError> {
        self.actor.tidy(std::mem::take(&mut self.left));
        for (attempt, limits) in self.engine.unresolved() {
            self.actor.examine(attempt, limits);
        }
        self.actor.watch_pulses();
        let mut reports = Vec::with_capacity(TURN);
        let mut requests = Vec::with_capacity(TURN);
        loop {
            let messages = reports.drain(..).map(Message::Report);
            let turn = self.engine.turn(
                messages.chain(requests.drain(..)),
                clock::reading(self.boot),
            )?;
            lives
                .revision
                .send_if_modified(|known| std::mem::replace(known, turn.revision) != turn.revision);
            for act in turn.acts {
                self.actor.act(act);
            }
            lives.tell(self.now());
            if self.engine.is_done() {
                return Ok(());
            }
            let wait = Wait {
                requests: &mut lives.requests,
                reports: &mut self.reports,
                until: self.engine.next_timer(),
            };
            let receive = wait.receive(&mut reports, &mut requests);
            if !lives.parts.runtime.block_on(receive) {
                return Ok(());
            }
        }
    }
}

/// What the loop waits for: reports of processes go first.
struct Wait<'a> {
    requests: &'a mut mpsc::Receiver<Message>,
    reports: &'a mut mpsc::Receiver<Report>,
    until: Option<Instant>,
}

impl Wait<'_> {
    /// Takes what is there, of both: neither waits until the other has nothing
    /// more to say. Returns false once nobody can ask any more.
    async fn receive(self, reports: &mut Vec<Report>, requests: &mut Vec<Message>) -> bool {
        let timer = async {
            match self.until {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let go_on = tokio::select! {
            biased;
            taken = self.reports.recv_many(reports, TURN) => taken > 0,
            taken = self.requests.recv_many(requests, TURN) => taken > 0,
            () = timer => true,
        };
        take_ready(self.reports, reports);
        take_ready(self.requests, requests);
        go_on
    }
}

fn take_ready<T>(from: &mut mpsc::Receiver<T>, to: &mut Vec<T>) {
    let ready = iter::from_fn(|| from.try_recv().ok());
    let room = TURN.saturating_sub(to.len());
    to.extend(ready.take(room));
}

/// What lasts longer than one life.
pub(super) struct Lives {
    pub(super) parts: Parts,
    pub(super) requests: mpsc::Receiver<Message>,
    pub(super) revision: watch::Sender<Revision>,
    pub(super) now: watch::Sender<Now>,
}

impl Lives {
    /// Life after life, until the daemon is told to stop or the store cannot
    /// be used any more.
    pub(super) fn live(mut self, mut life: Life) -> Result<(), StoreError> {
        loop {
            let ended = life.run(&mut self);
            life.supervisor.shut_down();
            let Err(error) = ended else { return Ok(()) };
            if !error.may_pass() {
                return Err(error);
            }
            self.parts.metrics.store_failed();
            tracing::error!(
                error = %words(&error),
                "the store failed: nothing changes until it works again; agents go on"
            );
            let overview = life.engine.overview(self.revision.borrow().to_owned());
            let ending = life.engine.take_ending();
            let config = self.now.borrow().config.clone();
            drop(life);
            let running = running(&overview);
            let revived = self.revive(&error, overview, config, ending.as_ref())?;
            match (revived, ending) {
                (Some(next), None) => life = next,
                (Some(next), Some(ending)) => {
                    life = next;
                    life.engine.go_on_ending(ending);
                }
                (None, ending) => {
                    if let Some(ending) = ending {
                        ending.answer(running);
                    }
                    return Ok(());
                }
            }
            tracing::info!("the store works again");
            self.now.send_replace(life.now());
        }
    }

    /// Opens the store until it works; `None`: the daemon is to stop, as it was
    /// told meanwhile or before.
    fn revive(
        &mut self,
        error: &StoreError,
        mut overview: Overview,
        config: Arc<Config>,
        ending: Option<&Ending>,
    ) -> Result<Option<Life>, StoreError> {
        overview.phase = Phase::StoreFailed;
        self.fail(&words(error));
        let mut pause = FIRST;
        loop {
            let is_over = ending.is_some_and(|ending| ending.is_over(Instant::now()));
            if is_over || !self.answer(pause, &overview) {
                return Ok(None);
            }
            pause = (pause * 2).min(LONGEST);
            match self.parts.store.reopen() {
                Ok(()) => {}
                Err(OpenError::Io { source, .. }) => {
                    self.fail(&source.to_string());
                    continue;
                }
                Err(OpenError::Damaged { source, .. }) if source.may_pass() => {
                    self.fail(&words(&*source));
                    continue;
                }
                Err(OpenError::Damaged { source, .. }) => return Err(*source),
                Err(error @ OpenError::Newer { .. }) => {
                    let error = redb::StorageError::Corrupted(error.to_string());
                    return Err(error.into());
                }
            }
            match Life::begin(&self.parts, Arc::clone(&config)) {
                Ok(life) => return Ok(Some(life)),
                Err(error) if error.may_pass() => self.fail(&words(&error)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Answers for a while that nothing can be done. Returns false if the
    /// daemon was told to stop.
    fn answer(&mut self, time: Duration, overview: &Overview) -> bool {
        let until = tokio::time::Instant::now() + time;
        let runtime: runtime::Handle = self.parts.runtime.clone();
        runtime.block_on(async {
            while let Ok(received) = tokio::time::timeout_at(until, self.requests.recv()).await {
                match received {
                    Some(message) => {
                        if !refuse(message, overview) {
                            return false;
                        }
                    }
                    None => return false,
                }
            }
            true
        })
    }

    fn fail(&self, why: &str) {
        let trouble = Some(Trouble::Store(why.to_owned()));
        self.now.send_if_modified(|now| {
            let changed = now.trouble != trouble;
            now.trouble = trouble;
            now.phase = Phase::StoreFailed;
            changed
        });
    }

    /// Lets everybody know how things are, if that is another than before.
    fn tell(&self, now: Now) {
        self.now.send_if_modified(|known| {
            let changed = (known.phase, &known.trouble) != (now.phase, &now.trouble)
                || !Arc::ptr_eq(&known.config, &now.config);
            *known = now;
            changed
        });
    }
}

/// Answers while there is no store. Returns false for a shutdown.
fn refuse(message: Message, overview: &Overview) -> bool {
    // Who asked may have gone; then nobody wants to know.
    match message {
        Message::Submit(_, reply) | Message::Rerun(_, reply) => {
            drop(reply.send(Err(Unavailable::Store.into())));
        }
        Message::Say(_, reply) => drop(reply.send(Err(Unavailable::Store.into()))),
        Message::Hold { reply, .. } | Message::Release { reply, .. } => {
            reply.send(Err(Unavailable::Store.into())).ok();
        }
        Message::Overview(reply) => drop(reply.send(overview.clone())),
        Message::Fire(_, reply) => drop(reply.send(Err(Unavailable::Store.into()))),
        // Their sides see that nobody answers, and why.
        Message::ForgetSession { reply, .. } => {
            drop(reply.send(Err(Unavailable::Store.into())));
        }
        Message::Cancel { .. }
        | Message::Pause { .. }
        | Message::ClearQuota { .. }
        | Message::Prune(..)
        | Message::Recover(_)
        | Message::Reload(..)
        | Message::Report(_)
        | Message::SetSchedules(..)
        | Message::SetTold { .. }
        // The next life reads the clocks anew.
        | Message::ClockSet => {}
        Message::ShutDown(_, reply) => {
            reply.send(running(overview)).ok();
            return false;
        }
    }
    true
}

/// How many agents go on without the daemon.
fn running(overview: &Overview) -> u64 {
    let agents = overview.agents.values();
    agents.map(|agent| u64::from(agent.occupied)).sum()
}

/// The error and its causes, in one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
