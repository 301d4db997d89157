//! One execution of a task, and what the kernel said of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    budget::Spend,
    id::{AttemptId, Incarnation, Nonce, Timestamp},
    moment::Moment,
    observed::Observed,
    reason::{FailureReason, Outcome},
    retry::is_parked,
    session::Given,
};

/// Names one process for ever: a pid is used again, these three together not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: u32,
    /// When it began, clock ticks after boot: field 22 of `/proc/PID/stat`
    /// (proc(5)).
    pub start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// It is in the store; a runner may be on its way.
    Claimed,
    /// A runner has shown its nonce and its identity is durable.
    Registered,
    /// The agent has been started.
    Running,
    /// It has ended.
    Ended,
}

impl Phase {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Registered => "registered",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal {
        /// Its number.
        number: i32,
        /// A core was dumped.
        core: bool,
    },
}

/// What the kernel said of the agent's process and its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exit {
    /// How the agent's own process ended.
    pub status: Status,
    /// User CPU time of the whole tree, milliseconds.
    pub user_cpu: u64,
    /// System CPU time of the whole tree, milliseconds.
    pub system_cpu: u64,
    /// Largest resident set of one process of the tree, bytes.
    pub peak_memory: u64,
    /// The kernel killed a process of the tree because the memory that the tree
    /// may have, or the machine has, was used up. Known only with a control
    /// group that counts memory.
    #[serde(default)]
    pub oom_killed: bool,
}

/// What a runner reports once nothing of its tree is left.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunResult {
    /// What became of the agent.
    pub run: Run,
    /// When the last process was gone.
    pub ended_at: Timestamp,
    /// Processes that survived every kill; 0 unless something is very wrong.
    pub left_over: u32,
    /// The agent's main process ended before the runner asked it to, or killed
    /// it: what it reached is its own. Runners of before did not say so.
    #[serde(default)]
    pub by_itself: bool,
    /// It had said its last word and did not end, so that the runner ended it;
    /// what its process ended with says nothing then.
    #[serde(default)]
    pub lingered: bool,
    /// What was read from what the agent printed.
    #[serde(default)]
    pub observed: Box<Observed>,
}

/// What became of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Run {
    /// It was stopped before it was started.
    NotStarted,
    /// It could not be started.
    SpawnFailed {
        /// The system's own words.
        message: String,
        /// The program is not there or may not be run.
        missing: bool,
    },
    /// What the repository is set up with did not do its work, so no agent was
    /// started.
    SetupFailed {
        /// Which command, how it ended, and what shows more.
        message: String,
    },
    /// It ran and ended.
    Exited {
        /// When it was started.
        started_at: Timestamp,
        /// What the kernel said.
        exit: Exit,
    },
}

/// How an attempt or a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ending {
    /// For its user.
    pub outcome: Outcome,
    /// The cause; none for a success.
    pub reason: Option<FailureReason>,
    /// One line for a person.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// The directory in which the agent works.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Workspace {
    /// An absolute path.
    pub path: PathBuf,
    /// The branch that is checked out there, if it is a worktree.
    pub branch: Option<String>,
    /// The commit that the attempt found checked out, if there is one.
    #[serde(default)]
    pub head: Option<String>,
    /// The commit in which is recorded what it found uncommitted there; none
    /// if nothing was.
    #[serde(default)]
    pub found: Option<String>,
}

impl Workspace {
    /// A place of which nothing else is known yet.
    #[must_use]
    pub fn at(path: PathBuf, branch: Option<String>) -> Self {
        Self {
            path,
            branch,
            head: None,
            found: None,
        }
    }
}

