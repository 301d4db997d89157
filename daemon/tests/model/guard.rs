//! What the daemon finds out about runners: the guards of attempts, and a
//! start's look at what it has found.

use agentd::{
    runner::machine::{Event as ToMachine, Order},
    task::{
        attempt::{Phase, Workspace},
        event::Event,
        id::AttemptId,
        reason::FailureReason,
        recovery::{Finding, Sighting, gone, judge},
        session::Given,
        state::Task,
    },
};

use crate::{
    dispatcher::Turn,
    fault::Fault,
    world::{Daemon, Guard, Hand, Place, Tree, World, boot_id},
};

impl Turn<'_> {
    /// The workspace is ready and the runner is spawned.
    pub(crate) fn spawn(&mut self, id: AttemptId) {
        let no_go = self.setup.has(Fault::StartsWithoutGo);
        let Some(place) = self.world.place_mut(id) else {
            return;
        };
        place.spawn();
        place.hand.guard = Guard::Watching { spawned: true };
        let attempt = place.named();
        if no_go {
            place.feed(ToMachine::Order(Order::Go));
        }
        let workspace = Workspace::at("/w".into(), None);
        self.report(&Event::Prepared {
            attempt,
            workspace,
            given: Given::default(),
        });
    }

    pub(crate) fn start_failed(&mut self, id: AttemptId) {
        let Some(place) = self.world.place_mut(id) else {
            return;
        };
        place.hand.guard = Guard::Reported;
        let attempt = place.named();
        self.report(&Event::StartFailed {
            attempt,
            reason: FailureReason::SpawnFailed,
            message: String::new(),
        });
    }

    /// The guard of an attempt sees that its runner is gone, or that it has
    /// left a result.
    pub(crate) fn look(&mut self, id: AttemptId) {
        let Some(place) = self.world.place_mut(id) else {
            return;
        };
        let spawned = place.hand.guard == Guard::Watching { spawned: true };
        place.hand.guard = Guard::Reported;
        if place.result_on_disk().is_some() {
            self.exited(id);
        } else if place.hand.started {
            place.hand.guard = Guard::Reaping(gone(place.stopped));
        } else if spawned {
            self.start_failed(id);
        } else {
            let attempt = place.named();
            self.report(&Event::NeverStarted { attempt });
        }
    }

    /// What was left of the tree is gone.
    pub(crate) fn swept(&mut self, id: AttemptId) {
        let sweeps = !self.setup.has(Fault::ReapsWithoutSweep);
        let Some(place) = self.world.place_mut(id) else {
            return;
        };
        let Guard::Reaping(reason) = place.hand.guard else {
            return;
        };
        if sweeps {
            place.tree = Tree::None;
        }
        place.hand.guard = Guard::Reported;
        let attempt = place.named();
        self.report(&Event::Lost { attempt, reason });
    }

    /// A start of the daemon looks at an attempt that it has found. What it
    /// sees is judged by the row that was read at the start, and believed by
    /// the row as it is now.
    pub(crate) fn examine(&mut self, id: AttemptId) {
        let setup = self.setup;
        let boot = boot_id(self.world.boot);
        let live = self.world.live_in(id).and_then(Task::live_attempt);
        let live = live.map(|attempt| (attempt.phase, attempt.boot_id == boot));
        let Some(place) = self.world.place_mut(id) else {
            return;
        };
        let (Some(found), Some((phase, same_boot))) = (place.hand.to_examine.take(), live) else {
            return;
        };
        let seen = Sighting {
            locked: place.is_locked() && !setup.has(Fault::MissesTheLock),
            result: place.result_on_disk().is_some() && !setup.has(Fault::MissesTheResult),
            stopped: place.stopped,
            same_boot,
        };
        let attempt = place.named();
        let hand = &mut place.hand;
        let moved_on = phase != Phase::Claimed && !setup.has(Fault::BelievesAnOldLook);
        match judge(found, seen) {
            Finding::Finish => {
                hand.awaited = false;
                if hand.guard == Guard::Nobody {
                    hand.guard = Guard::Reported;
                }
                self.exited(id);
            }
            Finding::Reap(reason) => hand.dead = Some(reason),
            Finding::NeverStarted if !moved_on => {
                hand.awaited = false;
                self.report(&Event::NeverStarted { attempt });
            }
            // A claim that was registered since is looked after as it is.
            Finding::Adopt | Finding::NeverStarted => {
                hand.started |= phase != Phase::Claimed;
                let unwatched = phase == Phase::Claimed && setup.has(Fault::AdoptsUnwatched);
                if hand.guard == Guard::Nobody && !unwatched {
                    hand.guard = Guard::Watching { spawned: false };
                }
            }
        }
    }

    /// What was found dead is dealt with once everything was looked at, or
    /// nobody waits for that any more.
    pub(crate) fn reap(&mut self) {
        let recovering = self.world.daemon.as_ref().is_some_and(|d| d.recovering);
        let places = &mut self.world.places;
        let unseen = places.iter().any(|place| place.hand.to_examine.is_some());
        if recovering && unseen {
            return;
        }
        for place in places {
            let hand = &mut place.hand;
            if let Some(reason) = hand.dead.take() {
                hand.awaited = false;
                if hand.guard == Guard::Nobody {
                    hand.guard = Guard::Reaping(reason);
                }
            }
        }
    }
}

impl World {
    /// A new life of the daemon reads the store.
    pub(crate) fn start(&mut self) {
        let mut recovering = false;
        for place in &mut self.places {
            // Unless it turns out to be live, nobody but its runner needs it.
            place.hand.concluded = true;
            place.hand.guard = Guard::Watching { spawned: false };
        }
        for row in self.rows.clone() {
            let Some(live) = row.0.live_attempt() else {
                continue;
            };
            recovering = true;
            if self.place(live.id).is_none() {
                self.places.push(Place::new(live.id));
            }
            if let Some(place) = self.place_mut(live.id) {
                place.hand = Hand::EMPTY;
                place.hand.awaited = true;
                place.hand.to_examine = Some(live.phase);
            }
        }
        self.daemon = Some(Daemon {
            recovering,
            released: vec![false; self.memory.ended.len()],
        });
    }

    /// It dies, and with it what was on its way to it. What it has sent may
    /// still arrive.
    pub(crate) fn daemon_dies(&mut self) {
        self.daemon = None;
        for place in &mut self.places {
            place.hand = Hand::EMPTY;
            place.up.clear();
            place.connection = None;
        }
    }
}
