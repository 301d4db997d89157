//! Everything that can happen next.

use agentd::{
    runner::machine::Stage,
    task::{
        id::AttemptId,
        state::{Hold, State},
    },
};

use crate::{
    fault::Fault,
    setup::Setup,
    world::{Guard, Place, Tree, World},
};

/// What a turn of the dispatcher can begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// A client submits the next task.
    Submit,
    /// A client cancels a task.
    Cancel(usize),
    /// The daemon is started.
    Start,
    /// It waits no longer for runners that live to register.
    EndRecovery,
    /// A task's backoff is over.
    Release(usize),
    /// A limit of the task's attempt has passed.
    Deadline(usize),
    /// A stop has taken longer than it may.
    StopOverdue(usize),
    /// Workspace and runner are made.
    Spawn(AttemptId),
    /// They cannot be made, or are not wanted any more.
    SpawnFails(AttemptId),
    /// The attempt's guard looks at lock and result.
    Look(AttemptId),
    /// What a dead runner left of its tree is killed.
    Sweep(AttemptId),
    /// A start of the daemon looks at what it has found.
    Examine(AttemptId),
    /// The first message of a runner's connection reaches the dispatcher.
    Hear(AttemptId, u8),
}

/// What happens without the dispatcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outside {
    /// The daemon is killed.
    KillDaemon,
    /// The machine is restarted.
    Reboot,
    /// A runner is killed.
    KillRunner(AttemptId),
    /// The service manager ends an attempt.
    Evict(AttemptId),
    /// A runner connects and registers.
    Connect(AttemptId),
    /// A connection breaks; with `true`, what was on its way to the daemon is
    /// lost, otherwise it is only late.
    Cut(AttemptId, bool),
    /// A result that was not acknowledged is told again.
    TellAgain(AttemptId),
    /// A runner takes up an order.
    Obey(AttemptId),
    /// A runner is told to go, and cannot start its agent.
    FailToStart(AttemptId),
    /// No Go has come in time.
    NoGo(AttemptId),
    /// The agent's main process ends with this code; with `true`, it leaves
    /// children behind.
    AgentEnds(AttemptId, i32, bool),
    /// The agent says its last word.
    LastWord(AttemptId),
    /// What it had left behind ends.
    ChildrenEnd(AttemptId),
    /// The tree was given time to end, or the agent after its last word, and has
    /// not.
    GraceOver(AttemptId),
    /// A runner whose result is in place sees that its directory is gone.
    Abandon(AttemptId),
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A turn.
    Turn(Input),
    /// A turn, and the daemon is killed right behind its commit.
    LastTurn(Input),
    Outside(Outside),
}

impl World {
    /// What can happen now.
    pub(crate) fn steps(&self, setup: &Setup) -> Vec<Step> {
        let mut outside = Vec::new();
        self.accidents(&mut outside);
        for place in &self.places {
            self.runners_steps(place, setup, &mut outside);
        }
        let mut steps: Vec<_> = outside.into_iter().map(Step::Outside).collect();
        for input in self.inputs(setup) {
            steps.push(Step::Turn(input));
            if self.left.crashes > 0 {
                steps.push(Step::LastTurn(input));
            }
        }
        steps
    }

    fn inputs(&self, setup: &Setup) -> Vec<Input> {
        let Some(daemon) = &self.daemon else {
            return vec![Input::Start];
        };
        let mut inputs = Vec::new();
        if self.rows.len() < setup.tasks {
            inputs.push(Input::Submit);
        }
        if daemon.recovering {
            inputs.push(Input::EndRecovery);
        }
        for (task, row) in self.rows.iter().enumerate() {
            let waits = matches!(row.0.state, State::Queued(Hold::Backoff { .. }));
            if waits && !daemon.released[task] {
                inputs.push(Input::Release(task));
            }
            if self.left.cancels > 0 && row.0.state.is_active() {
                inputs.push(Input::Cancel(task));
            }
            let limited = matches!(row.0.state, State::Starting | State::Running);
            if self.left.failures > 0 && limited {
                inputs.push(Input::Deadline(task));
            }
            let stopping = matches!(row.0.state, State::Stopping { .. });
            if self.left.failures > 0 && stopping {
                inputs.push(Input::StopOverdue(task));
            }
        }
        for place in &self.places {
            place.inputs(self.left.failures > 0, &mut inputs);
        }
        inputs
    }

