//! The stored numbers of enumerations. One that was given is never changed.

use super::RecordError;
use crate::task::{
    attempt::Phase,
    dependency::Condition,
    event::What,
    reason::{FailureReason, Outcome},
    session::{Standing, Way},
    spec::{AgentType, Trigger, WorkspaceMode, WorkspaceReuse},
    state::{StateKind, StopReason},
};

/// Gives each value of an enumeration its stored number.
macro_rules! codes {
    ($ty:ident, $field:literal: $($variant:ident = $code:literal),+ $(,)?) => {
        impl Code for $ty {
            fn code(self) -> u32 {
                match self { $($ty::$variant => $code),+ }
            }
            fn from_code(code: u32) -> Result<Self, RecordError> {
                match code {
                    $($code => Ok($ty::$variant),)+
                    _ => Err(RecordError::Field($field)),
                }
            }
        }
    };
}

pub(super) trait Code: Sized {
    fn code(self) -> u32;
    fn from_code(code: u32) -> Result<Self, RecordError>;
}

codes!(Trigger, "trigger": Manual = 1, Rerun = 2, Webhook = 3, Schedule = 4);
codes!(AgentType, "agent type":
    Command = 1, Claude = 2, Codex = 3, Gemini = 4, Opencode = 5);
codes!(WorkspaceMode, "workspace mode": Worktree = 1, InPlace = 2, None = 3);
codes!(WorkspaceReuse, "workspace reuse": Keep = 0, Reset = 1, Fresh = 2);
codes!(Phase, "phase": Claimed = 1, Registered = 2, Running = 3, Ended = 4);
codes!(StopReason, "stop reason": Cancel = 1, Timeout = 2, StartTimeout = 3, Idle = 4,
    Budget = 5);
codes!(Outcome, "outcome":
    Succeeded = 1, Failed = 2, Cancelled = 3, Interrupted = 4, Aborted = 5);
codes!(FailureReason, "failure reason":
    RunnerLost = 1, HostRebooted = 2, SpawnFailed = 3, StartTimeout = 4, Timeout = 5,
    WorkspaceFailed = 6, RepoMissing = 7, AgentError = 8, AgentMissing = 9, Cancelled = 10,
    Superseded = 11, Idle = 20, QueueExpired = 21, OomKilled = 30,
    ProviderUnreachable = 40, RateLimited = 41, UsageLimit = 42, SessionLost = 43,
    ContextOverflow = 44, SessionPoisoned = 45, AuthFailed = 46, InvalidModel = 47,
    PermissionBlocked = 48, BudgetExceeded = 49, DependencyFailed = 50, IssueClosed = 51,
    ScopeStopped = 60);
codes!(Standing, "session's standing":
    Good = 1, Unverified = 2, Quarantined = 3, Retired = 4);
codes!(Way, "way of a session":
    Fresh = 1, Gone = 2, Minted = 3, Chosen = 4, Seen = 5, Unseen = 6);
codes!(What, "event":
    Submitted = 1, Claimed = 2, WorkspaceReady = 3, Registered = 4, Started = 5, Adopted = 6,
    StopRequested = 7, Retry = 8, Finished = 9,
    SessionPinned = 10, Progress = 11, Limited = 12, Fault = 13, Declined = 14,
    SessionGone = 70, WorkspaceLeft = 90,
    Held = 140, Released = 141, DependencyMet = 142, SettingUp = 150);
codes!(Condition, "condition": Success = 1, End = 2);

pub(in crate::store) fn state_kind(code: u8) -> Result<StateKind, RecordError> {
    StateKind::ALL
        .into_iter()
        .find(|kind| *kind as u8 == code)
        .ok_or(RecordError::Field("state"))
}
