//! The synchronous heart of the loop: what happened goes in, what is to be
//! done comes out, and in between it has become durable.

use std::{collections::HashMap, sync::Arc, time::Instant};

use tokio::sync::mpsc;

mod admission;
mod counting;
mod deadlines;
mod dependencies;
mod ending;
mod holding;
mod inbox;
mod ledger;
mod look;
mod pruning;
mod reports;
mod said;
mod schedules;
mod sessions;
mod space;

pub(super) use self::ending::Ending;
use self::{
    deadlines::waits,
    dependencies::Dependents,
    ending::ToCancel,
    ledger::{Accounts, accounts_of},
    space::Space,
};
use super::{
    handle::{Message, Now, Submitted},
    overview::Phase,
    recovery::Recovery,
    timers::Timers,
    turn::{Act, Turn, Turned},
};
use crate::{
    clock::Reading,
    config::Config,
    metrics::{Metrics, Step},
    spool::StateDir,
    store::{Entry, Reader, Store, StoreError},
    supervisor::{Report, Supervisor},
    task::{
        attempt::Attempt,
        effect::Effect,
        event::{Event, What},
        id::{Incarnation, Nonce, TaskId},
        limits::Limits,
        moment::Moment,
        schedule::{Capacity, Schedule},
        state::Task,
        transition::{Change, Context, Decision, decide},
    },
};

/// Most changes of one turn that nobody has asked for one by one: ends of waits,
/// what follows from ends of other tasks, cancels of all. Bounds the size of a
/// commit; the rest follows in the next turn.
const CASCADE: usize = 1_000;

/// What the engine is made of.
pub(super) struct Engines {
    pub(super) store: Arc<Store>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) state: StateDir,
    pub(super) config: Arc<Config>,
    pub(super) incarnation: Incarnation,
    pub(super) boot_id: String,
}

/// Every active task, and the rules by which they change.
pub(super) struct Engine {
    parts: Engines,
    tasks: HashMap<TaskId, Task>,
    schedule: Schedule,
    timers: Timers,
    accounts: Accounts,
    dependents: Dependents,
    /// When the last turn was.
    turned_at: Instant,
    recovery: Recovery,
    phase: Phase,
    /// Too little of it was free at the last look.
    space: Option<Space>,
    /// The daemon's end, if somebody has asked for it.
    ending: Option<Ending>,
    to_cancel: ToCancel,
}

impl Engine {
    /// Takes up what the store holds.
    pub(super) fn load(parts: Engines, reader: &Reader, now: Reading) -> Result<Self, StoreError> {
        let mut schedule = Schedule::new(capacity(&parts.config));
        for name in reader.paused()? {
            let agent = Some(name.as_str()).filter(|name| !name.is_empty());
            schedule.set_paused(agent, true);
        }
        schedule.set_accounts(accounts_of(&parts.config));
        let mut tasks = HashMap::new();
        let mut timers = Timers::default();
        let mut dependents = Dependents::default();
        for task in reader.active()? {
            schedule.update(&task, now.moment);
            dependents.add(&task);
            // What an attempt has done meanwhile counts before its limits do.
            if task.live_attempt().is_none() {
                timers.set(task.id, waits(&task, now.instant, now.moment));
            }
            tasks.insert(task.id, task);
        }
        dependents.load(&tasks, reader)?;
        let live = tasks.values().filter_map(Task::live_attempt);
        let recovery = Recovery::new(live.map(|attempt| attempt.id), now.instant);
        let over = recovery.is_over();
        let mut engine = Self {
            parts,
            tasks,
            schedule,
            timers,
            accounts: Accounts::load(reader)?,
            dependents,
            turned_at: now.instant,
            recovery,
            phase: if over {
                Phase::Ready
            } else {
                Phase::Recovering
            },
            space: None,
            ending: None,
            to_cancel: ToCancel::new(),
        };
        engine.set_account_waits(now.instant, now.moment);
        engine.recount();
        Ok(engine)
    }

