//! The runner's side: the project's own machine, and what it does to the world.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use agentd::{
    config::SETUP_TIMEOUT,
    runner::machine::{Action, End, Event, Leave, Machine, Order, Stage},
    task::{
        attempt::{Exit, Run, Status},
        id::Timestamp,
        limits::{KILL_GRACE, RESULT_GRACE, START_TIMEOUT},
    },
};

use crate::world::{NOW, Place, Runner, Tree, Up};

/// A process that was killed.
const KILLED: Status = Status::Signal {
    number: 9,
    core: false,
};

impl Place {
    /// The runner comes to life: locked from its first instruction.
    pub(crate) fn spawn(&mut self) {
        let until = *NOW + Duration::from_millis(START_TIMEOUT);
        let grace = Duration::from_millis(KILL_GRACE);
        let result_grace = Duration::from_millis(RESULT_GRACE);
        let mut machine = Machine::new(until, grace, result_grace);
        if self.sets_up {
            machine = machine.setting_up(Duration::from_millis(SETUP_TIMEOUT));
        }
        self.runner = Runner::Alive(Box::new(machine));
    }

    pub(crate) fn connect(&mut self) {
        let newest = self.up.iter().map(|(connection, _)| connection + 1).max();
        self.connection = Some(newest.unwrap_or(0));
        self.tell(if self.result.is_some() {
            Up::Exited { first: true }
        } else {
            Up::Register { ran: self.ran }
        });
    }

    /// The first order is taken up.
    pub(crate) fn obey(&mut self) {
        let order = self.down.remove(0);
        self.feed(Event::Order(order));
    }

    /// Whether the first order starts the agent.
    pub(crate) fn is_to_start(&self) -> bool {
        self.waits() && self.down.first() == Some(&Order::Go)
    }

    /// The first order is taken up, and the agent cannot be started.
    pub(crate) fn fail_to_start(&mut self) {
        self.down.remove(0);
        if let Runner::Alive(machine) = &mut self.runner {
            // Nothing but to start is asked for, and that did not work.
            let actions = machine.handle(Event::Order(Order::Go), *NOW);
            let first = if self.sets_up {
                Stage::Setup
            } else {
                Stage::Agent
            };
            assert_eq!(actions, [Action::Spawn(first)]);
        }
        self.feed(Event::NotStarted {
            message: String::new(),
            missing: false,
        });
    }

    /// The agent's main process ends, and may leave children behind.
    pub(crate) fn agent_ends(&mut self, status: Status, children: bool) {
        self.tree = if children { Tree::Children } else { Tree::None };
        self.feed(Event::Reaped {
            main: Some(status),
            empty: !children,
            stale: self.is_stale(),
        });
    }

    /// What sets the repository up knows no sessions.
    fn is_stale(&self) -> bool {
        self.stale && self.ran != Some(Stage::Setup)
    }

    /// The agent says its last word, and that its work is done.
    pub(crate) fn says_its_last_word(&mut self) {
        self.said = true;
        self.feed(Event::LastWord(true));
    }

    /// The last child ends.
    pub(crate) fn children_end(&mut self) {
        self.tree = Tree::None;
        self.feed(Event::Reaped {
            main: None,
            empty: true,
            stale: self.is_stale(),
        });
    }

    /// Whether the runner waits for Go.
    pub(crate) fn waits(&self) -> bool {
        match &self.runner {
            Runner::Alive(machine) => machine.deadline().is_some() && !machine.has_tree(),
            Runner::None | Runner::Gone => false,
        }
    }

    /// Whether the tree was given time to end.
    pub(crate) fn has_grace(&self) -> bool {
        match &self.runner {
            Runner::Alive(machine) => machine.deadline().is_some() && machine.has_tree(),
            Runner::None | Runner::Gone => false,
        }
    }

    /// What the runner waited for at most has not come.
    pub(crate) fn time_is_up(&mut self) {
        self.feed(Event::Deadline);
    }

    /// The service manager ends the attempt, whose agent has no say in that.
    pub(crate) fn evict(&mut self) {
        let grace = Duration::from_millis(KILL_GRACE);
        self.feed(Event::Evicted { grace });
    }

    /// The machine decides, and what it says is done, as the runner does it.
    pub(crate) fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let Runner::Alive(machine) = &mut self.runner else {
                return;
            };
            let now: Instant = match (&event, machine.deadline()) {
                (Event::Deadline, Some(due)) => due,
                _ => *NOW,
            };
            for action in machine.handle(event, now) {
                events.extend(self.perform(action));
            }
        }
        // The result is on disk, and nobody may be left to acknowledge it.
        if matches!(&self.runner, Runner::Alive(machine) if machine.may_leave()) {
            self.runner_ends();
        }
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn(stage) => {
                assert_eq!(self.tree, Tree::None, "a second tree in an attempt");
                assert!(self.result.is_none(), "a start behind the end");
                let before = match stage {
                    Stage::Agent if self.sets_up => Some(Stage::Setup),
                    Stage::Setup | Stage::Agent => None,
                    Stage::Afresh => Some(Stage::Agent),
                };
                assert_eq!(self.ran, before, "each stage once, one after the other");
                self.tree = Tree::Alive { asked: false };
                self.stale &= stage != Stage::Afresh;
                self.ran = Some(stage);
                self.tell(Up::Started { ran: stage });
                return Some(Event::Started);
            }
            Action::Note(_) => {}
            Action::AskPolitely | Action::Terminate => {
                if let Tree::Alive { .. } = self.tree {
                    self.tree = Tree::Alive { asked: true };
                }
            }
            Action::Sweep => {
                let main = matches!(self.tree, Tree::Alive { .. }).then_some(KILLED);
                self.tree = Tree::None;
                let stale = self.is_stale();
                return Some(Event::Reaped {
                    main,
                    empty: true,
                    stale,
                });
            }
            // On disk before it is told.
            Action::Conclude(end) => {
                if let Runner::Alive(machine) = &self.runner {
                    self.by_itself = machine.ended_by_itself();
                    self.lingered = machine.lingered();
                }
                self.result = Some(run(end));
                self.tell(Up::Exited { first: false });
            }
            Action::Leave(leave) => {
                self.stopped |= leave == Leave::Evicted;
                self.runner_ends();
            }
        }
        None
    }

    pub(crate) fn tell(&mut self, message: Up) {
        if let Some(connection) = self.connection {
            self.up.push((connection, message));
        }
    }

    /// Something arrives on a connection, if it is still there.
    pub(crate) fn answer(&mut self, connection: u8, order: Order) {
        if self.connection == Some(connection) {
            self.down.push(order);
        }
    }
}

fn run(end: End) -> Run {
    match end {
        End::NotStarted => Run::NotStarted,
        End::SpawnFailed { message, missing } => Run::SpawnFailed { message, missing },
        End::SetupFailed(_) => Run::SetupFailed {
            message: String::new(),
        },
        End::Exited(status) => Run::Exited {
            started_at: Timestamp(1),
            exit: Exit {
                status,
                user_cpu: 0,
                system_cpu: 0,
                peak_memory: 0,
                oom_killed: false,
            },
        },
    }
}
