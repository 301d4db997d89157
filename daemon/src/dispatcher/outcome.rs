//! What comes of a request: taken how, or refused why.

use crate::task::{budget::UsedUp, id::TaskId, state::StateKind};

/// Why the dispatcher does not answer. What was asked for is not known to have
/// happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The daemon is about to exit.
    #[error("the daemon is stopping")]
    Stopping,
    /// The store failed. It is opened again until it works.
    #[error("the store failed, and nothing changes until it works again")]
    Store,
}

/// A task that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The request id was used with other contents.
    #[error("request id was used for task {0} with other contents")]
    RequestIdReused(TaskId),
    /// Another task of the key is active.
    #[error("{}", busy(*task, *again))]
    KeyBusy {
        /// That one.
        task: TaskId,
        /// There is no issue: this is the task that it runs again.
        again: Option<TaskId>,
    },
    /// As many tasks wait as may.
    #[error("{0} tasks are active already")]
    QueueFull(usize),
    /// A task that it is to wait for does not exist.
    #[error("there is no task {0}")]
    NoSuchTask(TaskId),
    /// A task that would have to succeed first has ended otherwise.
    #[error("task {task} has {}, and was to succeed first", .state.as_str())]
    DependencyFailed {
        /// That one.
        task: TaskId,
        /// How it ended.
        state: StateKind,
    },
    /// The task that is to run again has not ended.
    #[error("task {0} has not ended")]
    Active(TaskId),
    /// The task that is to run again has succeeded meanwhile.
    #[error("task {0} succeeded")]
    Succeeded(TaskId),
    /// The lineage of the task that is to run again has used up a budget.
    #[error("nothing is left of {used_up} for task {lineage} and its reruns")]
    NothingLeft {
        /// Its first task.
        lineage: TaskId,
        /// The budget.
        used_up: UsedUp,
    },
    /// Not now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A hold or a release that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// No task has this number.
    #[error("there is no task {0}")]
    NotFound(TaskId),
    /// Only what waits can be held.
    #[error("task {task} is not queued")]
    NotQueued {
        /// That one.
        task: TaskId,
        /// What it is.
        state: StateKind,
    },
    /// Not now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A time of a schedule that makes no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FiringError {
    /// The schedule's last task has not ended.
    #[error("task {0} has not ended")]
    Busy(TaskId),
    /// The task was not accepted.
    #[error(transparent)]
    Refused(SubmitError),
    /// Not now; the time is not dealt with.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A hold or a release that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It is durable.
    Done,
    /// It was so already.
    Already,
}

fn busy(task: TaskId, again: Option<TaskId>) -> String {
    match again {
        Some(of) => format!("task {task} already runs task {of} again"),
        None => format!("task {task} of the same agent, repository and issue is active"),
    }
}

/// What came of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It is durable.
    Done,
    /// The task had ended.
    AlreadyFinal,
    /// No task has this number.
    Unknown,
}

/// What is wrong, beyond any one task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The store cannot be written.
    #[error("the store failed ({0}): nothing changes until it works again; agents go on")]
    Store(String),
    /// Less space is free than is to be.
    #[error(
        "{} MiB are free where the state directory is, less than daemon.min_free_disk ({} MiB): nothing is started",
        .free >> 20, .needed >> 20
    )]
    Disk {
        /// Bytes that are free.
        free: u64,
        /// Bytes that are to be.
        needed: u64,
    },
}