    /// The attempts that this incarnation found under way.
    pub(super) fn unresolved(&self) -> Vec<(Attempt, Limits)> {
        let tasks = self.tasks.values();
        let live = tasks.filter_map(|task| Some((task.live_attempt()?.clone(), task.spec.limits)));
        live.collect()
    }

    /// When the next turn is due, whatever happens.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let timer = self.timers.next();
        let recovery = self.recovery.next_timer();
        let all = timer.into_iter().chain(recovery);
        let space = self.space.as_ref().map(|space| space.again);
        let space = space.filter(|_| self.phase == Phase::Ready);
        let settle = self.dependents.due(self.turned_at);
        let cancel = (!self.to_cancel.is_empty()).then_some(self.turned_at);
        let end = self.ending.as_ref().and_then(Ending::until);
        let account = self.accounts.next();
        let all = all.chain(end).chain(space).chain(cancel);
        all.chain(settle).chain(account).min()
    }

    /// The loop is to end.
    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Stopping
    }

    /// Takes what happened, decides, commits.
    pub(super) fn turn(
        &mut self,
        messages: impl Iterator<Item = Message>,
        now: Reading,
    ) -> Result<Turned, StoreError> {
        let mut turn = Turn {
            batch: self.parts.store.begin()?,
            acts: Vec::new(),
            steps: Vec::new(),
            submitted: Vec::new(),
            now: now.instant,
            wall: now.moment.wall,
            moment: now.moment,
        };
        self.turned_at = now.instant;
        let config = Arc::clone(&self.parts.config);
        let mut taken = 0;
        for message in messages {
            self.take(&mut turn, message)?;
            taken += 1;
        }
        self.recover(&mut turn);
        self.take_due(&mut turn)?;
        self.cancel_all(&mut turn)?;
        self.settle(&mut turn)?;
        self.open_accounts(&turn);
        let wants_space = self.space.is_some() || self.schedule.pick().is_some();
        if self.phase == Phase::Ready && wants_space && self.has_space(now.instant) {
            while let Some(id) = self.schedule.pick() {
                self.claim(&mut turn, id)?;
            }
        }
        for (reply, submitted) in std::mem::take(&mut turn.submitted) {
            let now = self.tasks.get(&submitted.task.id).cloned();
            let task = now.unwrap_or(submitted.task);
            turn.reply(reply, Ok(Submitted { task, ..submitted }));
        }
        self.end_if_over(turn.now);
        let is_dirty = turn.batch.is_dirty();
        let begin = Instant::now();
        let revision = if is_dirty {
            turn.batch.commit()?
        } else {
            let revision = turn.batch.revision();
            turn.batch.abort()?;
            revision
        };
        let commit = is_dirty.then(|| begin.elapsed());
        self.count(taken, commit, &turn.steps, &config);
        let mut acts = turn.acts;
        self.tell_end(&mut acts);
        Ok(Turned { acts, revision })
    }

    /// Decides what an event makes of a task and writes it. Returns whether the
    /// event was taken: stale ones are not.
    fn apply(&mut self, turn: &mut Turn, id: TaskId, event: &Event) -> Result<bool, StoreError> {
        let Some(task) = self.tasks.get(&id) else {
            return Ok(false);
        };
        let context = Context {
            now: turn.moment,
            random: random(),
        };
        match decide(task, event, context) {
            Decision::Ignore(why) => {
                tracing::debug!(task = %id, ?why, "event ignored");
                Ok(false)
            }
            Decision::Repeat(effect) => {
                turn.acts.push(Act::Effect(effect, Box::new(task.clone())));
                Ok(true)
            }
            Decision::Apply(change) => {
                self.commit_to(turn, *change)?;
                Ok(true)
            }
        }
    }

    /// Makes a change part of the turn.
    fn commit_to(&mut self, turn: &mut Turn, change: Change) -> Result<(), StoreError> {
        let Change {
            mut next,
            what,
            why,
            effect,
        } = change;
        let before = self.tasks.get(&next.id);
        let was_live = before.is_some_and(|task| task.live_attempt().is_some());
        let ended = was_live && next.live_attempt().is_none();
        let entry = Entry {
            at: turn.wall,
            what,
            why: &why,
        };
        turn.batch.put(before, &mut next, &entry)?;
        turn.steps.push(Step::of(before, &next, turn.moment));
        log(&next, what, &why, turn.moment);
        self.dependents.changed(before, &next);
        if let Some(attempt) = next.attempt.as_ref().filter(|_| ended) {
            self.book(turn, &next, attempt)?;
        }
        self.schedule.update(&next, turn.moment);
        self.timers
            .set(next.id, waits(&next, turn.now, turn.moment));
        if let Some(effect) = effect {
            turn.acts.push(Act::Effect(effect, Box::new(next.clone())));
            if let Effect::Conclude(attempt) = effect {
                self.recovery.ended(attempt.id);
            }
        }
        if next.state.is_active() {
            self.tasks.insert(next.id, next);
        } else {
            self.tasks.remove(&next.id);
        }
        Ok(())
    }

    /// How the dispatcher is, for everybody.
    pub(super) fn now(&self, reports: mpsc::Sender<Report>, supervisor: Supervisor) -> Now {
        Now {
            incarnation: self.parts.incarnation,
            config: Arc::clone(&self.parts.config),
            reports,
            supervisor,
            phase: self.phase,
            trouble: self.space.as_ref().map(|space| space.trouble.clone()),
        }
    }

    fn claim(&mut self, turn: &mut Turn, id: TaskId) -> Result<(), StoreError> {
        let Some(task) = self.tasks.get(&id) else {
            return Ok(());
        };
        let given = Self::session_for(turn, task)?;
        let event = Event::Claim {
            nonce: nonce(),
            epoch: self.parts.incarnation,
            boot_id: self.parts.boot_id.clone(),
            account: self.schedule.account_of(&task.spec.agent).to_owned(),
            spent: turn.batch.spent(task.lineage())?,
            given,
        };
        self.apply(turn, id, &event)?;
        Ok(())
    }
}