/// What an attempt did to its workspace, and what it left there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Changes {
    /// The commit that was checked out at its end, if there was one.
    pub head: Option<String>,
    /// Commits that this one has and the one that it found has not.
    pub commits: u32,
    /// Files that are not as it found them, committed or not.
    pub files: u32,
    /// Files that are not as they were committed, new ones included.
    pub uncommitted: u32,
    /// Commits that no remote of the repository is known to have; none if it
    /// has no remote.
    pub unpushed: Option<u32>,
    /// Files with a conflict.
    pub conflicts: u32,
    /// The ref that holds what is uncommitted; none if nothing is.
    pub recorded: Option<String>,
    /// What that does not hold, for a person; empty if it holds all of it.
    pub left_out: String,
}

/// One execution of a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// Its name.
    pub id: AttemptId,
    /// The incarnation that claimed it.
    pub epoch: Incarnation,
    /// The secret of its runner.
    pub nonce: Nonce,
    /// The boot in which it was claimed.
    pub boot_id: String,
    /// How far it has come.
    pub phase: Phase,
    /// Where the agent works, once that is made.
    pub workspace: Option<Workspace>,
    /// Which session it goes on with, and why.
    pub given: Given,
    /// Its runner, once registered.
    pub runner: Option<ProcessIdentity>,
    /// The agent's own process, once started.
    pub agent: Option<ProcessIdentity>,
    /// When it was claimed.
    pub claimed_at: Moment,
    /// When its workspace was ready.
    #[serde(default)]
    pub prepared_at: Option<Moment>,
    /// When the agent was started.
    pub started_at: Option<Moment>,
    /// What its runner read from what the agent printed.
    pub observed: Observed,
    /// What the agent said itself.
    pub reported: Observed,
    /// How often something was new of it.
    pub news: u32,
    /// What the kernel said of the agent.
    pub exit: Option<Exit>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// The account that its agent works on; empty: nobody noted it.
    pub account: String,
    /// What its lineage had spent of its budgets when it was claimed.
    pub before: Spend,
    /// How long the agent ran, milliseconds; 0 until it has ended.
    pub ran: u64,
    /// What it did to its workspace. Found out after its end; none before that,
    /// without a repository, or if it could not be found out.
    #[serde(default)]
    pub changes: Option<Changes>,
    /// When it was decided that what the agent wrote goes; none: it is there.
    #[serde(default)]
    pub pruned_at: Option<Timestamp>,
}

impl Attempt {
    /// The attempt with what it left in its workspace: known only of one that
    /// has ended, and said once.
    #[must_use]
    pub fn with_changes(&self, changes: Changes) -> Option<Self> {
        let is_due = self.phase == Phase::Ended && self.changes.is_none();
        is_due.then(|| Self {
            changes: Some(changes),
            ..self.clone()
        })
    }

    /// It left everything as it was.
    #[must_use]
    pub fn changed_nothing(&self) -> bool {
        let found = self.workspace.as_ref().and_then(|w| w.head.as_ref());
        let same = |changes: &Changes| changes.files == 0 && changes.head.as_ref() == found;
        self.changes.as_ref().is_some_and(same)
    }
}

impl Attempt {
    /// What it has used. Only one that has ended counts as an attempt, and not
    /// if it met the limit of its account or no agent was started for it.
    #[must_use]
    pub fn spend(&self) -> Spend {
        let usage = self.known().usage.unwrap_or_default();
        let counts = self.ending.as_ref().is_some_and(|ending| {
            ending.outcome != Outcome::Interrupted && !ending.reason.is_some_and(is_parked)
        });
        Spend {
            cost: usage.cost.unwrap_or(0),
            tokens: usage.tokens(),
            wall: self.ran,
            attempts: counts.into(),
        }
    }

    /// What its lineage has used of its budgets.
    #[must_use]
    pub fn total(&self) -> Spend {
        self.before.plus(self.spend())
    }

    /// All that is known of the agent's run: what it said itself, and where it
    /// said nothing, what was read from what it printed.
    #[must_use]
    pub fn known(&self) -> Observed {
        let mut known = self.observed.clone();
        known.take(self.reported.clone());
        known
    }
}