    fn accidents(&self, steps: &mut Vec<Outside>) {
        if self.left.crashes == 0 {
            return;
        }
        if self.daemon.is_some() {
            steps.push(Outside::KillDaemon);
        }
        if self.places.iter().any(Place::is_locked) || self.daemon.is_some() {
            steps.push(Outside::Reboot);
        }
        let locked = self.places.iter().filter(|place| place.is_locked());
        steps.extend(locked.map(|place| Outside::KillRunner(place.id)));
    }

    fn runners_steps(&self, place: &Place, setup: &Setup, steps: &mut Vec<Outside>) {
        let id = place.id;
        if !place.is_locked() {
            return;
        }
        if self.left.evictions > 0 {
            steps.push(Outside::Evict(id));
        }
        if !place.down.is_empty() {
            steps.push(Outside::Obey(id));
        }
        let may_register = !(setup.has(Fault::NeverComesBack) && place.ran.is_some());
        match place.connection {
            None if self.daemon.is_some() && may_register => steps.push(Outside::Connect(id)),
            Some(_) if self.left.cuts > 0 => {
                steps.push(Outside::Cut(id, false));
                if !place.up.is_empty() {
                    steps.push(Outside::Cut(id, true));
                }
                if place.result.is_some() && place.up.is_empty() {
                    steps.push(Outside::TellAgain(id));
                }
            }
            None | Some(_) => {}
        }
        if place.waits() && self.left.failures > 0 {
            steps.push(Outside::NoGo(id));
            if place.is_to_start() {
                steps.push(Outside::FailToStart(id));
            }
        }
        let works = place.tree == Tree::Alive { asked: false };
        let talks = place.ran != Some(Stage::Setup);
        if setup.last_word && works && talks && !place.said {
            steps.push(Outside::LastWord(id));
        }
        if place.has_grace() {
            steps.push(Outside::GraceOver(id));
        }
        match place.tree {
            Tree::Children => steps.push(Outside::ChildrenEnd(id)),
            Tree::Alive { asked } if asked || !setup.endless => {
                for code in setup.codes {
                    steps.push(Outside::AgentEnds(id, *code, false));
                    if setup.children {
                        steps.push(Outside::AgentEnds(id, *code, true));
                    }
                }
            }
            Tree::Alive { .. } | Tree::None => {}
        }
        if place.result.is_some() && !place.files {
            steps.push(Outside::Abandon(id));
        }
    }
}

impl Place {
    fn inputs(&self, may_fail: bool, inputs: &mut Vec<Input>) {
        let id = self.id;
        let mut heard = Vec::new();
        for (connection, _) in &self.up {
            if !heard.contains(connection) {
                heard.push(*connection);
                inputs.push(Input::Hear(id, *connection));
            }
        }
        if self.hand.to_examine.is_some() {
            inputs.push(Input::Examine(id));
        }
        match self.hand.guard {
            Guard::Launching { aborted } => {
                inputs.push(Input::Spawn(id));
                if aborted || may_fail {
                    inputs.push(Input::SpawnFails(id));
                }
            }
            Guard::Watching { spawned } if !self.hand.concluded => {
                let told = self.result_on_disk().is_some();
                let silent = !spawned && self.hand.outbox.is_none() && told;
                if !self.is_locked() || silent {
                    inputs.push(Input::Look(id));
                }
            }
            Guard::Reaping(_) => inputs.push(Input::Sweep(id)),
            Guard::Watching { .. } | Guard::Nobody | Guard::Reported => {}
        }
    }
}
