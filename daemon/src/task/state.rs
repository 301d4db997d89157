//! A task and the states it passes through.

use serde::{Deserialize, Serialize};

use super::{
    attempt::{Attempt, Ending},
    dependency::After,
    id::{Revision, TaskId},
    moment::Moment,
    reason::{FailureReason, Outcome},
    retry::Counts,
    spec::TaskSpec,
};

/// Why a queued task is not running now, as far as the task itself knows.
///
/// What other tasks and the operator do to it (a busy key, a paused agent, no
/// free slot) is not stored with the task: it is found whenever it is asked
/// for, so that it cannot be stale. See [`super::schedule`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hold {
    /// Nothing: it waits for a slot.
    None,
    /// An attempt failed; the next one is tried after this time.
    Backoff {
        /// The end of the wait; see [`super::deadline::backoff_left`].
        until: Moment,
    },
    /// It was submitted for later.
    Scheduled {
        /// Not before this; by the wall clock if that is all that is known.
        until: Moment,
    },
    /// A person keeps it until it is released.
    Held {
        /// Who.
        by: String,
    },
}

/// Why an attempt is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StopReason {
    /// A person cancelled the task, or a newer one takes its place.
    Cancel,
    /// The attempt took longer than its limit.
    Timeout,
    /// The agent was not started in time.
    StartTimeout,
    /// The agent did nothing for as long as it may.
    Idle,
    /// A budget of the lineage is used up.
    Budget,
}

impl StopReason {
    /// The word in the command line and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Timeout => "timeout",
            Self::StartTimeout => "start_timeout",
            Self::Idle => "idle",
            Self::Budget => "budget",
        }
    }

    /// The failure reason of an attempt that was stopped for it.
    #[must_use]
    pub fn failure(self) -> FailureReason {
        match self {
            Self::Cancel => FailureReason::Cancelled,
            Self::Timeout => FailureReason::Timeout,
            Self::StartTimeout => FailureReason::StartTimeout,
            Self::Idle => FailureReason::Idle,
            Self::Budget => FailureReason::BudgetExceeded,
        }
    }
}

/// Where a task is in its life. See the diagram in [`super`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// It waits.
    Queued(Hold),
    /// An attempt was claimed and is being started.
    Starting,
    /// The agent runs.
    Running,
    /// The agent, or its start, is being ended.
    Stopping {
        /// Why.
        reason: StopReason,
        /// Without grace.
        forced: bool,
    },
    /// It is over. Never left.
    Finished(Ending),
}

/// A state without its data: what indexes and filters use. The numbers are
/// those of the stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum StateKind {
    /// See [`State::Queued`].
    Queued = 1,
    /// See [`State::Starting`].
    Starting = 2,
    /// See [`State::Running`].
    Running = 3,
    /// See [`State::Stopping`].
    Stopping = 4,
    /// [`State::Finished`] with [`Outcome::Succeeded`].
    Succeeded = 5,
    /// [`State::Finished`] with [`Outcome::Failed`].
    Failed = 6,
    /// [`State::Finished`] with [`Outcome::Cancelled`].
    Cancelled = 7,
    /// [`State::Finished`] with [`Outcome::Interrupted`].
    Interrupted = 8,
    /// [`State::Finished`] with [`Outcome::Aborted`].
    Aborted = 9,
}

impl StateKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
        Self::Aborted,
    ];

    /// The kinds of a task that has not ended.
    pub const ACTIVE: [Self; 4] = [Self::Queued, Self::Starting, Self::Running, Self::Stopping];

    /// The word in the command line, JSON and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Aborted => "aborted",
        }
    }

    /// It has not ended.
    #[must_use]
    pub fn is_active(self) -> bool {
        self <= Self::Stopping
    }
}

impl State {
    /// The state without its data.
    #[must_use]
    pub fn kind(&self) -> StateKind {
        match self {
            Self::Queued(_) => StateKind::Queued,
            Self::Starting => StateKind::Starting,
            Self::Running => StateKind::Running,
            Self::Stopping { .. } => StateKind::Stopping,
            Self::Finished(ending) => match ending.outcome {
                Outcome::Succeeded => StateKind::Succeeded,
                Outcome::Failed => StateKind::Failed,
                Outcome::Cancelled => StateKind::Cancelled,
                Outcome::Interrupted => StateKind::Interrupted,
                Outcome::Aborted => StateKind::Aborted,
            },
        }
    }

    /// It has not ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !matches!(self, Self::Finished(_))
    }

    /// An attempt of it is under way and occupies a slot.
    #[must_use]
    pub fn is_occupied(&self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping { .. })
    }
}

/// One dispatched piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: TaskId,
    /// What was asked for.
    pub spec: TaskSpec,
    /// Where it is in its life.
    pub state: State,
    /// The number of its newest attempt, 0 before the first. Numbers are not
    /// used again.
    pub attempts: u32,
    /// Attempts that count against `max_attempts`.
    pub spent: u32,
    /// `runner_lost` so often in a row.
    pub lost_streak: u32,
    /// Attempts that failed because of their session.
    pub session_failures: u32,
    /// An agent of it was started at least once.
    pub started: bool,
    /// The tasks that have to end before it may run, and have not yet.
    pub waits_for: Vec<After>,
    /// From when on `queue_ttl` counts; `None`: from its submission, or from
    /// the time that it was submitted for.
    pub queued_since: Option<Moment>,
    /// The newer task that it has to make way for.
    pub superseded_by: Option<TaskId>,
    /// The change that made it what it is.
    pub revision: Revision,
    /// The newest attempt; `Some` whenever the state is occupied.
    pub attempt: Option<Attempt>,
}

impl Task {
    /// A task as it is when it has just been submitted.
    #[must_use]
    pub fn submitted(id: TaskId, spec: TaskSpec) -> Self {
        let hold = match spec.not_before {
            Some(until) => Hold::Scheduled { until },
            None => Hold::None,
        };
        Self {
            id,
            waits_for: spec.after.clone(),
            queued_since: None,
            superseded_by: None,
            spec,
            state: State::Queued(hold),
            attempts: 0,
            spent: 0,
            lost_streak: 0,
            session_failures: 0,
            started: false,
            revision: Revision::default(),
            attempt: None,
        }
    }

    /// The first task of its chain of reruns.
    #[must_use]
    pub fn lineage(&self) -> TaskId {
        self.spec.lineage.unwrap_or(self.id)
    }

    /// What is counted over its attempts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            spent: self.spent,
            lost_streak: self.lost_streak,
            session_failures: self.session_failures,
        }
    }

    /// Has the counts be these.
    pub fn set_counts(&mut self, counts: Counts) {
        self.spent = counts.spent;
        self.lost_streak = counts.lost_streak;
        self.session_failures = counts.session_failures;
    }

    /// The failure reason of its attempt if that ends because of a stop.
    #[must_use]
    pub fn failure_by(&self, stop: StopReason) -> FailureReason {
        if stop == StopReason::Cancel && self.superseded_by.is_some() {
            return FailureReason::Superseded;
        }
        stop.failure()
    }

    /// The newest attempt while one is under way.
    #[must_use]
    pub fn live_attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref().filter(|_| self.state.is_occupied())
    }
}
