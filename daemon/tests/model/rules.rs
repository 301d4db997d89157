//! What must hold at every moment, whatever happens.

use agentd::{
    runner::machine::Stage,
    task::{
        attempt::ProcessIdentity,
        reason::{FailureReason, Outcome},
        state::{State, StateKind, StopReason, Task},
    },
};
use stateright::{Model, Property};

use crate::{
    setup::Setup,
    steps::Step,
    world::{Broken, Guard, Place, World, index, task_id},
};

pub(crate) const ACKNOWLEDGED: &str = "an acknowledged submit survives";
pub(crate) const ONE_AGENT: &str = "at most one live agent a task and a key";
pub(crate) const SLOTS: &str = "at most so many attempts, and one a key";
pub(crate) const SPENT: &str = "no attempt too many";
pub(crate) const NO_ORPHAN: &str = "no agent outlives its attempt";
pub(crate) const IDENTITY: &str = "no agent without a durable runner";
pub(crate) const OWNER: &str = "no active attempt without an owner";
pub(crate) const CANCEL: &str = "a cancel beats a retry";
pub(crate) const FINAL: &str = "final states are absorbing";
pub(crate) const RESULT: &str = "a result is not replaced by a guess";
pub(crate) const FENCE: &str = "only stale runners are fenced off";
pub(crate) const KNOWN: &str = "the agent that runs is the one that is known";
pub(crate) const ENDS: &str = "every run ends";

/// What a check must have seen, or it has shown nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    Succeeded,
    /// In the second attempt.
    SucceededAgain,
    Failed,
    Cancelled,
    /// The runner was lost too often.
    Interrupted,
    /// The machine was restarted too often.
    Rebooted,
    /// The service manager ended it too often.
    ScopeStopped,
    /// Two agents run.
    BothAtOnce,
    /// An agent that did not know its session was followed by one without it,
    /// and that has ended well.
    Afresh,
    /// The agent ran in what was set up before it, and has ended well.
    SetUp,
    /// The repository could not be set up.
    SetupFailed,
}

impl Reached {
    fn property(self) -> Property<Setup> {
        match self {
            Self::Succeeded => Property::sometimes("succeeded", |_, world: &World| {
                world.any(|task| task.state.kind() == StateKind::Succeeded)
            }),
            Self::SucceededAgain => Property::sometimes("succeeded again", |_, world: &World| {
                world.any(|task| task.state.kind() == StateKind::Succeeded && task.spent == 2)
            }),
            Self::Failed => Property::sometimes("failed", |_, world: &World| {
                world.any(|task| task.state.kind() == StateKind::Failed)
            }),
            Self::Cancelled => Property::sometimes("cancelled", |_, world: &World| {
                world.any(|task| task.state.kind() == StateKind::Cancelled)
            }),
            Self::Interrupted => Property::sometimes("runner lost", |_, world: &World| {
                world.any(|task| interrupted(task, FailureReason::RunnerLost))
            }),
            Self::Rebooted => Property::sometimes("host rebooted", |_, world: &World| {
                world.any(|task| interrupted(task, FailureReason::HostRebooted))
            }),
            Self::ScopeStopped => Property::sometimes("scope stopped", |_, world: &World| {
                world.any(|task| interrupted(task, FailureReason::ScopeStopped))
            }),
            Self::Afresh => Property::sometimes("succeeded afresh", |_, world: &World| {
                let afresh = world
                    .places
                    .iter()
                    .any(|place| place.ran == Some(Stage::Afresh));
                afresh && world.any(|task| task.state.kind() == StateKind::Succeeded)
            }),
            Self::SetUp => Property::sometimes("succeeded once set up", |_, world: &World| {
                let done = |place: &Place| place.sets_up && place.ran == Some(Stage::Agent);
                world.places.iter().any(done)
                    && world.any(|task| task.state.kind() == StateKind::Succeeded)
            }),
            Self::SetupFailed => Property::sometimes("not set up", |_, world: &World| {
                world.any(|task| failed(task, FailureReason::WorkspaceFailed))
            }),
            Self::BothAtOnce => Property::sometimes("two agents run", |_, world: &World| {
                world.places.iter().filter(|place| place.has_tree()).count() == 2
            }),
        }
    }
}

fn failed(task: &Task, by: FailureReason) -> bool {
    let State::Finished(ending) = &task.state else {
        return false;
    };
    ending.outcome == Outcome::Failed && ending.reason == Some(by)
}

fn interrupted(task: &Task, by: FailureReason) -> bool {
    let State::Finished(ending) = &task.state else {
        return false;
    };
    ending.outcome == Outcome::Interrupted && ending.reason == Some(by)
}

impl Model for Setup {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.tasks, self.budget)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        steps.extend(world.steps(self));
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        world.after(self, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = rules();
        properties.extend(self.reaches.iter().map(|reached| reached.property()));
        properties
    }
}

