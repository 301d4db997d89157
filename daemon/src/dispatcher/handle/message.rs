//! What the loop is sent: a question and where its answer goes, or a report.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tokio::sync::oneshot;

use super::{
    CancelOrder, Firing, ForgetError, Pruned, Pruning, RerunOrder, ShutDown, Submission, Submitted,
};
use crate::{
    config::Config,
    dispatcher::{
        outcome::{Cancelled, FiringError, Held, HoldError, SubmitError},
        overview::Overview,
        said::{Heard, Statement, StatementError},
    },
    supervisor::Report,
    task::{
        id::{Revision, TaskId},
        notice::Way,
        timetable::Fired,
    },
};

pub(in crate::dispatcher) type Reply<T> = oneshot::Sender<T>;

/// Something for the loop.
pub(in crate::dispatcher) enum Message {
    Submit(Box<Submission>, Reply<Result<Submitted, SubmitError>>),
    Rerun(Box<RerunOrder>, Reply<Result<Submitted, SubmitError>>),
    Cancel {
        ids: Vec<TaskId>,
        by: String,
        order: CancelOrder,
        reply: Reply<Vec<Cancelled>>,
    },
    Hold {
        id: TaskId,
        by: String,
        reply: Reply<Result<Held, HoldError>>,
    },
    Release {
        id: TaskId,
        by: String,
        reply: Reply<Result<Held, HoldError>>,
    },
    SetSchedules(BTreeMap<String, String>, Reply<BTreeMap<String, Fired>>),
    Fire(Box<Firing>, Reply<Result<Option<Submitted>, FiringError>>),
    /// The wall clock was set, or the machine has slept.
    ClockSet,
    Pause {
        agent: Option<String>,
        paused: bool,
        reply: Reply<bool>,
    },
    ClearQuota {
        account: String,
        reply: Reply<bool>,
    },
    ForgetSession {
        agent: String,
        id: String,
        reply: Reply<Result<(), ForgetError>>,
    },
    Prune(Box<Pruning>, Reply<Pruned>),
    SetTold {
        way: Way,
        upto: Option<Revision>,
        reply: Reply<()>,
    },
    Overview(Reply<Overview>),
    Recover(Reply<u64>),
    Reload(Arc<Config>, Reply<()>),
    ShutDown(ShutDown, Reply<u64>),
    Report(Report),
    Say(Box<Statement>, Reply<Result<Heard, StatementError>>),
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Submit(..) => "Submit",
            Self::Rerun(..) => "Rerun",
            Self::Cancel { .. } => "Cancel",
            Self::Hold { .. } => "Hold",
            Self::Release { .. } => "Release",
            Self::SetSchedules(..) => "SetSchedules",
            Self::Fire(..) => "Fire",
            Self::ClockSet => "ClockSet",
            Self::Pause { .. } => "Pause",
            Self::ClearQuota { .. } => "ClearQuota",
            Self::ForgetSession { .. } => "ForgetSession",
            Self::Prune(..) => "Prune",
            Self::SetTold { .. } => "SetTold",
            Self::Overview(_) => "Overview",
            Self::Recover(_) => "Recover",
            Self::Reload(..) => "Reload",
            Self::ShutDown(..) => "ShutDown",
            Self::Report(_) => "Report",
            Self::Say(..) => "Say",
        })
    }
}