/// What the configuration allows to run at once.
fn capacity(config: &Config) -> Capacity {
    let agents = config.agents.values();
    let repos = config.repos.values();
    Capacity {
        total: config.max_running,
        agents: agents
            .filter_map(|agent| Some((agent.name.clone(), agent.max_running?)))
            .collect(),
        repos: repos
            .filter_map(|repo| Some((repo.path.clone(), repo.max_running?)))
            .collect(),
    }
}

fn log(task: &Task, what: What, why: &str, now: Moment) {
    let attempt = task.attempt.as_ref().map_or(0, |attempt| attempt.id.number);
    let agent = &task.spec.agent;
    let state = task.state.kind().as_str();
    match what {
        What::Adopted => {
            if let Some(attempt) = &task.attempt {
                reports::log(attempt, "adopted", now);
            }
        }
        What::Retry => tracing::warn!(task = %task.id, attempt, agent, state, why, "retry"),
        What::Progress => tracing::debug!(task = %task.id, attempt, agent, "progress"),
        What::Submitted
        | What::Claimed
        | What::WorkspaceReady
        | What::Registered
        | What::Started
        | What::StopRequested
        | What::Finished
        | What::SessionPinned
        | What::Limited
        | What::Fault
        | What::Declined
        | What::WorkspaceLeft
        | What::SessionGone
        | What::Held
        | What::Released
        | What::DependencyMet
        | What::SettingUp => {
            tracing::info!(task = %task.id, attempt, agent, state, "{}", what.as_str());
        }
    }
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel of every supported system gives random bytes");
    bytes
}

fn random() -> u64 {
    u64::from_ne_bytes(random_bytes())
}

fn nonce() -> Nonce {
    Nonce(random_bytes())
}

#[cfg(test)]
mod tests;
