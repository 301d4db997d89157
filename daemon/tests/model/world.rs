//! One moment of the modelled machine: what is durable, what runs, what is on
//! its way.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock},
    time::Instant,
};

use agentd::{
    runner::machine::{Machine, Order, Stage},
    task::{
        attempt::{Phase, ProcessIdentity, Run},
        event::AttemptRef,
        id::{AttemptId, Nonce, TaskId},
        reason::FailureReason,
        state::{StateKind, Task},
    },
};

/// The moment at which everything in the model happens. Deadlines are events
/// of their own, so no clock is needed.
pub(crate) static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A task as it is in the store.
///
/// What was asked for never changes, so two rows of one task that differ
/// differ elsewhere; leaving it out makes telling states apart cheaper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) Arc<Task>);

impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let task = &self.0;
        task.id.hash(state);
        task.state.hash(state);
        task.attempts.hash(state);
        task.spent.hash(state);
        task.lost_streak.hash(state);
        task.started.hash(state);
        task.attempt.hash(state);
    }
}

/// A runner's process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Runner {
    /// Not spawned.
    None,
    /// It lives and holds its lock.
    Alive(Box<Machine>),
    /// It was, and its lock is free.
    Gone,
}

/// The agent's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tree {
    None,
    /// The main process, and whatever it has started.
    Alive {
        /// It has had a signal that it ends by.
        asked: bool,
    },
    /// What the main process has left behind.
    Children,
}

/// What a runner tells. Within one connection the order is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Up {
    /// The first message of a connection, without a result.
    Register {
        ran: Option<Stage>,
    },
    Started {
        ran: Stage,
    },
    /// The result; on a new connection, together with the registration.
    Exited {
        first: bool,
    },
}

/// Who looks after an attempt in this life of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Guard {
    Nobody,
    /// Makes the workspace and spawns the runner.
    Launching {
        /// A stop came meanwhile.
        aborted: bool,
    },
    /// Waits for the runner's end.
    Watching {
        /// The runner is the daemon's child.
        spawned: bool,
    },
    /// Ends what is left of the tree.
    Reaping(FailureReason),
    /// Has reported, and waits until the files can be put away.
    Reported,
}

/// What a life of the daemon knows of an attempt besides its row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Hand {
    pub(crate) guard: Guard,
    /// Found by this incarnation, in this phase, and not examined yet.
    pub(crate) to_examine: Option<Phase>,
    /// It was found dead, and that was not acted upon.
    pub(crate) dead: Option<FailureReason>,
    /// Recovery has not heard of it.
    pub(crate) awaited: bool,
    /// The connection on which its runner is spoken to.
    pub(crate) outbox: Option<u8>,
    /// Its agent may have been started.
    pub(crate) started: bool,
    /// It has ended in the store.
    pub(crate) concluded: bool,
}

impl Hand {
    pub(crate) const EMPTY: Self = Self {
        guard: Guard::Nobody,
        to_examine: None,
        dead: None,
        awaited: false,
        outbox: None,
        started: false,
        concluded: false,
    };
}

/// An attempt: its runner, its tree, its files, its connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) id: AttemptId,
    pub(crate) runner: Runner,
    pub(crate) tree: Tree,
    /// What the runner has started last.
    pub(crate) ran: Option<Stage>,
    /// Its agent is to resume a session that it does not know.
    pub(crate) stale: bool,
    /// Its repository is to be set up.
    pub(crate) sets_up: bool,
    /// The result on disk.
    pub(crate) result: Option<Run>,
    /// Its agent ended before it was asked to.
    pub(crate) by_itself: bool,
    /// It has said its last word.
    pub(crate) said: bool,
    /// It was ended since it lingered after that.
    pub(crate) lingered: bool,
    /// Its runner has said that the service manager ended it.
    pub(crate) stopped: bool,
    /// Lock and result are where they can be found.
    pub(crate) files: bool,
    /// The runner's connection to the present daemon.
    pub(crate) connection: Option<u8>,
    /// On their way to the daemon, on which connection.
    pub(crate) up: Vec<(u8, Up)>,
    /// On their way to the runner.
    pub(crate) down: Vec<Order>,
    /// Of the present daemon.
    pub(crate) hand: Hand,
}

impl Place {
    pub(crate) fn new(id: AttemptId) -> Self {
        Self {
            id,
            runner: Runner::None,
            tree: Tree::None,
            ran: None,
            stale: false,
            sets_up: false,
            result: None,
            by_itself: false,
            said: false,
            lingered: false,
            stopped: false,
            files: true,
            connection: None,
            up: Vec::new(),
            down: Vec::new(),
            hand: Hand::EMPTY,
        }
    }

    pub(crate) fn named(&self) -> AttemptRef {
        AttemptRef {
            id: self.id,
            nonce: nonce(self.id),
        }
    }

    pub(crate) fn is_locked(&self) -> bool {
        matches!(self.runner, Runner::Alive(_))
    }

    pub(crate) fn has_tree(&self) -> bool {
        self.tree != Tree::None
    }

    /// The result, if it can be found.
    pub(crate) fn result_on_disk(&self) -> Option<&Run> {
        self.result.as_ref().filter(|_| self.files)
    }

