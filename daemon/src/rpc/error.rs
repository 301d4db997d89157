//! Errors on the wire: a gRPC status with a stable reason and a hint.

use std::{collections::HashMap, fmt, path::Path};

use agentd_proto::reason::{self, DOMAIN, META_FIELD, META_HINT, META_TASK};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    dispatcher::{HoldError, StatementError, SubmitError, Unavailable},
    request::Refused,
    store::StoreError,
    task::{budget::Budget, id::TaskId},
};

/// A status in the making.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
}

impl Failure {
    pub(super) fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
        }
    }

    /// What a person can do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.metadata.insert(META_HINT.to_owned(), hint.into());
        self
    }

    /// What a person can do about it; empty if nothing is known.
    pub(super) fn advice(&self) -> &str {
        self.metadata.get(META_HINT).map_or("", String::as_str)
    }

    fn task(mut self, task: TaskId) -> Self {
        self.metadata.insert(META_TASK.to_owned(), task.to_string());
        self
    }

    /// A field of the request that cannot be.
    pub(super) fn field(name: &str, message: impl Into<String>) -> Self {
        let mut failure = Self::new(Code::InvalidArgument, reason::INVALID_FIELD, message);
        failure
            .metadata
            .insert(META_FIELD.to_owned(), name.to_owned());
        failure
    }

    /// A runner of another daemon's. It goes on and asks again: its own daemon
    /// may come back.
    pub(super) fn other_state_dir(dir: &Path) -> Self {
        Self::new(
            Code::FailedPrecondition,
            reason::NOT_PERMITTED,
            format!(
                "{} is not in the state directory of this daemon",
                dir.display()
            ),
        )
    }

    pub(super) fn not_found(id: impl fmt::Display) -> Self {
        Self::new(
            Code::NotFound,
            reason::TASK_NOT_FOUND,
            format!("there is no task {id}"),
        )
        .hint("agentctl ls --all lists every task")
    }

    /// The task was there once.
    pub(super) fn forgotten(id: TaskId) -> Self {
        Self::new(
            Code::NotFound,
            reason::TASK_NOT_FOUND,
            format!("task {id} is not kept any more: it ended long ago, or an older copy of the store was put back"),
        )
        .hint(format!(
            "what it left uncommitted is still in its repository: git for-each-ref refs/agentd/{id}"
        ))
    }

    /// The task has not ended, so it cannot run again.
    pub(super) fn active(id: TaskId, state: &str) -> Self {
        Self::new(
            Code::FailedPrecondition,
            reason::TASK_ACTIVE,
            format!("task {id} is still {state}"),
        )
        .task(id)
        .hint(format!(
            "agentctl cancel {id}, or agentctl rerun {id} --replace"
        ))
    }

    /// The task has succeeded, so it is not run again by mistake.
    pub(super) fn succeeded(id: TaskId) -> Self {
        Self::new(
            Code::FailedPrecondition,
            reason::TASK_SUCCEEDED,
            format!("task {id} succeeded"),
        )
        .hint(format!("agentctl rerun {id} --force runs it all the same"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let details = ErrorDetails::with_error_info(failure.reason, DOMAIN, failure.metadata);
        Self::with_error_details(failure.code, failure.message, details)
    }
}

impl From<Unavailable> for Failure {
    fn from(error: Unavailable) -> Self {
        match error {
            Unavailable::Stopping => Self::new(
                Code::Unavailable,
                reason::DAEMON_STOPPING,
                error.to_string(),
            ),
            Unavailable::Store => Self::new(
                Code::Unavailable,
                reason::STORE_UNAVAILABLE,
                error.to_string(),
            )
            .hint("agentctl status says why; running agents go on"),
        }
    }
}

impl Failure {
    fn store(error: &dyn std::error::Error) -> Self {
        Self::new(
            Code::Unavailable,
            reason::STORE_UNAVAILABLE,
            format!("the store failed: {error}"),
        )
        .hint("look at the daemon's log, and at the space and state of its disk")
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::store(&error)
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        let message = error.to_string();
        match error {
            SubmitError::RequestIdReused(task) => {
                Self::new(Code::AlreadyExists, reason::REQUEST_ID_REUSED, message)
                    .task(task)
                    .hint("use a new request id for a new task")
            }
            SubmitError::KeyBusy { task, .. } => {
                Self::new(Code::AlreadyExists, reason::KEY_BUSY, message)
                    .task(task)
                    .hint("--queue waits behind it, --replace cancels it first")
            }
            SubmitError::QueueFull(_) => {
                Self::new(Code::ResourceExhausted, reason::QUEUE_FULL, message)
                    .hint("agentctl ls --active shows what waits; daemon.max_queued is the limit")
            }
            SubmitError::NothingLeft { lineage, used_up } => {
                let flag = match used_up.budget {
                    Budget::Cost => "--max-cost-usd",
                    Budget::Tokens => "--max-tokens",
                    Budget::Wall => "--max-wall-time",
                    Budget::Attempts => "--max-lineage-attempts",
                };
                Self::new(Code::FailedPrecondition, reason::BUDGET_EXCEEDED, message)
                    .task(lineage)
                    .hint(format!(
                        "{flag} sets a larger one; --override lets it be spent once more from here"
                    ))
            }
            SubmitError::NoSuchTask(task) => Self::not_found(task),
            SubmitError::DependencyFailed { task, .. } => {
                Self::new(Code::FailedPrecondition, reason::DEPENDENCY_FAILED, message)
                    .task(task)
                    .hint(format!(
                        "rerun task {task} and wait for that one, or --after {task}:any"
                    ))
            }
            SubmitError::Active(task) => Self::active(task, "active"),
            SubmitError::Succeeded(task) => Self::succeeded(task),
            SubmitError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let failure = Self::field(refused.field, refused.message);
        if refused.hint.is_empty() {
            failure
        } else {
            failure.hint(refused.hint)
        }
    }
}

impl From<HoldError> for Failure {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::NotFound(id) => Self::not_found(id),
            HoldError::NotQueued { task, state } => {
                let (message, hint) = if state.is_active() {
                    let message = format!("task {task} is {} already", state.as_str());
                    (message, format!("agentctl cancel {task} stops it"))
                } else {
                    let message = format!("task {task} has ended ({})", state.as_str());
                    (message, format!("agentctl rerun {task} runs it again"))
                };
                Self::new(Code::FailedPrecondition, reason::TASK_NOT_QUEUED, message)
                    .task(task)
                    .hint(hint)
            }
            HoldError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<StatementError> for Failure {
    fn from(error: StatementError) -> Self {
        let message = error.to_string();
        match error {
            StatementError::Token(_) => {
                Self::new(Code::PermissionDenied, reason::NOT_PERMITTED, message)
                    .hint("an agent reports of its own attempt only, with its own AGENTD_TOKEN")
            }
            StatementError::Ended(attempt) => {
                Self::new(Code::FailedPrecondition, reason::ATTEMPT_ENDED, message)
                    .hint(format!("agentctl show {attempt} shows how"))
            }
            StatementError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}
