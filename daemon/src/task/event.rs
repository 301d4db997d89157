//! What can happen to a task, and what the journal says of it.

use serde::{Deserialize, Serialize};

use super::{
    attempt::{ProcessIdentity, RunResult, Workspace},
    budget::Spend,
    id::{AttemptId, Incarnation, Nonce, TaskId},
    moment::Moment,
    observed::Observed,
    reason::{FailureReason, Outcome, Verdict},
    session::Given,
    state::StopReason,
};

/// An attempt together with its secret: what reports name it by. A report of
/// another attempt or with another secret changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptRef {
    /// The attempt.
    pub id: AttemptId,
    /// Its secret.
    pub nonce: Nonce,
}

/// How far the agent of a runner is that registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It waits for Go.
    Waiting,
    /// What the repository is set up with runs.
    SettingUp {
        /// Its words.
        command: String,
    },
    /// The agent was started.
    Running {
        /// The agent's process.
        agent: ProcessIdentity,
        /// When.
        at: Moment,
    },
}

/// Who says something of an agent's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Teller {
    /// The runner, which reads what the agent prints.
    Runner,
    /// The agent itself.
    Agent,
}

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The scheduler gave it a slot.
    Claim {
        /// The secret of the new attempt.
        nonce: Nonce,
        /// The incarnation that claims it.
        epoch: Incarnation,
        /// The boot that it happens in.
        boot_id: String,
        /// The account that its agent works on.
        account: String,
        /// What its lineage has spent by now.
        spent: Spend,
        /// The session that was chosen for it.
        given: Given,
    },
    /// The workspace is there.
    Prepared {
        /// Whose.
        attempt: AttemptRef,
        /// Where.
        workspace: Workspace,
        /// What was found of the session that was chosen.
        given: Given,
    },
    /// It could not be started, and nothing of it is left.
    StartFailed {
        /// Which attempt.
        attempt: AttemptRef,
        /// The cause.
        reason: FailureReason,
        /// The error's own words.
        message: String,
    },
    /// A runner registered, for the first time or again.
    Registered {
        /// For which attempt.
        attempt: AttemptRef,
        /// Who it is.
        runner: ProcessIdentity,
        /// How far it is.
        stage: Stage,
        /// This incarnation had found the attempt in the store and was
        /// waiting for it.
        adopted: bool,
    },
    /// What the repository is set up with was started; the agent follows.
    SettingUp {
        /// In which attempt.
        attempt: AttemptRef,
        /// Its words.
        command: String,
    },
    /// The agent was started.
    Started {
        /// In which attempt.
        attempt: AttemptRef,
        /// Its process.
        agent: ProcessIdentity,
        /// When.
        at: Moment,
    },
    /// More is known of the agent's run.
    Observed {
        /// Of which attempt.
        attempt: AttemptRef,
        /// How things are.
        observed: Box<Observed>,
        /// Who says so.
        by: Teller,
    },
    /// The agent has ended and nothing of its tree is left.
    Exited {
        /// In which attempt.
        attempt: AttemptRef,
        /// What the runner saw.
        result: RunResult,
        /// What the agent's adapter makes of it; none if no agent was started.
        verdict: Option<Verdict>,
    },
    /// The runner is provably gone without a result, and so is its tree.
    Lost {
        /// Which attempt.
        attempt: AttemptRef,
        /// `RunnerLost`, `HostRebooted` or `ScopeStopped`.
        reason: FailureReason,
    },
    /// The daemon died between the claim and the runner's registration; no
    /// agent can have been started.
    NeverStarted {
        /// Which attempt.
        attempt: AttemptRef,
    },
    /// A person, or a newer task, wants it to end.
    Cancel {
        /// Who.
        by: String,
        /// Without grace.
        forced: bool,
        /// The task that takes its place.
        superseded_by: Option<TaskId>,
    },
    /// A person keeps it from being started.
    Hold {
        /// Who.
        by: String,
    },
    /// A person wants nothing but other tasks and the slots to keep it.
    Release {
        /// Who.
        by: String,
    },
    /// A task that it may wait for has ended.
    DependencyEnded {
        /// That one.
        task: TaskId,
        /// How.
        outcome: Outcome,
    },
    /// It has been queued for as long as it may, and was never started.
    QueueExpired {
        /// What kept it, for a person.
        kept_by: String,
    },
    /// A limit of the attempt has passed.
    Deadline {
        /// Which attempt.
        attempt: AttemptRef,
        /// Which limit.
        limit: StopReason,
    },
    /// A stop has taken longer than it may.
    StopOverdue {
        /// Which attempt.
        attempt: AttemptRef,
    },
}

/// What the journal says happened. The numbers are those of the stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// It was submitted.
    Submitted,
    /// It got a slot and an attempt.
    Claimed,
    /// Its workspace was made or found.
    WorkspaceReady,
    /// Its runner registered.
    Registered,
    /// The agent was started.
    Started,
    /// A new incarnation found its runner alive.
    Adopted,
    /// It is to be ended.
    StopRequested,
    /// An attempt ended and another one will follow.
    Retry,
    /// It has ended.
    Finished,
    /// The agent has named its session.
    SessionPinned,
    /// The agent says what it does, or what it has used.
    Progress,
    /// The agent met the limit of its account.
    Limited,
    /// The agent says why it cannot do its work.
    Fault,
    /// The agent says that it will not.
    Declined,
    /// What an attempt left in its workspace is known.
    WorkspaceLeft,
    /// The agent did not know the session that it was to resume: it is run
    /// without it.
    SessionGone,
    /// A person keeps it from being started.
    Held,
    /// It is not kept from being started any more.
    Released,
    /// A task that it waited for has ended as it had to.
    DependencyMet,
    /// What the repository is set up with was started.
    SettingUp,
}

impl What {
    /// The word in the command line and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Claimed => "claimed",
            Self::WorkspaceReady => "workspace_ready",
            Self::Registered => "registered",
            Self::Started => "started",
            Self::Adopted => "adopted",
            Self::StopRequested => "stop_requested",
            Self::Retry => "retry",
            Self::Finished => "finished",
            Self::SessionPinned => "session_pinned",
            Self::Progress => "progress",
            Self::Limited => "limited",
            Self::Fault => "fault",
            Self::Declined => "declined",
            Self::WorkspaceLeft => "workspace_left",
            Self::SessionGone => "session_gone",
            Self::Held => "held",
            Self::Released => "released",
            Self::DependencyMet => "dependency_met",
            Self::SettingUp => "setting_up",
        }
    }
}
