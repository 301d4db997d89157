//! The dispatcher's turns: what happened goes in, the project's own functions
//! decide, and what is to be done waits for the commit.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use agentd::{
    agents,
    config::ABORT_CODE,
    runner::machine::{Order, Stage as Ran},
    task::{
        attempt::{Phase, ProcessIdentity, Run, RunResult},
        budget::Spend,
        effect::Effect,
        event::{Event, Stage},
        id::{AttemptId, Incarnation, Timestamp},
        moment::Moment,
        observed::{Claim, Observed},
        schedule::{Capacity, Schedule},
        session::Given,
        state::{State, Task},
        transition::{Change, Context, Decision, attempt_of, decide},
    },
};

use crate::{
    fault::Fault,
    setup::Setup,
    world::{Broken, Guard, Hand, Place, Row, Up, World, boot_id, index, nonce},
};

/// The wall clock stands still; every backoff is longer than nothing.
pub(crate) const CONTEXT: Context = Context {
    now: Moment {
        wall: Timestamp(10_000),
        steady: None,
    },
    random: 1,
};

/// Whom a commit makes an answer true for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    Submitted(usize),
    Cancelled(usize),
}

/// One turn of the dispatcher: everything up to its commit is written into
/// `world.rows`, everything behind it waits here.
pub(crate) struct Turn<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) setup: &'a Setup,
    effects: Vec<Effect>,
    /// Orders that answer a message, on its connection.
    answers: Vec<(AttemptId, u8, Order)>,
    pub(crate) replies: Vec<Reply>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(world: &'a mut World, setup: &'a Setup) -> Self {
        Self {
            world,
            setup,
            effects: Vec::new(),
            answers: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// Decides about an event; false if it was ignored.
    pub(crate) fn apply(&mut self, task: usize, event: &Event) -> bool {
        let Some(row) = self.world.rows.get(task) else {
            return false;
        };
        match decide(&row.0, event, CONTEXT) {
            Decision::Apply(change) => {
                self.write(task, *change);
                true
            }
            Decision::Repeat(effect) => {
                self.effects.push(effect);
                true
            }
            Decision::Ignore(_) => false,
        }
    }

    /// As [`Turn::apply`], for an event that names its attempt.
    pub(crate) fn report(&mut self, event: &Event) -> bool {
        let named = attempt_of(event).expect("reports name an attempt");
        self.apply(index(named.id.task), event)
    }

    fn write(&mut self, task: usize, change: Change) {
        let Change {
            mut next, effect, ..
        } = change;
        let before = Arc::clone(&self.world.rows[task].0);
        let memory = &mut self.world.memory;
        if !before.state.is_active() {
            memory.broken = Some(Broken::FinalWasLeft);
        }
        if let Some(live) = before.live_attempt()
            && next.live_attempt().is_none()
        {
            let place = self.world.places.iter().find(|place| place.id == live.id);
            let known = place.and_then(Place::result_on_disk);
            let exit = next.attempt.as_ref().and_then(|attempt| attempt.exit);
            if matches!(known, Some(Run::Exited { .. })) && exit.is_none() {
                memory.broken = Some(Broken::ResultWasReplaced);
            }
        }
        tidy(&mut next);
        if !next.state.is_active() && memory.ended[task].is_none() {
            memory.ended[task] = Some(next.state.kind());
        }
        if let Some(Effect::Conclude(attempt)) = effect
            && let Some(place) = self.world.place_mut(attempt.id)
        {
            place.hand.awaited = false;
        }
        self.effects.extend(effect);
        self.world.rows[task] = Row(Arc::new(next));
    }

    /// What every turn ends with before its commit.
    pub(crate) fn dispatch(&mut self) {
        self.reap();
        let awaits = self.world.places.iter().any(|place| place.hand.awaited);
        let Some(daemon) = &mut self.world.daemon else {
            return;
        };
        daemon.recovering &= awaits;
        if daemon.recovering {
            return;
        }
        while let Some(task) = self.pick() {
            let number = self.world.rows[task].0.attempts + 1;
            let id = AttemptId {
                task: self.world.rows[task].0.id,
                number,
            };
            let claim = Event::Claim {
                nonce: nonce(id),
                epoch: Incarnation(1),
                boot_id: boot_id(self.world.boot),
                account: String::new(),
                // More than the tasks of a model can spend may be spent.
                spent: Spend::default(),
                given: Given::default(),
            };
            if !self.apply(task, &claim) {
                break;
            }
            if let Some(daemon) = &mut self.world.daemon {
                daemon.released[task] = false;
            }
        }
    }

    /// The schedule holds nothing that the rows do not say.
    fn pick(&self) -> Option<usize> {
        let rows = &self.world.rows;
        if !rows
            .iter()
            .any(|row| matches!(row.0.state, State::Queued(_)))
        {
            return None;
        }
        let mut schedule = Schedule::new(Capacity {
            total: self.setup.slots,
            agents: BTreeMap::new(),
            repos: BTreeMap::new(),
        });
        let released = self.world.daemon.as_ref().map(|daemon| &daemon.released);
        for (task, row) in rows.iter().enumerate() {
            schedule.update(&row.0, CONTEXT.now);
            if released.is_some_and(|released| released[task]) {
                schedule.release(row.0.id);
            }
        }
        schedule.pick().map(index)
    }

    /// What follows the commit.
    pub(crate) fn act(self) {
        let Self {
            world,
            setup,
            effects,
            answers,
            replies,
        } = self;
        for effect in effects {
            world.carry_out(effect, setup);
        }
        for (id, connection, order) in answers {
            if matches!(order, Order::Fenced { .. }) && world.live_in(id).is_some() {
                world.memory.broken = Some(Broken::LiveWasFenced);
            }
            if let Some(place) = world.place_mut(id) {
                place.answer(connection, order);
            }
        }
        for reply in replies {
            match reply {
                Reply::Submitted(task) => world.memory.acknowledged[task] = true,
                Reply::Cancelled(task) => {
                    let attempts = world.task(task).map(|task| task.attempts);
                    world.memory.cancelled[task] = attempts;
                }
            }
        }
    }

    /// A runner's message comes to the dispatcher.
    pub(crate) fn hear(&mut self, id: AttemptId, connection: u8) {
        let boot = self.world.boot;
        let Some(place) = self.world.place_mut(id) else {
            return;
        };
        let at = place.up.iter().position(|(c, _)| *c == connection);
        let (_, message) = place.up.remove(at.expect("there is a message"));
        let attempt = place.named();
        let awaited = place.hand.awaited;
        let runner = place.identity(boot);
        let open = place.connection == Some(connection);
        match message {
            Up::Register { ran } => {
                let stage = match ran {
                    None => Stage::Waiting,
                    Some(Ran::Setup) => Stage::SettingUp {
                        command: String::new(),
                    },
                    Some(ran @ (Ran::Agent | Ran::Afresh)) => Stage::Running {
                        agent: agent(&runner, ran),
                        at: CONTEXT.now,
                    },
                };
                let known = self.world.live_in(id).and_then(Task::live_attempt);
                let known = known.is_some_and(|attempt| attempt.phase != Phase::Claimed);
                let taken = self.report(&Event::Registered {
                    attempt,
                    runner,
                    stage,
                    adopted: awaited,
                });
                if taken {
                    self.connected(id, connection, open, known);
                } else {
                    let why = String::new();
                    self.answers.push((id, connection, Order::Fenced { why }));
                }
            }
            Up::Started { ran: Ran::Setup } => {
                let command = String::new();
                self.report(&Event::SettingUp { attempt, command });
            }
            Up::Started { ran } => {
                let at = CONTEXT.now;
                self.report(&Event::Started {
                    attempt,
                    agent: agent(&runner, ran),
                    at,
                });
            }
            Up::Exited { first } => {
                // The first of a connection is answered on the spot.
                if !self.exited(id) || first {
                    self.answers.push((id, connection, Order::Ack));
                }
            }
        }
    }

    /// A registration was taken. Of an attempt that had been registered before,
    /// an earlier incarnation may have started the agent.
    fn connected(&mut self, id: AttemptId, connection: u8, open: bool, known: bool) {
        let setup = self.setup;
        let Some(place) = self.world.place_mut(id) else {
            return;
        };
        let hand = &mut place.hand;
        hand.awaited = false;
        hand.dead = None;
        hand.started |= known && !setup.has(Fault::ForgetsTheStart);
        // A connection that was broken meanwhile takes nobody's place.
        if open || setup.has(Fault::SpeaksToOldConnections) {
            hand.outbox = Some(connection);
        }
        if hand.guard == Guard::Nobody {
            hand.guard = Guard::Watching { spawned: false };
        }
    }

    /// The attempt's result has come, over the wire or from the disk.
    pub(crate) fn exited(&mut self, id: AttemptId) -> bool {
        let Some(place) = self.world.place(id) else {
            return false;
        };
        let run = place.result.clone().expect("there is a result");
        let claim = Claim {
            done: true,
            message: String::new(),
        };
        let result = RunResult {
            run,
            ended_at: CONTEXT.now.wall,
            left_over: 0,
            by_itself: place.by_itself,
            lingered: place.lingered,
            observed: Box::new(Observed {
                claim: place.said.then_some(claim),
                ..Observed::default()
            }),
        };
        let attempt = place.named();
        let agent_type = self.setup.agent_type();
        self.report(&Event::Exited {
            attempt,
            verdict: agents::classify(agent_type, ABORT_CODE, &result, &result.observed),
            result,
        })
    }
}

/// The agent of this runner: the first one, or the one that follows it.
fn agent(runner: &ProcessIdentity, ran: Ran) -> ProcessIdentity {
    ProcessIdentity {
        start_ticks: runner.start_ticks + u64::from(ran == Ran::Afresh),
        ..runner.clone()
    }
}

impl World {
    fn carry_out(&mut self, effect: Effect, setup: &Setup) {
        match effect {
            Effect::Launch(attempt) => {
                let mut place = Place::new(attempt.id);
                place.stale = setup.stale;
                place.sets_up = setup.sets_up;
                place.hand.guard = Guard::Launching { aborted: false };
                self.places.push(place);
            }
            Effect::Go(attempt) => {
                self.hand(attempt.id, |hand| hand.started = true);
                self.send(attempt.id, Order::Go);
            }
            // The machine does nothing for it, whatever it does.
            Effect::CarryOn(attempt) => self.hand(attempt.id, |hand| hand.started = true),
            Effect::Stop { attempt, grace, .. } => {
                self.hand(attempt.id, |hand| {
                    if let Guard::Launching { aborted } = &mut hand.guard {
                        *aborted = true;
                    }
                });
                let reason = String::new();
                let grace = Duration::from_millis(grace);
                self.send(attempt.id, Order::Stop { reason, grace });
            }
            Effect::EndRunner(attempt) => {
                if let Some(place) = self.place_mut(attempt.id)
                    && place.is_locked()
                {
                    place.runner_ends();
                }
            }
            // Between the two the workspace is looked at, which a crash undoes:
            // as if it had come before this.
            Effect::Conclude(attempt) => {
                self.send(attempt.id, Order::Ack);
                self.hand(attempt.id, |hand| {
                    hand.concluded = true;
                    if hand.guard == Guard::Nobody {
                        hand.guard = Guard::Watching { spawned: false };
                    }
                });
            }
        }
    }

    fn hand(&mut self, id: AttemptId, change: impl FnOnce(&mut Hand)) {
        if let Some(place) = self.place_mut(id) {
            change(&mut place.hand);
        }
    }

    fn send(&mut self, id: AttemptId, order: Order) {
        let Some(place) = self.place_mut(id) else {
            return;
        };
        match place.hand.outbox {
            Some(outbox) if place.connection == Some(outbox) => place.down.push(order),
            Some(_) | None => place.hand.outbox = None,
        }
    }
}

/// Takes out what no decision depends on: texts, times, and the particulars
/// of an attempt that has ended.
fn tidy(task: &mut Task) {
    if let State::Finished(ending) = &mut task.state {
        ending.message.clear();
    }
    let live = task.state.is_occupied();
    if let Some(attempt) = &mut task.attempt
        && !live
    {
        attempt.runner = None;
        attempt.agent = None;
        attempt.started_at = None;
        attempt.exit = None;
        attempt.boot_id.clear();
        attempt.ending = None;
    }
}
