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
    /// The agent's account may do nothing for a while: it waits, and neither
    /// an attempt nor a slot is spent on that.
    Quota,
    /// The agent's conversation is of no use any more: one retry without it.
    Session,
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
            Self::Quota => "quota",
            Self::Session => "session",
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
    /// The provider of the model could not be reached, or had no capacity.
    ProviderUnreachable = "provider_unreachable", Infrastructure;
    /// The provider takes no more requests for a while.
    RateLimited = "rate_limited", Quota;
    /// What the account may use in a period is used up.
    UsageLimit = "usage_limit", Quota;
    /// The agent does not know the conversation that it was to resume.
    SessionLost = "session_lost", Session;
    /// The conversation does not fit into the model any more.
    ContextOverflow = "context_overflow", Session;
    /// The provider refuses the conversation as it is.
    SessionPoisoned = "session_poisoned", Session;
    /// The agent is not logged in, or its key is not accepted.
    AuthFailed = "auth_failed", Agent;
    /// The provider does not know the model.
    InvalidModel = "invalid_model", Agent;
    /// The agent may not do what it has to.
    PermissionBlocked = "permission_blocked", Agent;
    /// A budget of the lineage is used up.
    BudgetExceeded = "budget_exceeded", Limit;
    /// A task that it was to follow did not end as it had to.
    DependencyFailed = "dependency_failed", Limit;
    /// Its issue was closed before it was started.
    IssueClosed = "issue_closed", Person;
    /// The service manager ended it: its scope, its slice or its user's session.
    ScopeStopped = "scope_stopped", Infrastructure;
}

impl FailureReason {
    /// The reason of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == word)
    }

    /// Whether `retry_on` may name it: what a person or a limit has ended is
    /// not begun again by itself.
    #[must_use]
    pub fn may_be_retried(self) -> bool {
        match self.class() {
            Class::Infrastructure
            | Class::Workspace
            | Class::Quota
            | Class::Session
            | Class::Agent => true,
            Class::Limit => self == Self::OomKilled,
            Class::Person => false,
        }
    }
}

/// A set of failure reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reasons(u64);

impl Reasons {
    /// Whether it holds this one.
    #[must_use]
    pub fn contains(self, reason: FailureReason) -> bool {
        self.0 & (1 << reason as u32) != 0
    }

    /// Those that it holds, in their order.
    pub fn iter(self) -> impl Iterator<Item = FailureReason> {
        let all = FailureReason::ALL.iter().copied();
        all.filter(move |reason| self.contains(*reason))
    }
}

impl FromIterator<FailureReason> for Reasons {
    fn from_iter<I: IntoIterator<Item = FailureReason>>(reasons: I) -> Self {
        let bits = reasons.into_iter().map(|reason| 1 << reason as u32);
        Self(bits.fold(0, |all, bit: u64| all | bit))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let reasons = [FailureReason::Idle, FailureReason::IssueClosed];
        let set: Reasons = reasons.into_iter().collect();
        assert!(set.iter().eq(reasons));
        assert!(!set.contains(FailureReason::Timeout));
        let all: Reasons = FailureReason::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), FailureReason::ALL.len());
    }

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        for reason in FailureReason::ALL {
            assert_eq!(FailureReason::of_word(reason.as_str()), Some(*reason));
        }
        assert_eq!(FailureReason::of_word("no"), None);
    }
}
