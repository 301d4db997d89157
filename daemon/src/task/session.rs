//! Conversations of agents, and which attempt goes on with which.
//!
//! A session is what the agent calls its conversation. The registry has a row
//! for each that an attempt worked in; [`follow`] says how a row follows the
//! attempts, and runs in the transaction that changes an attempt. So a row
//! always tells what its latest attempt taught, and nothing else brings a
//! session back that was found to be poisoned or gone.
//!
//! Which session the next attempt is given is found in two steps: [`choose`]
//! when it is claimed, by what the registry knows; [`verify`] once its workspace
//! is there, by what can be seen of the session itself.

mod registry;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::registry::{Fate, follow, touched};
use super::{
    attempt::Attempt,
    id::{AttemptId, TaskId, Timestamp},
    reason::{Class, FailureReason},
    spec::{AgentType, TaskSpec},
    state::Task,
    usage::Usage,
};

/// A directory, known by more than its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The file system's number.
    pub device: u64,
    /// The directory's number in it.
    pub inode: u64,
}

/// What is known of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// It was there when it was last heard of.
    Good,
    /// Its last attempt was interrupted: it is looked for before it is used.
    Unverified,
    /// It would fail again: it is kept, and never resumed.
    Quarantined,
    /// It is not there any more.
    Retired,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 4] = [
        Self::Good,
        Self::Unverified,
        Self::Quarantined,
        Self::Retired,
    ];

    /// The word in the command line and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unverified => "unverified",
            Self::Quarantined => "quarantined",
            Self::Retired => "retired",
        }
    }

    /// It may be resumed.
    #[must_use]
    pub fn is_usable(self) -> bool {
        match self {
            Self::Good | Self::Unverified => true,
            Self::Quarantined | Self::Retired => false,
        }
    }
}

/// A row of the registry. Its agent's name and its id are its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The agent's name for it.
    pub id: String,
    /// The agent, by the operator's name for it.
    pub agent: String,
    /// The agent's driver: another one does not know it.
    pub agent_type: AgentType,
    /// The model of its last attempt.
    pub model: Option<String>,
    /// Whose work it is about; see [`key`].
    pub key: String,
    /// Where its last attempt worked.
    pub workspace: PathBuf,
    /// The same, by more than the path.
    pub place: Option<Place>,
    /// The attempt that it came with.
    pub first: AttemptId,
    /// The last attempt that worked in it.
    pub attempt: AttemptId,
    /// The attempt that has it now: nobody else is given it meanwhile.
    pub user: Option<AttemptId>,
    /// What its attempts have used together, those that have ended.
    pub used: Usage,
    /// What is known of it.
    pub standing: Standing,
    /// Why, in one line; empty for a good one.
    pub why: String,
    /// When it was first heard of.
    pub made_at: Timestamp,
    /// When its standing changed last.
    pub changed_at: Timestamp,
}

/// What an attempt was given of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Way {
    /// None: it begins a conversation of its own.
    #[default]
    Fresh,
    /// None, since the one that was meant for it is not there any more.
    Gone,
    /// A new one, under an id that was made for it.
    Minted,
    /// One that it is to resume; not looked for yet.
    Chosen,
    /// One that it is to resume, and that was seen to be there.
    Seen,
    /// One that it is to resume; whether it is there could not be found out.
    Unseen,
}

impl Way {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Gone => "gone",
            Self::Minted => "minted",
            Self::Chosen => "chosen",
            Self::Seen => "seen",
            Self::Unseen => "unseen",
        }
    }
}

/// What an attempt was given to begin with, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Given {
    /// How.
    pub way: Way,
    /// Which session; none with [`Way::Fresh`].
    pub session: Option<String>,
    /// Why, in one line; empty if there was none to go on with.
    pub why: String,
    /// Its directory, by more than the path.
    pub place: Option<Place>,
}

