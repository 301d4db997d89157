//! What the machine is told, and what it says.

use std::time::Duration;

use crate::task::attempt::Status;

/// What the daemon wants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Order {
    /// Start the agent.
    Go,
    /// Nothing has changed.
    CarryOn,
    /// End the agent, or do not start it.
    Stop {
        /// For the note in the transcript.
        reason: String,
        /// Between the polite signal and the kill.
        grace: Duration,
    },
    /// The attempt is not the current one: end everything.
    Fenced {
        /// For the note in the transcript.
        why: String,
    },
    /// The result is durable.
    Ack,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The daemon wants something.
    Order(Order),
    /// The service manager ends whatever is here.
    Evicted {
        /// Between the polite signal and the kill.
        grace: Duration,
    },
    /// [`Machine::deadline`](super::Machine::deadline) is over.
    Deadline,
    /// [`Action::Spawn`] was done.
    Started,
    /// [`Action::Spawn`] could not be done.
    NotStarted {
        /// The system's own words.
        message: String,
        /// The program is not there or may not be run.
        missing: bool,
    },
    /// The agent has said its last word, or has gone on after all.
    LastWord(bool),
    /// Children were waited for.
    Reaped {
        /// The status of the main process, if it was among them.
        main: Option<Status>,
        /// No child is left.
        empty: bool,
        /// The agent did not know its session, and there is another way to run.
        stale: bool,
    },
}

/// What is run, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// What the repository is set up with.
    Setup,
    /// The agent.
    Agent,
    /// The agent without the session that the first one did not know.
    Afresh,
}

/// Why the repository is not set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupFailure {
    /// It could not be started.
    NotStarted {
        /// The system's own words.
        message: String,
    },
    /// It ended otherwise than well.
    Ended(Status),
    /// It took longer than it may, and was ended.
    Overdue,
    /// It ended well, and something that it has started cannot be ended.
    LeftOver,
}

/// How the agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was stopped before it was started.
    NotStarted,
    /// It could not be started.
    SpawnFailed {
        /// The system's own words.
        message: String,
        /// The program is not there or may not be run.
        missing: bool,
    },
    /// The repository could not be set up for it.
    SetupFailed(SetupFailure),
    /// It ran and ended.
    Exited(Status),
}

/// Why the runner leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// The result was acknowledged.
    Acknowledged,
    /// No Go came in time.
    NoGo,
    /// The attempt has ended or was replaced.
    Fenced,
    /// The service manager has ended the attempt: nothing is left of its tree,
    /// and its result, if it has one, is in place.
    Evicted,
    /// The result is in place and its directory was taken away: nobody is left
    /// to acknowledge it.
    Abandoned,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start this; what comes of it is the next event. Nothing is left of what
    /// was run before it, and that has ended well: a setup is done by then.
    Spawn(Stage),
    /// A line for the transcript.
    Note(String),
    /// The polite signal to the agent's process group.
    AskPolitely,
    /// SIGTERM to whatever is left of the tree.
    Terminate,
    /// One sweep over the tree.
    Sweep,
    /// Take the last output, put the result in place and report it.
    Conclude(End),
    /// The runner is done.
    Leave(Leave),
}