fn rules() -> Vec<Property<Setup>> {
    vec![
        Property::always(ACKNOWLEDGED, |_, world: &World| {
            let told = world.memory.acknowledged.iter().rposition(|told| *told);
            told.is_none_or(|task| task < world.rows.len())
        }),
        Property::always(ONE_AGENT, |setup: &Setup, world: &World| {
            setup.at_most_one_agent(world)
        }),
        Property::always(SLOTS, |setup: &Setup, world: &World| {
            let slots = if setup.one_key { 1 } else { setup.slots };
            let occupied = world.rows.iter().filter(|row| row.0.state.is_occupied());
            occupied.count() <= usize::try_from(slots).expect("few")
        }),
        Property::always(SPENT, |setup: &Setup, world: &World| {
            world.rows.iter().all(|row| row.0.spent <= setup.attempts)
        }),
        Property::always(NO_ORPHAN, |_, world: &World| {
            let mut agents = world.places.iter().filter(|place| place.has_tree());
            agents.all(|place| world.live_in(place.id).is_some())
        }),
        Property::always(IDENTITY, |_, world: &World| {
            let mut agents = world.places.iter().filter(|place| place.has_tree());
            agents.all(|place| {
                let live = world.live_in(place.id).and_then(|task| task.live_attempt());
                live.is_none_or(|attempt| attempt.runner.is_some())
            })
        }),
        Property::always(OWNER, |_, world: &World| world.has_owners()),
        Property::always(CANCEL, |_, world: &World| world.keeps_cancels()),
        Property::always(FINAL, |_, world: &World| {
            world.memory.broken != Some(Broken::FinalWasLeft) && world.keeps_final_states()
        }),
        Property::always(RESULT, |_, world: &World| {
            world.memory.broken != Some(Broken::ResultWasReplaced)
        }),
        Property::always(FENCE, |_, world: &World| {
            world.memory.broken != Some(Broken::LiveWasFenced)
        }),
        Property::always(KNOWN, |_, world: &World| world.knows_agents()),
        // Each step takes something away that does not come back, so no
        // run of steps is endless; what remains is that none gets stuck.
        Property::always(ENDS, |setup: &Setup, world: &World| {
            world.is_over(setup) || !world.steps(setup).is_empty()
        }),
    ]
}

impl Setup {
    fn at_most_one_agent(&self, world: &World) -> bool {
        let agents = || world.places.iter().filter(|place| place.has_tree());
        (0..self.tasks).all(|task| agents().filter(|a| a.id.task == task_id(task)).count() <= 1)
            && (!self.one_key || agents().count() <= 1)
    }
}

impl World {
    fn any(&self, is: impl Fn(&Task) -> bool) -> bool {
        self.rows.iter().any(|row| is(&row.0))
    }

    fn has_owners(&self) -> bool {
        let Some(daemon) = &self.daemon else {
            return true;
        };
        if daemon.recovering {
            return true;
        }
        let mut live = self.rows.iter().filter_map(|row| row.0.live_attempt());
        live.all(|attempt| {
            self.place(attempt.id).is_some_and(|place| {
                let guarded = match place.hand.guard {
                    Guard::Launching { .. } | Guard::Watching { .. } | Guard::Reaping(_) => true,
                    // Who has reported does nothing more.
                    Guard::Nobody | Guard::Reported => false,
                };
                place.is_locked() || guarded || place.hand.to_examine.is_some()
            })
        })
    }

    /// Of runners that have told all they have to tell.
    fn knows_agents(&self) -> bool {
        let mut told = self
            .places
            .iter()
            .filter(|place| place.connection.is_some());
        told.all(|place| {
            let Some(task) = self.live_in(place.id).filter(|_| place.up.is_empty()) else {
                return true;
            };
            let live = task.live_attempt();
            let ticks = |p: &ProcessIdentity| p.start_ticks;
            let agent = live.and_then(|attempt| attempt.agent.as_ref().map(ticks));
            let first = live.and_then(|attempt| attempt.runner.as_ref().map(ticks));
            match place.ran {
                None => true,
                Some(Stage::Setup) => task.state != State::Starting && agent.is_none(),
                Some(Stage::Agent) => agent.is_some() && agent == first,
                Some(Stage::Afresh) => agent > first,
            }
        })
    }

    fn keeps_cancels(&self) -> bool {
        let cancelled = self.memory.cancelled.iter().enumerate();
        cancelled
            .filter_map(|(task, attempts)| Some((self.task(task)?, (*attempts)?)))
            .all(|(task, attempts)| {
                let ends = matches!(
                    task.state,
                    State::Stopping {
                        reason: StopReason::Cancel,
                        ..
                    }
                ) || task.state.kind() == StateKind::Cancelled;
                ends && task.attempts == attempts
            })
    }

    fn keeps_final_states(&self) -> bool {
        let ended = self.memory.ended.iter().enumerate();
        ended
            .filter_map(|(task, kind)| Some((task, (*kind)?)))
            .all(|(task, kind)| {
                self.task(task)
                    .is_some_and(|task| task.state.kind() == kind)
            })
    }

    /// Every task has ended, and nothing is left of it.
    fn is_over(&self, setup: &Setup) -> bool {
        self.rows.len() == setup.tasks
            && self.rows.iter().all(|row| !row.0.state.is_active())
            && self.places.iter().all(|place| {
                !place.is_locked() && !place.has_tree() && self.ended(index(place.id.task))
            })
    }

    fn ended(&self, task: usize) -> bool {
        self.memory.ended[task].is_some()
    }
}