impl Given {
    /// No session.
    #[must_use]
    pub fn fresh(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            ..Self::default()
        }
    }

    fn of(way: Way, session: &str, why: String) -> Self {
        Self {
            way,
            session: Some(session.to_owned()),
            why,
            place: None,
        }
    }

    /// The session that it is to resume.
    #[must_use]
    pub fn resumes(&self) -> Option<&str> {
        match self.way {
            Way::Chosen | Way::Seen | Way::Unseen => self.session.as_deref(),
            Way::Fresh | Way::Gone | Way::Minted => None,
        }
    }

    /// The same attempt without the session, which it did not find.
    #[must_use]
    pub fn lost(&self) -> Self {
        Self {
            way: Way::Gone,
            why: "the agent did not know it".to_owned(),
            ..self.clone()
        }
    }

    /// A new session under this id, if it was given none to resume. One whose
    /// session is gone keeps the name of that, by which it is retired and the
    /// agent told: which one it begins instead it says itself.
    #[must_use]
    pub fn minted(self, id: impl FnOnce() -> String) -> Self {
        match self.way {
            Way::Fresh => Self {
                way: Way::Minted,
                session: Some(id()),
                ..self
            },
            Way::Gone | Way::Minted | Way::Chosen | Way::Seen | Way::Unseen => self,
        }
    }
}

/// Whether a session is there, as far as can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// It is.
    Present,
    /// It is not.
    Absent,
    /// That cannot be found out.
    Unknown,
}

/// Whose work a session is about: the task's key, and of a task without one
/// its lineage, as its reruns have it.
#[must_use]
pub fn key(task: TaskId, spec: &TaskSpec) -> String {
    let issue = spec.issue.clone();
    let issue = issue.unwrap_or_else(|| format!("@{}", spec.lineage.unwrap_or(task)));
    let repo = spec.repo.as_ref().map(|path| path.to_string_lossy());
    format!("{}:{}:{issue}", spec.agent, repo.unwrap_or_default())
}

/// What [`choose`] looks at.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The task that gets an attempt.
    pub task: &'a Task,
    /// Its last attempt; before its first the last one of the task that it runs
    /// again.
    pub before: Option<&'a Attempt>,
    /// What the registry says of the session of that one.
    pub of_before: Option<&'a Session>,
    /// The sessions of its key, newest first.
    pub of_key: &'a [Session],
}

/// The session that an attempt worked in, as the agent said or as it was given.
#[must_use]
pub fn of_attempt(attempt: &Attempt) -> Option<String> {
    let known = attempt.known();
    let gone = known.session_gone;
    let given = attempt.given.session.clone();
    let given = given.filter(|id| attempt.given.way != Way::Gone && Some(id) != gone.as_ref());
    known.session.or(given)
}

/// Which session the next attempt is to resume, if any, and why.
///
/// That of the attempt before it goes first, then the newest usable one of the
/// key. A task that is to begin afresh goes on with its own sessions only, and
/// one whose session has failed with those that came after that.
#[must_use]
pub fn choose(question: Question<'_>) -> Given {
    let Question {
        task,
        before,
        of_before,
        of_key,
    } = question;
    let own = before.is_some_and(|before| before.id.task == task.id);
    if task.spec.fresh && !own {
        return Given::fresh("it was asked for without a session");
    }
    let id = before.and_then(of_attempt);
    let mut passed = None;
    if let (Some(before), Some(id)) = (before, &id) {
        let from = format!("session {id} of attempt {}", before.id);
        match of_before.map(|row| unusable(row, task)) {
            Some(None) => return Given::of(Way::Chosen, id, format!("goes on with {from}")),
            Some(Some(why)) => passed = Some(format!("{from} is not used: {why}")),
            None => passed = Some(format!("{from} is not in the registry any more")),
        }
    }
    let failed = before.and_then(|before| before.ending.as_ref()?.reason);
    let failed = own && failed.is_some_and(|reason| reason.class() == Class::Session);
    let begins_anew = task.spec.fresh || failed || task.session_failures > 0;
    for row in of_key.iter().filter(|_| !begins_anew) {
        let from = format!("session {} of attempt {}", row.id, row.attempt);
        match unusable(row, task) {
            None => {
                let why = format!("goes on with {from}, the newest of {}", row.key);
                return Given::of(Way::Chosen, &row.id, why);
            }
            Some(why) => {
                passed.get_or_insert_with(|| format!("{from} is not used: {why}"));
            }
        }
    }
    // Where there is none, and for agents that have none, nothing is to be said.
    Given::fresh(passed.unwrap_or_default())
}

