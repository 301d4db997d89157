//! What was asked for: everything about a task that never changes.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    budget::Spend,
    dependency::After,
    id::{TaskId, Timestamp},
    limits::Limits,
    moment::{Moment, Steady},
    retry::{Policy, Rules},
};

/// Why the task exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// A person or script submitted it.
    Manual,
    /// A person ran a finished task again.
    Rerun,
    /// A forge asked for it.
    Webhook,
    /// Its time had come.
    Schedule,
}

impl Trigger {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Rerun => "rerun",
            Self::Webhook => "webhook",
            Self::Schedule => "schedule",
        }
    }
}

/// Where the agent works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkspaceMode {
    /// A git worktree and branch of its own, reused by the tasks of a key.
    Worktree,
    /// The repository's own checkout.
    InPlace,
    /// A private, empty directory.
    None,
}

/// What becomes of what an earlier task left in its workspace. It is recorded
/// first in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum WorkspaceReuse {
    /// The next one goes on with it.
    #[default]
    Keep,
    /// What is not committed is taken away.
    Reset,
    /// The branch begins anew where a new one would.
    Fresh,
}

impl WorkspaceReuse {
    /// The word in the command line and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Reset => "reset",
            Self::Fresh => "fresh",
        }
    }
}

/// Whether a repository's remote is asked for what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fetch {
    /// Yes; if that fails, the work begins with what is there, and says so.
    #[default]
    Try,
    /// Yes; if that fails, the workspace is not made.
    Require,
    /// No.
    Off,
}

impl Fetch {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Try, Self::Require, Self::Off];

    /// The word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Try => "try",
            Self::Require => "require",
            Self::Off => "off",
        }
    }
}

/// The driver of an agent's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentType {
    /// Any program.
    Command,
    /// Claude Code.
    Claude,
    /// OpenAI Codex.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// opencode.
    Opencode,
}

impl AgentType {
    /// Every type.
    pub const ALL: [Self; 5] = [
        Self::Command,
        Self::Claude,
        Self::Codex,
        Self::Gemini,
        Self::Opencode,
    ];

    /// The word in the configuration, the command line and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
        }
    }

    /// The program that is run if the configuration names no other; none for
    /// `command`, which has none of its own.
    #[must_use]
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::Command => None,
            Self::Claude | Self::Codex | Self::Gemini | Self::Opencode => Some(self.as_str()),
        }
    }
}

/// At most one task of a key is active: `(agent, repo, issue)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The agent's name.
    pub agent: String,
    /// The repository's canonical path; empty if there is none.
    pub repo: String,
    /// The issue's number or text.
    pub issue: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.agent, self.repo, self.issue)
    }
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Why the task exists.
    pub trigger: Trigger,
    /// The finished task that this one runs again.
    pub rerun_of: Option<TaskId>,
    /// The first task of the chain of reruns; `None` for that one itself.
    pub lineage: Option<TaskId>,
    /// The client's idempotency key.
    pub request_id: Option<String>,
    /// The agent's name.
    pub agent: String,
    /// Its driver.
    pub agent_type: AgentType,
    /// The model; `None` leaves it to the agent.
    pub model: Option<String>,
    /// A few words for a person.
    pub title: String,
    /// The repository's canonical path.
    pub repo: Option<PathBuf>,
    /// The issue's number or text.
    pub issue: Option<String>,
    /// Who submitted it.
    pub user: String,
    /// For people and filters.
    pub labels: BTreeMap<String, String>,
    /// Higher runs first.
    pub priority: i32,
    /// Task, agent and daemon limits in one.
    pub limits: Limits,
    /// Task, agent and daemon policy in one.
    pub retry: Policy,
    /// What its lineage had spent when a person let it spend its budgets once
    /// more: it does not count.
    pub forgiven: Spend,
    /// Where the agent works.
    pub workspace_mode: WorkspaceMode,
    /// No session of before is resumed.
    pub fresh: bool,
    /// What its first attempt does with a workspace that is there already.
    #[serde(default)]
    pub workspace_reuse: WorkspaceReuse,
    /// It is not started before; `None`: as soon as it may.
    pub not_before: Option<Moment>,
    /// The tasks that had to end first.
    pub after: Vec<After>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// The same on the clock for waiting; set when it is stored.
    pub created_steady: Option<Steady>,
}

impl TaskSpec {
    /// When it was submitted, on both clocks.
    #[must_use]
    pub fn submitted(&self) -> Moment {
        Moment {
            wall: self.created_at,
            steady: self.created_steady,
        }
    }

    /// What decides about its retries.
    #[must_use]
    pub fn retry_rules(&self) -> Rules {
        Rules {
            max_attempts: self.limits.max_attempts(),
            policy: self.retry,
            budgets: self.limits.budgets(),
        }
    }

    /// The uniqueness key. A task without an issue has none, but its reruns
    /// have their lineage for an issue (`@7`, which no issue can be called), so
    /// that asking twice does not run it twice.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        let lineage = || self.lineage.map(|first| format!("@{first}"));
        let issue = self.issue.clone().or_else(lineage)?;
        let repo = self.repo.as_ref();
        Some(Key {
            agent: self.agent.clone(),
            repo: repo.map_or_else(String::new, |path| path.to_string_lossy().into_owned()),
            issue,
        })
    }
}

/// What the agent is given to do. Kept apart from the task's row because it
/// can be large; never logged.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Payload {
    /// Goes to the agent's standard input.
    pub prompt: String,
    /// The program and its arguments, for agents without a configured one.
    pub command: Vec<String>,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("prompt_bytes", &self.prompt.len())
            .field("command_words", &self.command.len())
            .finish()
    }
}
