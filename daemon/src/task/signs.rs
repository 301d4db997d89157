//! What a program that knows nothing of agentd may be read for: rules that the
//! operator writes, each for one sign.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reason::FailureReason;

/// How the output of such a program is read. Without any, it is not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// Regular expressions for whole lines, of both outputs.
    pub patterns: BTreeMap<Sign, String>,
    /// JSON pointers into those lines of the standard output that are objects.
    pub keys: BTreeMap<Key, String>,
    /// The figures at the keys are those of one step each, and are added up;
    /// otherwise they are totals of the run.
    pub adds_up: bool,
}

impl Rules {
    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty() && self.keys.is_empty()
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $kind:ident: $($(#[$of:meta])* $name:ident = $word:literal,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $kind {
            $($(#[$of])* $name,)*
        }

        impl $kind {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word in the configuration.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

words! {
    /// What a line that matches says.
    Sign:
    /// The session, which the first group names.
    Session = "session",
    /// The model, which the first group names.
    Model = "model",
    /// What it does: the first group, or the line.
    Progress = "progress",
    /// The account's limit is reached; the first group says when it is over.
    Limited = "limited",
    /// Too many requests; the first group says when more are taken.
    RateLimited = "rate_limited",
    /// It declines: the first group says why, or the line.
    Declined = "declined",
    /// The session that it was to resume is not known.
    SessionLost = "session_lost",
    /// The conversation is too long.
    ContextOverflow = "context_overflow",
    /// The conversation is broken.
    SessionPoisoned = "session_poisoned",
    /// Its credentials are refused.
    AuthFailed = "auth_failed",
    /// There is no such model for it.
    InvalidModel = "invalid_model",
    /// It may not do what it must.
    PermissionBlocked = "permission_blocked",
    /// Its provider cannot be reached.
    ProviderUnreachable = "provider_unreachable",
}

words! {
    /// What a value of a line is.
    Key:
    /// The session.
    Session = "session",
    /// The model.
    Model = "model",
    /// What it does.
    Progress = "progress",
    /// Tokens that were read.
    Input = "input",
    /// Tokens that were written.
    Output = "output",
    /// Tokens that came from a cache.
    Cached = "cached",
    /// Answers of the model.
    Turns = "turns",
    /// Money, US dollars.
    CostUsd = "cost_usd",
}

impl Sign {
    /// The cause that it names, if it names one.
    #[must_use]
    pub fn fault(self) -> Option<FailureReason> {
        match self {
            Self::Session | Self::Model | Self::Progress | Self::Declined => None,
            Self::Limited | Self::RateLimited => None,
            Self::SessionLost => Some(FailureReason::SessionLost),
            Self::ContextOverflow => Some(FailureReason::ContextOverflow),
            Self::SessionPoisoned => Some(FailureReason::SessionPoisoned),
            Self::AuthFailed => Some(FailureReason::AuthFailed),
            Self::InvalidModel => Some(FailureReason::InvalidModel),
            Self::PermissionBlocked => Some(FailureReason::PermissionBlocked),
            Self::ProviderUnreachable => Some(FailureReason::ProviderUnreachable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_called_as_its_reason() {
        for sign in Sign::ALL {
            let reason = sign.fault();
            assert!(reason.is_none_or(|reason| reason.as_str() == sign.as_str()));
        }
    }

    #[test]
    fn rules_are_the_same_words_in_files() {
        let patterns = Sign::ALL.iter().map(|sign| (*sign, "x".to_owned()));
        let keys = Key::ALL.iter().map(|key| (*key, "/x".to_owned()));
        let rules = Rules {
            patterns: patterns.collect(),
            keys: keys.collect(),
            adds_up: true,
        };
        let text = serde_json::to_value(&rules).unwrap();
        for sign in Sign::ALL {
            assert_eq!(text["patterns"][sign.as_str()], "x");
        }
        for key in Key::ALL {
            assert_eq!(text["keys"][key.as_str()], "/x");
        }
        assert_eq!(serde_json::from_value::<Rules>(text).unwrap(), rules);
    }
}
