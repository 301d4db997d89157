//! Outcomes and failure reasons: how an attempt or a task ended for its user,
//! and the classified cause.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How it ended for its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Every sign says that the agent did its work.
    Succeeded,
    /// The agent, its configuration or a limit ended it.
    Failed,
    /// A person ended it.
    Cancelled,
    /// The daemon's or the machine's side ended it, and no retry is left.
    Interrupted,
    /// The agent itself declined.
    Aborted,
}

impl Outcome {
    /// The word in the command line, JSON and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Aborted => "aborted",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which side a failure belongs to. It decides what happens next by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The daemon's or the machine's side: retried.
    Infrastructure,
    /// git or the file system: not retried unless asked for.
    Workspace,
    /// The agent, or how it is configured: not retried.
    Agent,
    /// A limit that the operator set: not retried.
    Limit,
    /// A person.
    Person,
}

impl Class {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Infrastructure => "infrastructure",
            Self::Workspace => "workspace",
            Self::Agent => "agent",
            Self::Limit => "limit",
            Self::Person => "person",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $class:ident;)*) => {
        /// The classified cause of a failure.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum FailureReason {
            $($(#[$doc])* $name,)*
        }

        impl FailureReason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word in the command line, JSON and documents.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Which side it belongs to.
            #[must_use]
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }
        }
    };
}

// The order is that of the stored form: new ones go to the end.
reasons! {
    /// The runner died and left no result.
    RunnerLost = "runner_lost", Infrastructure;
    /// The machine was restarted under it.
    HostRebooted = "host_rebooted", Infrastructure;
    /// The runner or the agent's process could not be started.
    SpawnFailed = "spawn_failed", Infrastructure;
    /// It was not started in time.
    StartTimeout = "start_timeout", Infrastructure;
    /// The attempt took longer than its limit.
    Timeout = "timeout", Infrastructure;
    /// The worktree or directory could not be made.
    WorkspaceFailed = "workspace_failed", Workspace;
    /// The repository is not there.
    RepoMissing = "repo_missing", Workspace;
    /// The agent said so with its exit.
    AgentError = "agent_error", Agent;
    /// The agent's program was not found or may not be run.
    AgentMissing = "agent_missing", Agent;
    /// A person asked for it.
    Cancelled = "cancelled", Person;
    /// A newer task of its key took its place.
    Superseded = "superseded", Person;
    /// The agent did nothing for as long as it may.
    Idle = "idle", Infrastructure;
    /// It waited in the queue for as long as it may.
    QueueExpired = "queue_expired", Limit;
    /// The agent failed after the kernel had killed it, or a process of it,
    /// because memory ran out.
    OomKilled = "oom_killed", Limit;
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a run looks to the adapter of its agent: the outcome that its exit and
/// its output add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// For its user.
    pub outcome: Outcome,
    /// The cause; none for a success.
    pub reason: Option<FailureReason>,
    /// One line for a person, for example "exit code 3".
    pub message: String,
}