/// Why a task cannot go on with a session; `None` if it can.
fn unusable(row: &Session, task: &Task) -> Option<String> {
    if !row.standing.is_usable() {
        return Some(format!("{}: {}", row.standing.as_str(), row.why));
    }
    if let Some(user) = row.user {
        return Some(format!("attempt {user} works in it"));
    }
    if row.agent != task.spec.agent {
        return Some(format!("it is of agent {}", row.agent));
    }
    other_type(row, task.spec.agent_type)
}

fn other_type(row: &Session, agent_type: AgentType) -> Option<String> {
    let other = row.agent_type;
    (other != agent_type).then(|| format!("it is of an agent of type {}", other.as_str()))
}

/// What a chosen session turns out to be, now that the workspace is there.
/// Doubt is no reason to drop it; only what is known to be otherwise is.
#[must_use]
pub fn verify(
    given: Given,
    row: Option<&Session>,
    agent_type: AgentType,
    (path, place): (&Path, Option<Place>),
    probe: impl FnOnce() -> Probe,
) -> Given {
    let given = Given { place, ..given };
    let Some(id) = given.resumes().map(str::to_owned) else {
        return given;
    };
    let fresh = |why: String| Given {
        place,
        ..Given::fresh(format!("session {id} is not used: {why}"))
    };
    let Some(row) = row else {
        return fresh("it is not in the registry any more".to_owned());
    };
    if let Some(why) = other_type(row, agent_type) {
        return fresh(why);
    }
    let moved = match (row.place, place) {
        (Some(before), Some(now)) => before != now,
        (None, _) | (_, None) => row.workspace != path,
    };
    if moved {
        let from = row.workspace.display();
        return fresh(format!(
            "it belongs to the directory that was {from} during attempt {}, which is not this one",
            row.attempt
        ));
    }
    match probe() {
        Probe::Present => Given {
            way: Way::Seen,
            ..given
        },
        Probe::Unknown => Given {
            way: Way::Unseen,
            ..given
        },
        Probe::Absent => Given {
            way: Way::Gone,
            why: format!("session {id} is not there any more"),
            ..given
        },
    }
}

/// What the end of an attempt teaches of the session that it worked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lesson {
    /// It would fail again.
    Poisoned,
    /// The agent does not know it.
    Lost,
    /// Nobody knows how it was left.
    Interrupted,
    /// It was left by the agent itself.
    Left,
}

/// Limits of turns and requests that a provider refuses as they are come as
/// [`FailureReason::SessionPoisoned`].
fn lesson(reason: FailureReason) -> Lesson {
    match reason {
        FailureReason::ContextOverflow | FailureReason::SessionPoisoned => Lesson::Poisoned,
        FailureReason::SessionLost => Lesson::Lost,
        FailureReason::RunnerLost
        | FailureReason::HostRebooted
        | FailureReason::ScopeStopped
        | FailureReason::StartTimeout
        | FailureReason::Timeout
        | FailureReason::Idle
        | FailureReason::OomKilled
        | FailureReason::Cancelled
        | FailureReason::Superseded => Lesson::Interrupted,
        FailureReason::SpawnFailed
        | FailureReason::WorkspaceFailed
        | FailureReason::RepoMissing
        | FailureReason::AgentError
        | FailureReason::AgentMissing
        | FailureReason::QueueExpired
        | FailureReason::ProviderUnreachable
        | FailureReason::RateLimited
        | FailureReason::UsageLimit
        | FailureReason::AuthFailed
        | FailureReason::InvalidModel
        | FailureReason::PermissionBlocked
        | FailureReason::BudgetExceeded
        | FailureReason::DependencyFailed
        | FailureReason::IssueClosed => Lesson::Left,
    }
}
