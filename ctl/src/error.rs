//! The one error type of agentctl: what went wrong, why, what to do about it,
//! and the exit code that says so to a script.

use std::{error::Error as StdError, fmt::Write as _, io};

use agentd_proto::reason;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::output::table::one_line;

/// Everything went well.
pub(crate) const EXIT_OK: u8 = 0;
/// The task did not succeed (`run`, `wait`), or an error without a code of its own.
pub(crate) const EXIT_FAILED: u8 = 1;
/// Wrong usage or an invalid argument.
pub(crate) const EXIT_USAGE: u8 = 2;
/// No such task.
pub(crate) const EXIT_NOT_FOUND: u8 = 3;
/// A conflict, or the task is in the wrong state for it.
pub(crate) const EXIT_CONFLICT: u8 = 4;
/// What the task was about is gone: its issue has been closed.
pub(crate) const EXIT_GONE: u8 = 5;
/// The daemon cannot be reached, or cannot answer now.
pub(crate) const EXIT_UNREACHABLE: u8 = 6;
/// Permission denied.
pub(crate) const EXIT_PERMISSION: u8 = 7;
/// A time limit passed.
pub(crate) const EXIT_TIMEOUT: u8 = 8;
/// Interrupted with Ctrl-C.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// The exit codes as the help shows them.
pub(crate) const EXIT_CODES_HELP: &str = "\
Exit codes:
    0  ok
    1  the task did not succeed, or another error
    2  wrong usage or an invalid argument
    3  no such task
    4  conflict, or the task is in the wrong state
    5  gone: the task's issue has been closed
    6  the daemon cannot be reached
    7  permission denied
    8  a time limit passed
  130  interrupted

With --propagate, run and wait exit with the agent's own code
instead of 1 (128 + number for a signal).";

/// What a script has to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// None of the others.
    Other,
    /// Wrong usage or an invalid argument.
    Usage,
    /// No such task.
    NotFound,
    /// A conflict or a wrong state.
    Conflict,
    /// The issue has been closed.
    Gone,
    /// No daemon, or it cannot answer now.
    Unreachable,
    /// Not allowed.
    Permission,
    /// A time limit passed.
    Timeout,
    /// Whoever read stdout has closed it: not an error, nothing is said.
    ClosedPipe,
}

impl Kind {
    /// The process's exit code.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Other => EXIT_FAILED,
            Self::Usage => EXIT_USAGE,
            Self::NotFound => EXIT_NOT_FOUND,
            Self::Conflict => EXIT_CONFLICT,
            Self::Gone => EXIT_GONE,
            Self::Unreachable => EXIT_UNREACHABLE,
            Self::Permission => EXIT_PERMISSION,
            Self::Timeout => EXIT_TIMEOUT,
            Self::ClosedPipe => EXIT_OK,
        }
    }

    /// By the daemon's stable reason; `None` if only the gRPC code tells.
    fn of_reason(reason: &str) -> Option<Self> {
        Some(match reason {
            reason::TASK_NOT_FOUND | reason::ACCOUNT_UNKNOWN | reason::SESSION_NOT_FOUND => {
                Self::NotFound
            }
            reason::TASK_ACTIVE
            | reason::TASK_SUCCEEDED
            | reason::ISSUE_UNKNOWN
            | reason::KEY_BUSY
            | reason::REQUEST_ID_REUSED
            | reason::QUEUE_FULL
            | reason::BUDGET_EXCEEDED
            | reason::WORKSPACE_FAILED
            | reason::PRUNE_BUSY
            | reason::TRANSCRIPT_PRUNED
            | reason::WORKSPACE_STAYS
            | reason::ATTEMPT_ENDED
            | reason::SESSION_IN_USE => Self::Conflict,
            reason::BACKUP_FAILED => Self::Other,
            reason::ISSUE_CLOSED => Self::Gone,
            reason::STORE_UNAVAILABLE | reason::DAEMON_STOPPING => Self::Unreachable,
            reason::INVALID_FIELD => Self::Usage,
            reason::NOT_PERMITTED => Self::Permission,
            // AGENT_UNKNOWN and REPO_INVALID are an invalid argument of a
            // submit and a wrong state for a rerun: the code says which.
            _ => return None,
        })
    }

    fn of_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::Usage,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::ResourceExhausted => Self::Conflict,
            Code::Unavailable => Self::Unreachable,
            Code::PermissionDenied | Code::Unauthenticated => Self::Permission,
            Code::DeadlineExceeded => Self::Timeout,
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => Self::Other,
        }
    }
}

/// What went wrong, why, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Error {
    kind: Kind,
    what: String,
    #[source]
    why: Option<Box<dyn StdError + Send + Sync>>,
    hint: Option<String>,
    unanswered: bool,
    unknown_call: bool,
    reason: String,
    task: Option<u64>,
}