    /// The runner's process ends; what it left of its agent lives on.
    pub(crate) fn runner_ends(&mut self) {
        self.runner = Runner::Gone;
        self.connection = None;
        self.down.clear();
    }

    /// Nothing can be heard of it, and nobody looks for it.
    fn is_silent(&self) -> bool {
        !self.is_locked()
            && !self.has_tree()
            && self.up.is_empty()
            && self.hand.guard == Guard::Nobody
    }

    /// Who the runner is.
    pub(crate) fn identity(&self, boot: u8) -> ProcessIdentity {
        let task = u32::try_from(self.id.task.get()).expect("there are few tasks");
        ProcessIdentity {
            pid: 100 * task + self.id.number,
            start_ticks: 1,
            boot_id: boot_id(boot),
        }
    }
}

/// A life of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Daemon {
    pub(crate) recovering: bool,
    /// Tasks whose backoff is over, by their place among the rows.
    pub(crate) released: Vec<bool>,
}

/// What may still go wrong, or be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// Of a daemon, of a runner, or of the machine.
    pub(crate) crashes: u8,
    /// Connections that break, and messages that are told again.
    pub(crate) cuts: u8,
    pub(crate) cancels: u8,
    /// Attempts that the service manager ends.
    pub(crate) evictions: u8,
    /// Limits that pass, and starts that fail.
    pub(crate) failures: u8,
}

/// A rule that a step has broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// A task left a final state.
    FinalWasLeft,
    /// An attempt ended without the exit that is on disk.
    ResultWasReplaced,
    /// The runner of the current attempt was fenced off.
    LiveWasFenced,
}

/// What the model remembers to judge by; the programs know nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// Tasks whose submitter was told.
    pub(crate) acknowledged: Vec<bool>,
    /// Attempts that a task had when its cancel was acknowledged.
    pub(crate) cancelled: Vec<Option<u32>>,
    /// The first final state.
    pub(crate) ended: Vec<Option<StateKind>>,
    pub(crate) broken: Option<Broken>,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The store.
    pub(crate) rows: Vec<Row>,
    pub(crate) places: Vec<Place>,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) boot: u8,
    pub(crate) left: Budget,
    pub(crate) memory: Memory,
}

impl World {
    /// A machine on which an empty daemon runs.
    pub(crate) fn new(tasks: usize, left: Budget) -> Self {
        Self {
            rows: Vec::new(),
            places: Vec::new(),
            daemon: Some(Daemon {
                recovering: false,
                released: vec![false; tasks],
            }),
            boot: 1,
            left,
            memory: Memory {
                acknowledged: vec![false; tasks],
                cancelled: vec![None; tasks],
                ended: vec![None; tasks],
                broken: None,
            },
        }
    }

    pub(crate) fn task(&self, index: usize) -> Option<&Task> {
        self.rows.get(index).map(|row| &*row.0)
    }

    /// The task whose current attempt this is.
    pub(crate) fn live_in(&self, id: AttemptId) -> Option<&Task> {
        let task = self.task(index(id.task))?;
        let live = task.live_attempt()?;
        (live.id == id).then_some(task)
    }

    pub(crate) fn place(&self, id: AttemptId) -> Option<&Place> {
        self.places.iter().find(|place| place.id == id)
    }

    pub(crate) fn place_mut(&mut self, id: AttemptId) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| place.id == id)
    }

    /// Leaves out what makes no difference any more.
    pub(crate) fn forget(&mut self) {
        for place in &mut self.places {
            let hand = &mut place.hand;
            let reported = matches!(hand.guard, Guard::Watching { .. } | Guard::Reported);
            let needed = matches!(place.runner, Runner::Alive(_)) && place.result.is_none();
            if hand.concluded && reported && !needed {
                place.files = false;
                hand.guard = Guard::Nobody;
            }
        }
        let rows = &self.rows;
        self.places.retain_mut(|place| {
            let task = rows.get(index(place.id.task)).map(|row| &row.0);
            let live = task.and_then(|task| task.live_attempt());
            if live.is_some_and(|live| live.id == place.id) {
                return true;
            }
            // Of an attempt that has ended all messages are stale, and a dead
            // runner hears no answer.
            place.hand.to_examine = None;
            place.hand.dead = None;
            if !place.is_locked() {
                place.up.clear();
            }
            !place.is_silent()
        });
        self.places.sort_unstable_by_key(|place| place.id);
    }
}

/// A task's place among the rows.
pub(crate) fn index(task: TaskId) -> usize {
    usize::try_from(task.get() - 1).expect("there are few tasks")
}

pub(crate) fn task_id(index: usize) -> TaskId {
    TaskId::new(index as u64 + 1).expect("numbers begin with 1")
}

/// The secret of an attempt; the model needs no chance.
pub(crate) fn nonce(id: AttemptId) -> Nonce {
    let [a, b, c, d] = id.number.to_le_bytes();
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&[a, b, c, d]);
    bytes[8..].copy_from_slice(&id.task.get().to_le_bytes());
    Nonce(bytes)
}

pub(crate) fn boot_id(boot: u8) -> String {
    format!("boot {boot}")
}
