//! The words for what the interface numbers, and the states that go together.

use agentd_proto::v1::{self, State};

/// The states that `--failed` means.
pub(crate) const FAILED_STATES: [State; 3] = [State::Failed, State::Interrupted, State::Aborted];

/// The states that `--unsuccessful` means.
pub(crate) const UNSUCCESSFUL_STATES: [State; 4] = [
    State::Failed,
    State::Interrupted,
    State::Aborted,
    State::Cancelled,
];

/// The states that `--active` means.
pub(crate) const ACTIVE_STATES: [State; 4] = [
    State::Queued,
    State::Starting,
    State::Running,
    State::Stopping,
];

/// The word for a state.
pub(crate) fn state_word(state: State) -> &'static str {
    match state {
        // Of a daemon that knows more states than this program.
        State::Unspecified => "unknown",
        State::Queued => "queued",
        State::Starting => "starting",
        State::Running => "running",
        State::Stopping => "stopping",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
        State::Interrupted => "interrupted",
        State::Aborted => "aborted",
    }
}

/// Whether a task in it has ended.
pub(crate) fn is_final(state: State) -> bool {
    match state {
        State::Unspecified | State::Queued | State::Starting | State::Running | State::Stopping => {
            false
        }
        State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::Interrupted
        | State::Aborted => true,
    }
}

/// The word for what made a task.
pub(crate) fn trigger_word(trigger: v1::Trigger) -> &'static str {
    match trigger {
        v1::Trigger::Unspecified => "unknown",
        v1::Trigger::Manual => "manual",
        v1::Trigger::Rerun => "rerun",
        v1::Trigger::Webhook => "webhook",
        v1::Trigger::Schedule => "schedule",
    }
}

/// The word for where the agent works.
pub(crate) fn workspace_word(mode: v1::WorkspaceMode) -> Option<&'static str> {
    match mode {
        v1::WorkspaceMode::Unspecified => None,
        v1::WorkspaceMode::Worktree => Some("worktree"),
        v1::WorkspaceMode::InPlace => Some("in-place"),
        v1::WorkspaceMode::None => Some("none"),
    }
}

/// The word for what becomes of what is in a worktree.
pub(crate) fn reuse_word(reuse: v1::WorkspaceReuse) -> Option<&'static str> {
    match reuse {
        v1::WorkspaceReuse::Unspecified => None,
        v1::WorkspaceReuse::Keep => Some("keep"),
        v1::WorkspaceReuse::Reset => Some("reset"),
        v1::WorkspaceReuse::Fresh => Some("fresh"),
    }
}

/// The word for what has to become of a task that is waited for.
pub(crate) fn condition_word(condition: v1::after::Condition) -> &'static str {
    match condition {
        v1::after::Condition::Unspecified => "ok",
        v1::after::Condition::Any => "any",
    }
}
