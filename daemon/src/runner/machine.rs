//! What a runner decides: a state machine without processes, files or clock.
//!
//! ```text
//!            Go            started        main process ended or lingers, or Stop
//! Waiting ───────► Starting ───────► Running ─────────────────────────────────┐
//!   │ │              │                │ Stop{0}, Fenced                        ▼
//!   │ │Stop          │cannot          │                  ┌──────────── Ending{until}
//!   │ │              │be started      ▼                  │ time over,    │ tree is
//!   │ │              │            Killing{until} ◄───────┘ Stop{0}       │ empty
//!   │ │              │                │ tree is empty, or time over      │
//!   │ ▼              ▼                ▼                                  │
//!   │ └────────────────────────► Reporting ◄─────────────────────────────┘
//!   │ no Go in time, Fenced           │ Ack
//!   └───────────────────────► Left ◄──┘
//! ```
//!
//! - **Waiting**: registered or about to; nothing runs. Only Go starts an agent.
//! - **Starting**: a process is being spawned; that does not take time.
//! - **Running**: its main process lives. Once an agent has said its last word it
//!   has a while to end by itself; a setup has a limit from the beginning.
//! - **Ending**: the tree was asked to end: politely because of a Stop or because
//!   it lingered after its last word, or with SIGTERM because the main process
//!   ended and left children behind.
//! - **Killing**: the tree is swept again and again. A tree that is empty is
//!   one of which `wait` says that we have no children, since we are its
//!   subreaper; if that cannot be had within [`KILL_LIMIT`], what is left over
//!   is counted. A fenced runner leaves without a result.
//! - **Reporting**: the result is being told until it is acknowledged.
//!
//! There are up to three stages, and **Ending** and **Killing** lead back to
//! **Starting** for the next one, if nothing is left of the tree and nobody has
//! asked for its end. What sets the repository up is followed by the agent if it
//! has ended well; what it has left running is ended first. An agent that did not
//! know the session which it was to resume, and has failed of that by itself, is
//! followed by another one without it; if that cannot be started, the first one's
//! end is the attempt's. An attempt that the service manager ends has no result
//! unless its agent had come to one (`eviction`).

mod eviction;
mod setup;
mod words;

use std::time::{Duration, Instant};

pub use self::words::{Action, End, Event, Leave, Order, SetupFailure, Stage};

use crate::task::{attempt::Status, limits};

/// How long the kill of a tree is tried; a process that outlives it hangs in
/// the kernel.
pub const KILL_LIMIT: Duration = Duration::from_millis(limits::KILL_LIMIT);
/// Time between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum State {
    Waiting {
        until: Instant,
    },
    Starting {
        /// How the first one ended.
        first: Option<Status>,
    },
    Running {
        /// When it is asked to end, since it has said its last word, or has a
        /// limit.
        until: Option<Instant>,
    },
    Ending {
        main: Option<Status>,
        until: Instant,
    },
    Killing {
        main: Option<Status>,
        fenced: bool,
        next_sweep: Instant,
        until: Instant,
    },
    Reporting,
    Left,
}

/// One runner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    state: State,
    /// What runs, or is to run first.
    stage: Stage,
    /// For what sets the repository up.
    setup_limit: Duration,
    /// For children that outlive the main process.
    kill_grace: Duration,
    /// For an agent that has said its last word.
    result_grace: Duration,
    /// The main process ended, or had said its last word, before anybody wanted
    /// it to end.
    by_itself: bool,
    /// Somebody wants its end.
    unwanted: bool,
    /// It was ended since it lingered after its last word.
    lingered: bool,
    /// The setup was ended at its limit.
    overdue: bool,
    /// The service manager ends whatever is here.
    evicted: bool,
    /// That was why the tree was ended.
    cut_short: bool,
}

impl Machine {
    /// A runner that waits for Go until `until`.
    pub fn new(until: Instant, kill_grace: Duration, result_grace: Duration) -> Self {
        Self {
            state: State::Waiting { until },
            stage: Stage::Agent,
            setup_limit: Duration::ZERO,
            kill_grace,
            result_grace,
            by_itself: false,
            unwanted: false,
            lingered: false,
            overdue: false,
            evicted: false,
            cut_short: false,
        }
    }

