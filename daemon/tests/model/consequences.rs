//! What comes of a step.

use std::sync::Arc;

use agentd::task::{
    attempt::Status,
    event::Event,
    id::AttemptId,
    state::{State, StopReason, Task},
    transition::reference,
};

use crate::{
    dispatcher::{Reply, Turn},
    fault::Fault,
    setup::Setup,
    steps::{Input, Outside, Step},
    world::{Guard, Place, Row, Runner, Tree, Up, World, task_id},
};

/// How an agent ends that was asked to.
const TERMINATED: Status = Status::Signal {
    number: 15,
    core: false,
};

impl World {
    /// The world after a step; none if the step is not one.
    pub(crate) fn after(&self, setup: &Setup, step: Step) -> Option<Self> {
        let mut next = self.clone();
        match step {
            Step::Outside(outside) => next.happen(outside),
            Step::Turn(input) => {
                let mut turn = Turn::new(&mut next, setup);
                turn.take(input);
                turn.dispatch();
                turn.act();
            }
            Step::LastTurn(input) => next.last_turn(self, setup, input)?,
        }
        next.forget();
        Some(next)
    }

    /// A turn that is committed, and nothing more; none if it wrote nothing,
    /// for then the daemon might as well have died before.
    fn last_turn(&mut self, before: &Self, setup: &Setup, input: Input) -> Option<()> {
        let mut turn = Turn::new(self, setup);
        turn.take(input);
        turn.dispatch();
        let same = |(a, b): (&Row, &Row)| Arc::ptr_eq(&a.0, &b.0);
        let rows = &turn.world.rows;
        if rows.len() == before.rows.len() && rows.iter().zip(&before.rows).all(same) {
            return None;
        }
        if setup.has(Fault::ActsBeforeCommit) {
            turn.act();
            self.rows.clone_from(&before.rows);
            self.memory.ended.clone_from(&before.memory.ended);
        }
        self.left.crashes -= 1;
        self.daemon_dies();
        Some(())
    }

    fn happen(&mut self, step: Outside) {
        match step {
            Outside::KillDaemon => {
                self.left.crashes -= 1;
                self.daemon_dies();
            }
            Outside::Reboot => {
                self.left.crashes -= 1;
                self.boot += 1;
                self.daemon_dies();
                for place in &mut self.places {
                    place.tree = Tree::None;
                    if place.runner != Runner::None {
                        place.runner_ends();
                    }
                }
            }
            Outside::KillRunner(id) => {
                self.left.crashes -= 1;
                self.at(id).runner_ends();
            }
            Outside::Evict(id) => {
                self.left.evictions -= 1;
                self.at(id).evict();
            }
            Outside::Connect(id) => self.at(id).connect(),
            Outside::Cut(id, lost) => {
                self.left.cuts -= 1;
                let place = self.at(id);
                place.connection = None;
                place.hand.outbox = None;
                place.down.clear();
                if lost {
                    place.up.clear();
                }
            }
            Outside::TellAgain(id) => {
                self.left.cuts -= 1;
                self.at(id).tell(Up::Exited { first: false });
            }
            Outside::Obey(id) => self.at(id).obey(),
            Outside::FailToStart(id) => {
                self.left.failures -= 1;
                self.at(id).fail_to_start();
            }
            Outside::NoGo(id) => {
                self.left.failures -= 1;
                self.at(id).time_is_up();
            }
            Outside::AgentEnds(id, code, children) => {
                let place = self.at(id);
                let status = match place.tree {
                    Tree::Alive { asked: true } => TERMINATED,
                    Tree::Alive { asked: false } | Tree::Children | Tree::None => {
                        Status::Code(code)
                    }
                };
                place.agent_ends(status, children);
            }
            Outside::LastWord(id) => self.at(id).says_its_last_word(),
            Outside::ChildrenEnd(id) => self.at(id).children_end(),
            Outside::GraceOver(id) => self.at(id).time_is_up(),
            Outside::Abandon(id) => self.at(id).runner_ends(),
        }
    }

    fn at(&mut self, id: AttemptId) -> &mut Place {
        self.place_mut(id).expect("steps are of places")
    }
}

impl Turn<'_> {
    /// What happened, on the daemon's side.
    fn take(&mut self, input: Input) {
        match input {
            Input::Submit => self.submit(),
            Input::Cancel(task) => {
                self.world.left.cancels -= 1;
                self.cancel(task);
                self.replies.push(Reply::Cancelled(task));
            }
            Input::Start => self.world.start(),
            Input::EndRecovery => {
                if let Some(daemon) = &mut self.world.daemon {
                    daemon.recovering = false;
                }
            }
            Input::Release(task) => {
                if let Some(daemon) = &mut self.world.daemon {
                    daemon.released[task] = true;
                }
            }
            Input::Deadline(task) => self.deadline(task),
            Input::StopOverdue(task) => self.stop_overdue(task),
            Input::Spawn(id) => self.spawn(id),
            Input::SpawnFails(id) => self.spawn_fails(id),
            Input::Look(id) => self.look(id),
            Input::Sweep(id) => self.swept(id),
            Input::Examine(id) => self.examine(id),
            Input::Hear(id, connection) => self.hear(id, connection),
        }
    }

    fn submit(&mut self) {
        let task = self.world.rows.len();
        if self.setup.replace {
            for before in 0..task {
                self.cancel(before);
            }
        }
        let row = Task::submitted(task_id(task), self.setup.spec());
        self.world.rows.push(Row(Arc::new(row)));
        self.replies.push(Reply::Submitted(task));
    }

    fn cancel(&mut self, task: usize) {
        let event = Event::Cancel {
            by: String::new(),
            forced: false,
            superseded_by: None,
        };
        self.apply(task, &event);
    }

    fn spawn_fails(&mut self, id: AttemptId) {
        let place = self.world.place(id).map(|place| place.hand.guard);
        if place == Some(Guard::Launching { aborted: false }) {
            self.world.left.failures -= 1;
        }
        self.start_failed(id);
    }

    fn deadline(&mut self, task: usize) {
        self.world.left.failures -= 1;
        let Some(row) = self.world.task(task) else {
            return;
        };
        let limit = if row.state == State::Starting {
            StopReason::StartTimeout
        } else {
            StopReason::Timeout
        };
        if let Some(attempt) = row.live_attempt().map(reference) {
            self.apply(task, &Event::Deadline { attempt, limit });
        }
    }

    fn stop_overdue(&mut self, task: usize) {
        self.world.left.failures -= 1;
        let row = self.world.task(task);
        if let Some(attempt) = row.and_then(Task::live_attempt).map(reference) {
            self.apply(task, &Event::StopOverdue { attempt });
        }
    }
}