impl Error {
    /// An error without cause and hint; add them with [`Self::because`] and
    /// [`Self::hint`].
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            why: None,
            hint: None,
            unanswered: false,
            unknown_call: false,
            reason: String::new(),
            task: None,
        }
    }

    /// Wrong usage.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    /// Adds the cause.
    #[must_use]
    pub(crate) fn because(mut self, why: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds what the person can do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The question may have arrived, and no answer came.
    #[must_use]
    pub(crate) fn unanswered(mut self) -> Self {
        self.unanswered = true;
        self
    }

    /// Whether what was asked for may have been done all the same.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.unanswered
    }

    /// The daemon is of another version, one that lacks what was asked for.
    pub(crate) fn is_unknown_call(&self) -> bool {
        self.unknown_call
    }

    /// Says first what it happened to.
    #[must_use]
    pub(crate) fn about(mut self, subject: &str) -> Self {
        self.what = format!("{subject}: {}", self.what);
        self
    }

    /// The daemon's stable reason; empty if it gave none.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// The task that stands in the way, if the daemon named one.
    pub(crate) fn task(&self) -> Option<u64> {
        self.task
    }

    /// What the person can do about it.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What a script tells it by.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// `agentctl: what: why`, and a line `hint: …` if there is one.
    pub(crate) fn render(&self) -> String {
        let mut text = format!("agentctl: {}", self.what);
        let mut next = self.source();
        while let Some(cause) = next {
            let said = cause.to_string();
            // Layers that only repeat the one below add nothing.
            if !said.is_empty() && !text.ends_with(&said) {
                // Writing to a String cannot fail.
                write!(text, ": {said}").unwrap_or_default();
            }
            next = cause.source();
        }
        if let Some(hint) = &self.hint {
            write!(text, "\nhint: {hint}").unwrap_or_default();
        }
        text
    }
}

/// A failed write to stdout.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let kind = if error.kind() == io::ErrorKind::BrokenPipe {
            Kind::ClosedPipe
        } else {
            Kind::Other
        };
        Self::new(kind, "cannot write the output").because(error)
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let info = status
            .get_details_error_info()
            .filter(|info| info.domain == reason::DOMAIN);
        let Some(info) = info else {
            return Self::without_info(&status);
        };
        let kind = Kind::of_reason(&info.reason).unwrap_or_else(|| Kind::of_code(status.code()));
        let meta = |key: &str| {
            let value = info.metadata.get(key).map(|value| one_line(value));
            value.filter(|value| !value.is_empty())
        };
        let message = message_or_code(&status);
        let what = match meta(reason::META_FIELD) {
            Some(field) if !message.contains(&field) => format!("{}: {message}", flag_of(&field)),
            Some(_) | None => message,
        };
        let hint = meta(reason::META_HINT).or_else(|| {
            let task = meta(reason::META_TASK);
            own_hint(&info.reason, task.as_deref())
        });
        Self {
            hint,
            task: meta(reason::META_TASK).and_then(|id| id.parse().ok()),
            reason: info.reason,
            ..Self::new(kind, what)
        }
    }
}

impl Error {
    /// A status that the daemon did not word itself: the transport's, or that
    /// of another version.
    fn without_info(status: &Status) -> Self {
        if is_lost(status) {
            let why = root_cause(status).unwrap_or_else(|| message_or_code(status));
            return Self::new(Kind::Unreachable, "lost the connection to agentd")
                .because(why)
                .hint("agentctl status, or look into the log of agentd")
                .unanswered();
        }
        if status.code() == Code::Unimplemented {
            let error = Self::new(Kind::Other, "agentd does not know how to do that").hint(
                "agentd and agentctl are of different versions: compare them with agentctl version",
            );
            return Self {
                unknown_call: true,
                ..error
            };
        }
        Self::new(Kind::of_code(status.code()), message_or_code(status))
    }
}

/// Whether the call failed because the daemon went away, so that it is worth
/// to be made again: nothing answered, the connection broke, or the daemon
/// says itself that it is about to exit.
pub(crate) fn is_lost(status: &Status) -> bool {
    if let Some(info) = status.get_details_error_info() {
        return info.reason == reason::DAEMON_STOPPING;
    }
    // A status that came over the wire has no source; the transport's has.
    status.code() == Code::Unavailable || status.source().is_some()
}

/// How a person writes a field of the interface, so far as there is a flag for it.
fn flag_of(field: &str) -> String {
    let name = field.rsplit('.').next().unwrap_or(field);
    match name {
        "prompt" | "command" | "id" | "page_token" => name.to_owned(),
        "labels" => "--label".to_owned(),
        "workspace_mode" | "workspace_reuse" => "--workspace".to_owned(),
        name => format!("--{}", name.replace('_', "-")),
    }
}

fn message_or_code(status: &Status) -> String {
    match one_line(status.message()) {
        message if message.is_empty() => status.code().description().to_owned(),
        message => message,
    }
}

fn root_cause(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    while let Some(next) = cause.source() {
        cause = next;
    }
    Some(one_line(&cause.to_string()))
}

/// What to do, where the daemon did not say it.
fn own_hint(why: &str, task: Option<&str>) -> Option<String> {
    Some(match why {
        reason::TASK_NOT_FOUND => "agentctl ls shows the tasks there are".to_owned(),
        reason::TASK_ACTIVE => {
            let id = task.unwrap_or("ID");
            format!("agentctl cancel {id}, or agentctl rerun {id} --replace")
        }
        reason::TASK_SUCCEEDED => "--force runs it again all the same".to_owned(),
        reason::KEY_BUSY => {
            let other = task.map_or_else(|| "that task".to_owned(), |id| format!("task {id}"));
            format!("--queue waits for {other}, --replace cancels it first")
        }
        reason::AGENT_UNKNOWN => "agentctl agents lists them".to_owned(),
        reason::BUDGET_EXCEEDED => "--override lets it be spent once more".to_owned(),
        reason::ACCOUNT_UNKNOWN => "agentctl quota lists the accounts".to_owned(),
        reason::ISSUE_CLOSED => "reopen the issue first".to_owned(),
        reason::DAEMON_STOPPING => "if it drains, agentctl status tells what it waits for, and \
             agentctl shutdown ends it at once (agents go on): the next daemon takes new tasks"
            .to_owned(),
        reason::NOT_PERMITTED => "only the daemon's own user may do this".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