    /// When [`Event::Deadline`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } | State::Ending { until, .. } => Some(*until),
            State::Killing {
                next_sweep, until, ..
            } => Some(*next_sweep.min(until)),
            State::Running { until } => *until,
            State::Starting { .. } | State::Reporting | State::Left => None,
        }
    }

    /// Whether the main process ended, or had said its last word, before it was
    /// asked to end or killed.
    pub fn ended_by_itself(&self) -> bool {
        self.by_itself
    }

    /// Whether it was ended since it lingered after its last word.
    pub fn lingered(&self) -> bool {
        self.lingered
    }

    /// Whether there is, or may be, something that runs.
    pub fn has_tree(&self) -> bool {
        matches!(self.state, State::Starting { .. }) || self.ends_when_empty()
    }

    /// Decides. Events that do not fit the state are those of a late or
    /// repeated message and change nothing.
    #[must_use]
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Order(Order::Go) => self.go(),
            Event::Order(Order::CarryOn) => Vec::new(),
            Event::Order(Order::Stop { reason, grace }) => self.stop(&reason, grace, now),
            Event::Order(Order::Fenced { why }) => self.fence(&why, now),
            Event::Order(Order::Ack) => self.acknowledged(),
            Event::Evicted { grace } => self.evict(grace, now),
            Event::Deadline => self.deadline_is_over(now),
            Event::Started => {
                debug_assert!(matches!(self.state, State::Starting { .. }));
                let limit = self.sets_up().then_some(self.setup_limit);
                let until = limit.map(|limit| now + limit);
                self.state = State::Running { until };
                Vec::new()
            }
            Event::LastWord(said) => {
                if let State::Running { until } = &mut self.state
                    && self.stage != Stage::Setup
                {
                    let first = now + self.result_grace;
                    *until = said.then(|| until.unwrap_or(first));
                }
                Vec::new()
            }
            Event::NotStarted { message, missing } => self.not_started(message, missing),
            Event::Reaped { main, empty, stale } => {
                let mut actions = self.reaped(main, now);
                match empty && self.ends_when_empty() {
                    true if self.is_set_up() => actions = self.start_agent(),
                    true if stale && self.may_start_afresh() => actions = self.start_afresh(),
                    true => actions = self.gone(),
                    false if main.is_some() && self.is_set_up() => {
                        let note = "setup has ended and left processes running: they are ended";
                        actions.insert(0, Action::Note(note.to_owned()));
                    }
                    false => {}
                }
                actions
            }
        }
    }

    fn go(&mut self) -> Vec<Action> {
        if !matches!(self.state, State::Waiting { .. }) {
            return Vec::new();
        }
        self.state = State::Starting { first: None };
        vec![Action::Spawn(self.stage)]
    }

    fn not_started(&mut self, message: String, missing: bool) -> Vec<Action> {
        let State::Starting { first: Some(first) } = self.state else {
            // What the system was short of says nothing of the setup: that is tried
            // again like the start of an agent.
            if self.sets_up() && missing {
                let failure = SetupFailure::NotStarted { message };
                return self.conclude(End::SetupFailed(failure));
            }
            return self.conclude(End::SpawnFailed { message, missing });
        };
        // The end of the one that ran.
        self.by_itself = true;
        let mut actions = vec![Action::Note(format!("not started anew: {message}"))];
        actions.extend(self.conclude(End::Exited(first)));
        actions
    }

    /// Whether the main process has failed by itself, the first time, and nobody
    /// wants anything else. A signal may have come from a person.
    fn may_start_afresh(&self) -> bool {
        let failed = matches!(self.main(), Some(Status::Code(code)) if code != 0);
        let first = self.stage == Stage::Agent;
        failed && first && self.by_itself && !self.lingered && !self.unwanted
    }

    /// How the main process ended, while its tree is being ended.
    fn main(&self) -> Option<Status> {
        match self.state {
            State::Ending { main, .. } | State::Killing { main, .. } => main,
            State::Waiting { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reporting
            | State::Left => None,
        }
    }

    fn start_afresh(&mut self) -> Vec<Action> {
        self.state = State::Starting { first: self.main() };
        self.by_itself = false;
        self.stage = Stage::Afresh;
        let note = "the agent does not know its session: it is started anew without it";
        vec![Action::Note(note.to_owned()), Action::Spawn(self.stage)]
    }

    fn acknowledged(&mut self) -> Vec<Action> {
        if self.state != State::Reporting {
            return Vec::new();
        }
        self.leave(Leave::Acknowledged)
    }

    fn stop(&mut self, reason: &str, grace: Duration, now: Instant) -> Vec<Action> {
        let note = |what: &str| Action::Note(format!("{what}: {reason}"));
        self.unwanted |= self.has_tree();
        match &mut self.state {
            State::Waiting { .. } => {
                let mut actions = vec![note("stopped before the start")];
                actions.extend(self.conclude(End::NotStarted));
                actions
            }
            State::Running { .. } if grace.is_zero() => {
                let mut actions = vec![note("killed")];
                actions.extend(self.kill(None, false, now));
                actions
            }
            State::Running { .. } => {
                let main = None;
                let until = now + grace;
                self.state = State::Ending { main, until };
                vec![note("stopped"), Action::AskPolitely]
            }
            State::Ending { main, .. } if grace.is_zero() => {
                let main = *main;
                let mut actions = vec![note("killed")];
                actions.extend(self.kill(main, false, now));
                actions
            }
            // Asked again, for example by a daemon that was started anew: the
            // time that is left does not grow.
            State::Ending { until, .. } => {
                *until = (*until).min(now + grace);
                Vec::new()
            }
            State::Starting { .. } | State::Killing { .. } | State::Reporting | State::Left => {
                Vec::new()
            }
        }
    }

    fn fence(&mut self, why: &str, now: Instant) -> Vec<Action> {
        let note = Action::Note(format!("fenced off: {why}"));
        self.unwanted |= self.has_tree();
        match &mut self.state {
            State::Waiting { .. } | State::Reporting => self.leave(Leave::Fenced),
            State::Starting { .. } | State::Running { .. } => {
                let mut actions = vec![note];
                actions.extend(self.kill(None, true, now));
                actions
            }
            State::Ending { main, .. } => {
                let main = *main;
                let mut actions = vec![note];
                actions.extend(self.kill(main, true, now));
                actions
            }
            State::Killing { fenced, .. } => {
                *fenced = true;
                vec![note]
            }
            State::Left => Vec::new(),
        }
    }

    fn deadline_is_over(&mut self, now: Instant) -> Vec<Action> {
        match &mut self.state {
            State::Waiting { .. } => self.leave(Leave::NoGo),
            State::Ending { main, .. } => {
                let main = *main;
                self.kill(main, false, now)
            }
            State::Killing { until, .. } if *until <= now => self.gone(),
            State::Killing { next_sweep, .. } => {
                *next_sweep = now + SWEEP_EVERY;
                vec![Action::Sweep]
            }
            State::Running { until: Some(_) } => {
                let until = now + self.kill_grace;
                self.state = State::Ending { main: None, until };
                self.by_itself = true;
                let note = if self.sets_up() {
                    self.overdue = true;
                    "setup is ended: it has taken as long as it may"
                } else {
                    self.lingered = true;
                    "ended: it said its last word and did not end by itself"
                };
                vec![Action::Note(note.to_owned()), Action::AskPolitely]
            }
            State::Running { until: None }
            | State::Starting { .. }
            | State::Reporting
            | State::Left => Vec::new(),
        }
    }

    /// The main process may have ended.
    fn reaped(&mut self, ended: Option<Status>, now: Instant) -> Vec<Action> {
        let kill_grace = self.kill_grace;
        match &mut self.state {
            State::Running { .. } if ended.is_some() => {
                let until = now + kill_grace;
                self.state = State::Ending { main: ended, until };
                self.by_itself = true;
                vec![Action::Terminate]
            }
            State::Ending { main, until } if ended.is_some() => {
                *main = ended;
                *until = (*until).min(now + kill_grace);
                vec![Action::Terminate]
            }
            State::Killing { main, .. } => {
                *main = main.or(ended);
                Vec::new()
            }
            State::Running { .. }
            | State::Ending { .. }
            | State::Waiting { .. }
            | State::Starting { .. }
            | State::Reporting
            | State::Left => Vec::new(),
        }
    }

    /// Whether a tree that is empty has come to its end.
    fn ends_when_empty(&self) -> bool {
        matches!(
            self.state,
            State::Running { .. } | State::Ending { .. } | State::Killing { .. }
        )
    }

    /// Nothing is left of the tree, or nothing more can be done about it.
    fn gone(&mut self) -> Vec<Action> {
        let main = self.main();
        if matches!(self.state, State::Killing { fenced: true, .. }) {
            return self.leave(Leave::Fenced);
        }
        if self.sets_up() {
            return self.not_set_up(main);
        }
        // Without a status it is the main process that survived the kill.
        let killed = Status::Signal {
            number: 9,
            core: false,
        };
        self.conclude(End::Exited(main.unwrap_or(killed)))
    }

    fn kill(&mut self, main: Option<Status>, fenced: bool, now: Instant) -> Vec<Action> {
        self.state = State::Killing {
            main,
            fenced,
            next_sweep: now + SWEEP_EVERY,
            until: now + KILL_LIMIT,
        };
        vec![Action::Sweep]
    }

    fn conclude(&mut self, end: End) -> Vec<Action> {
        if self.cut_short {
            return self.leave(Leave::Evicted);
        }
        self.state = State::Reporting;
        vec![Action::Conclude(end)]
    }

    fn leave(&mut self, why: Leave) -> Vec<Action> {
        self.state = State::Left;
        vec![Action::Leave(why)]
    }
}

#[cfg(test)]
mod tests;
