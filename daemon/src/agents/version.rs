//! Which versions of their programs the drivers work with.
//!
//! Only what is known not to work is too old. A version that nobody has tried is
//! no reason to refuse it.

use crate::task::spec::AgentType;

/// Numbers of a version, most significant first.
type Version = [u64; 3];

/// What a driver needs of its program.
struct Needs {
    /// The first version that works.
    least: Version,
    /// What earlier ones do instead.
    before: &'static str,
    /// What a person runs to get a newer one.
    upgrade: &'static str,
}

/// A program that its driver does not work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooOld {
    /// Which one was found, which one is needed, and why.
    pub(super) what: String,
    /// The command that mends it.
    pub(super) upgrade: &'static str,
}

/// `None` for programs without a driver.
fn needs(agent_type: AgentType) -> Option<Needs> {
    match agent_type {
        AgentType::Command => None,
        // Seen with both: `--resume` with 1.0.123 answers under a new
        // `session_id`, with 1.0.124 under that of the conversation.
        AgentType::Claude => Some(Needs {
            least: [1, 0, 124],
            before: "gives a conversation that is resumed another id",
            upgrade: "npm install -g @anthropic-ai/claude-code@latest",
        }),
        AgentType::Codex => Some(Needs {
            least: [0, 44, 0],
            before: "prints other events, without the id of its conversation",
            upgrade: "npm install -g @openai/codex@latest",
        }),
        AgentType::Gemini => Some(Needs {
            least: [0, 41, 0],
            before: "has no --session-id",
            upgrade: "npm install -g @google/gemini-cli@latest",
        }),
        AgentType::Opencode => Some(Needs {
            least: [1, 17, 12],
            before: "has no --auto and waits for permissions that nobody gives",
            upgrade: "npm install -g opencode-ai@latest",
        }),
    }
}

/// What a program says of its version, held against what its driver needs. One
/// that cannot be understood is not refused.
pub(super) fn too_old(agent_type: AgentType, said: &str) -> Option<TooOld> {
    let Needs {
        least,
        before,
        upgrade,
    } = needs(agent_type)?;
    let found = version(said)?;
    (found < least).then(|| TooOld {
        what: format!(
            "version {} of {} is too old: it {before}; agentd needs {}",
            text(found),
            agent_type.as_str(),
            text(least)
        ),
        upgrade,
    })
}

fn text([major, minor, patch]: Version) -> String {
    format!("{major}.{minor}.{patch}")
}

/// The first word that is a version: `2.1.329 (Claude Code)`, `codex-cli 0.169.0`.
fn version(said: &str) -> Option<Version> {
    said.split_whitespace().find_map(|word| {
        let word = word.strip_prefix('v').unwrap_or(word);
        // What follows the numbers names a build or a preview of that version.
        let numbers = word.split(['-', '+']).next()?;
        let mut parts = numbers.split('.').map(|part| part.parse().ok());
        let version = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_say() {
        for (said, expected) in [
            ("2.1.329 (Claude Code)", Some([2, 1, 329])),
            ("codex-cli 0.169.0", Some([0, 169, 0])),
            ("v1.18.33", Some([1, 18, 33])),
            ("0.61.0-nightly.20261120", Some([0, 61, 0])),
            ("1.2", None),
            ("1.2.3.4", None),
            ("127.0.0.x", None),
            ("99999999999999999999.0.0", None),
            ("", None),
        ] {
            assert_eq!(version(said), expected, "{said}");
        }
    }

    #[test]
    fn only_what_is_known_not_to_work_is_refused() {
        for (agent_type, works, fails) in [
            (AgentType::Claude, "1.0.124 (Claude Code)", "1.0.123"),
            (AgentType::Codex, "codex-cli 0.44.0", "codex-cli 0.43.9"),
            (AgentType::Gemini, "0.41.0", "0.40.12"),
            (AgentType::Opencode, "1.17.12", "1.17.11"),
        ] {
            assert_eq!(too_old(agent_type, works), None, "{works}");
            assert_eq!(too_old(agent_type, "a fork of mine"), None);
            let refused = too_old(agent_type, fails).unwrap();
            let needed = version(works).unwrap();
            assert!(refused.what.contains(&text(version(fails).unwrap())));
            assert!(refused.what.ends_with(&text(needed)), "{refused:?}");
            assert!(refused.upgrade.starts_with("npm install"), "{refused:?}");
        }
        assert_eq!(too_old(AgentType::Command, "0.0.1"), None);
    }
}
