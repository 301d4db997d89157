//! The stable reasons of errors: `google.rpc.ErrorInfo.reason`, by which a
//! script tells errors apart and `agentctl` chooses its exit code.

/// The `domain` of every `google.rpc.ErrorInfo` the daemon sends.
pub const DOMAIN: &str = "agentd";

/// `NOT_FOUND`: no task has this number.
pub const TASK_NOT_FOUND: &str = "TASK_NOT_FOUND";
/// `FAILED_PRECONDITION`: the task has not ended.
pub const TASK_ACTIVE: &str = "TASK_ACTIVE";
/// `FAILED_PRECONDITION`: the task succeeded and `force` was not set.
pub const TASK_SUCCEEDED: &str = "TASK_SUCCEEDED";
/// `FAILED_PRECONDITION`: only a queued task can be held.
pub const TASK_NOT_QUEUED: &str = "TASK_NOT_QUEUED";
/// `FAILED_PRECONDITION`: a task that would have to succeed first has not;
/// metadata `task` names it.
pub const DEPENDENCY_FAILED: &str = "DEPENDENCY_FAILED";
/// `FAILED_PRECONDITION`: the task's issue has been closed.
pub const ISSUE_CLOSED: &str = "ISSUE_CLOSED";
/// `FAILED_PRECONDITION`: whether the issue is open cannot be found out, and the
/// operator requires it.
pub const ISSUE_UNKNOWN: &str = "ISSUE_UNKNOWN";
/// `ALREADY_EXISTS`: another task of the key is active; metadata `task` names it.
pub const KEY_BUSY: &str = "KEY_BUSY";
/// `INVALID_ARGUMENT` on submit, `FAILED_PRECONDITION` on rerun: no such agent.
pub const AGENT_UNKNOWN: &str = "AGENT_UNKNOWN";
/// `INVALID_ARGUMENT` on submit, `FAILED_PRECONDITION` on rerun: no repository.
pub const REPO_INVALID: &str = "REPO_INVALID";
/// `ALREADY_EXISTS`: the request id was used with other contents.
pub const REQUEST_ID_REUSED: &str = "REQUEST_ID_REUSED";
/// `RESOURCE_EXHAUSTED`: as many tasks are queued as may be.
pub const QUEUE_FULL: &str = "QUEUE_FULL";
/// `UNAVAILABLE`: the store cannot be written or read now.
pub const STORE_UNAVAILABLE: &str = "STORE_UNAVAILABLE";
/// `UNAVAILABLE`: the daemon is about to exit.
pub const DAEMON_STOPPING: &str = "DAEMON_STOPPING";
/// `FAILED_PRECONDITION`: the attempt that something is reported of has ended.
pub const ATTEMPT_ENDED: &str = "ATTEMPT_ENDED";
/// `INVALID_ARGUMENT`: metadata `field` names the field.
pub const INVALID_FIELD: &str = "INVALID_FIELD";
/// `PERMISSION_DENIED`: the peer's uid may not do this.
pub const NOT_PERMITTED: &str = "NOT_PERMITTED";
/// `FAILED_PRECONDITION`: the task and its reruns have used up a budget.
pub const BUDGET_EXCEEDED: &str = "BUDGET_EXCEEDED";
/// `NOT_FOUND`: no agent works on this account.
pub const ACCOUNT_UNKNOWN: &str = "ACCOUNT_UNKNOWN";
/// `NOT_FOUND`: no agent has a session of this id.
pub const SESSION_NOT_FOUND: &str = "SESSION_NOT_FOUND";
/// `FAILED_PRECONDITION`: an attempt works in the session.
pub const SESSION_IN_USE: &str = "SESSION_IN_USE";
/// `FAILED_PRECONDITION`: git or the disk refused, or nothing is recorded.
pub const WORKSPACE_FAILED: &str = "WORKSPACE_FAILED";
/// `FAILED_PRECONDITION`: the worktree is needed, or something in it is.
pub const WORKSPACE_STAYS: &str = "WORKSPACE_STAYS";
/// `FAILED_PRECONDITION`: no copy of the store could be made.
pub const BACKUP_FAILED: &str = "BACKUP_FAILED";
/// `FAILED_PRECONDITION`: another collection of what is old is under way.
pub const PRUNE_BUSY: &str = "PRUNE_BUSY";
/// `FAILED_PRECONDITION`: the transcript was removed, for its age.
pub const TRANSCRIPT_PRUNED: &str = "TRANSCRIPT_PRUNED";

/// Metadata key: what the person can do about it.
pub const META_HINT: &str = "hint";
/// Metadata key: the field of the request that is wrong.
pub const META_FIELD: &str = "field";
/// Metadata key: the number of the task that is in the way.
pub const META_TASK: &str = "task";
