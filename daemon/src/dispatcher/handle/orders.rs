//! What the dispatcher is asked to do, and the task that comes of it.

use std::time::Duration;

use crate::task::{
    id::{TaskId, Timestamp},
    spec::{Payload, TaskSpec},
    state::Task,
};

/// What to do if the key of a new task has an active one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBusy {
    /// Refuse.
    Refuse,
    /// Wait behind it.
    Queue,
    /// Cancel it and all that wait behind it, then run.
    Replace,
}

/// A task that is to be.
#[derive(Debug, Clone)]
pub struct Submission {
    /// What was asked for.
    pub spec: TaskSpec,
    /// What the agent is given.
    pub payload: Payload,
    /// Of the request, to tell a repetition from another one.
    pub digest: [u8; 32],
    /// If its key has an active task.
    pub on_busy: OnBusy,
    /// Not before so many milliseconds have passed, by the clock for waiting.
    pub delay: Option<u64>,
}

/// A finished task that is to run again; one that is active only with
/// [`OnBusy::Replace`].
#[derive(Debug, Clone)]
pub struct RerunOrder {
    /// That one.
    pub of: TaskId,
    /// The new one.
    pub submission: Submission,
    /// Also if that one has succeeded.
    pub force: bool,
    /// What its lineage has spent by now does not count against its budgets.
    pub override_budget: bool,
    /// For the journal: what could not be made sure of.
    pub note: Option<String>,
}

/// A time of a schedule that has come.
#[derive(Debug, Clone)]
pub struct Firing {
    /// The schedule.
    pub name: String,
    /// What tells its times from others.
    pub times: String,
    /// The time.
    pub at: Timestamp,
    /// The task; `None`: the time is dealt with without one.
    pub submission: Option<Submission>,
}

/// A task that is in the store.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The task.
    pub task: Task,
    /// An earlier request with the same id made it.
    pub existing: bool,
    /// The tasks that were cancelled for it.
    pub replaced: Vec<TaskId>,
}

/// How a task is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelOrder {
    /// Without grace.
    pub forced: bool,
    /// The same was asked before and its answer was lost: a stop that is under
    /// way is not made stronger by it.
    pub repeated: bool,
}

/// What is to happen before the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutDown {
    /// Nothing: agents go on, the next incarnation adopts them.
    Leave,
    /// Nothing new is dispatched; running attempts come to their ends, or go
    /// on after this time.
    Drain(Option<Duration>),
    /// Every task is cancelled and has ended.
    CancelAll,
}
