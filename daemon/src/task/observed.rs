//! What an agent lets its supervisors know while it runs.
//!
//! It comes in two ways: the runner reads it from what the agent prints, and
//! the agent says it itself with `agentctl report`. Both tell the state of
//! things, not what has changed, so that anything may be told twice; they are
//! kept apart, so that neither undoes what the other has said.

use serde::{Deserialize, Serialize};

use super::{
    id::Timestamp,
    limits::{MAX_MESSAGE, clip},
    reason::FailureReason,
    usage::Usage,
};

/// Longest id of a session, bytes.
pub const MAX_SESSION: usize = 200;
/// After so many entries of the journal of what an attempt has said, more are
/// made only for what it has never said, and for figures that have grown by a
/// sixteenth. The rest is dropped: row and journal change together.
pub const MAX_NEWS: u32 = 1000;
/// What an agent may say that keeps it from its work. The other reasons are
/// found out about it, not by it.
pub const FAULTS: &[FailureReason] = &[
    FailureReason::AgentError,
    FailureReason::ProviderUnreachable,
    FailureReason::SessionLost,
    FailureReason::ContextOverflow,
    FailureReason::SessionPoisoned,
    FailureReason::AuthFailed,
    FailureReason::InvalidModel,
    FailureReason::PermissionBlocked,
];

/// What is known of an agent's run beyond its process. All of it is the newest
/// that was said.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Observed {
    /// The session that it works in, by the agent's own name for it.
    pub session: Option<String>,
    /// The session that it was to resume and did not know: it went on with a
    /// fresh one.
    pub session_gone: Option<String>,
    /// What the attempt has used so far.
    pub usage: Option<Usage>,
    /// The model that answers.
    pub model: Option<String>,
    /// What it is doing, in one line.
    pub progress: Option<String>,
    /// Its account may do nothing for a while.
    pub limited: Option<Limited>,
    /// Why it cannot do its work.
    pub fault: Option<Fault>,
    /// It declines the task, for this reason.
    pub declined: Option<String>,
    /// It says of itself that it did its work, or did not.
    pub claim: Option<Claim>,
}

/// The limit of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limited {
    /// `RateLimited` or `UsageLimit`.
    pub reason: FailureReason,
    /// When it is over, as the provider says.
    pub until: Option<Timestamp>,
    /// The provider's words, in one line.
    pub message: String,
}

/// What keeps an agent from its work.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fault {
    /// The cause.
    pub reason: FailureReason,
    /// The agent's words, in one line.
    pub message: String,
}

/// What an agent says of its own work.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// It was done.
    pub done: bool,
    /// Its last words, in one line.
    pub message: String,
}

impl Observed {
    /// Takes what was said later: where that says nothing, this stays. What was
    /// said before a fresh start is void.
    pub fn take(&mut self, later: Self) {
        if later.session_gone.is_some() && later.session_gone != self.session_gone {
            *self = Self::default();
        }
        let Self {
            session,
            session_gone,
            usage,
            model,
            progress,
            limited,
            fault,
            declined,
            claim,
        } = later;
        self.session = session.or(self.session.take());
        self.session_gone = session_gone.or(self.session_gone.take());
        self.usage = usage.or(self.usage.take());
        self.model = model.or(self.model.take());
        self.progress = progress.or(self.progress.take());
        self.limited = limited.or(self.limited.take());
        self.fault = fault.or(self.fault.take());
        self.declined = declined.or(self.declined.take());
        self.claim = claim.or(self.claim.take());
    }

    /// The same with every text in its bounds: one line, and not too long.
    #[must_use]
    pub fn bounded(self) -> Self {
        let line = |text: String| clip(&text.replace(char::is_control, " "), MAX_MESSAGE);
        Self {
            session: self.session.filter(|id| is_session(id)),
            session_gone: self.session_gone.filter(|id| is_session(id)),
            usage: self.usage,
            model: self.model.map(line),
            progress: self.progress.map(line),
            limited: self.limited.map(|limited| Limited {
                message: line(limited.message),
                ..limited
            }),
            fault: self.fault.map(|fault| Fault {
                message: line(fault.message),
                ..fault
            }),
            declined: self.declined.map(line),
            claim: self.claim.map(|claim| Claim {
                message: line(claim.message),
                ..claim
            }),
        }
    }
}

/// Whether this can be the id of a session: it goes into command lines,
/// variables and paths.
#[must_use]
pub fn is_session(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@+=".contains(&byte);
    (1..=MAX_SESSION).contains(&id.len()) && id.bytes().all(plain) && !id.starts_with(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_stays_until_something_else_is() {
        let mut observed = Observed {
            session: Some("a".to_owned()),
            progress: Some("half".to_owned()),
            ..Observed::default()
        };
        observed.take(Observed {
            progress: Some("all".to_owned()),
            ..Observed::default()
        });
        assert_eq!(observed.session.as_deref(), Some("a"));
        assert_eq!(observed.progress.as_deref(), Some("all"));
    }

    #[test]
    fn what_was_said_before_a_fresh_start_is_void() {
        let mut observed = Observed {
            session: Some("a".to_owned()),
            fault: Some(Fault {
                reason: FailureReason::SessionLost,
                message: "no such session".to_owned(),
            }),
            ..Observed::default()
        };
        let afresh = Observed {
            session_gone: Some("a".to_owned()),
            ..Observed::default()
        };
        observed.take(afresh.clone());
        assert_eq!(observed, afresh);
        let pinned = Observed {
            session: Some("b".to_owned()),
            ..afresh
        };
        observed.take(pinned.clone());
        observed.take(Observed::default());
        assert_eq!(observed, pinned);
    }

    #[test]
    fn ids_of_sessions_are_safe_in_paths_and_command_lines() {
        for good in ["a", "0199-aB", "ses_1.x", "urn:x@y+z="] {
            assert!(is_session(good), "{good}");
        }
        let long = "x".repeat(MAX_SESSION + 1);
        for bad in [
            "",
            "-r",
            "..",
            ".x",
            "a/b",
            "a b",
            "a\n",
            "ä",
            long.as_str(),
        ] {
            assert!(!is_session(bad), "{bad}");
        }
    }

    #[test]
    fn texts_are_lines() {
        let observed = Observed {
            session: Some("../x".to_owned()),
            declined: Some("a\nb".to_owned()),
            progress: Some("x".repeat(2 * MAX_MESSAGE)),
            ..Observed::default()
        };
        let bounded = observed.bounded();
        assert_eq!(bounded.session, None);
        assert_eq!(bounded.declined.as_deref(), Some("a b"));
        assert!(
            bounded
                .progress
                .is_some_and(|text| text.len() <= MAX_MESSAGE)
        );
    }
}
