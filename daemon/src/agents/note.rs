//! What an agent is told of what came before it.

use crate::task::{
    attempt::Attempt,
    session::{Given, Way},
    usage::Usage,
};

/// What came before an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// The attempt whose work it takes up: the one before it, or the last one
    /// of the task that it runs again or whose session it has.
    pub before: Option<Attempt>,
    /// The workspace holds work that is not committed; `None`: nobody knows, or
    /// it is no git checkout.
    pub uncommitted: Option<bool>,
    /// What was used in the session that it is to resume, if it is to.
    pub used: Usage,
}

/// A few sentences for the agent; `None` if there is nothing that it does not
/// know anyway.
#[must_use]
pub fn note(given: &Given, told: &Told) -> Option<String> {
    let session = given.session.as_deref().unwrap_or_default();
    let conversation = match given.way {
        Way::Chosen | Way::Seen | Way::Unseen => Some(format!(
            "You go on in your earlier conversation ({session})."
        )),
        Way::Gone => Some(format!(
            "Your earlier conversation ({session}) is gone: this is a new one, \
             and nothing of what was said there is known to you."
        )),
        Way::Fresh | Way::Minted => told.before.as_ref().map(|_| {
            "This is a new conversation: you know nothing of what was said in earlier ones."
                .to_owned()
        }),
    };
    let before = told.before.as_ref().map(ended);
    let workspace = match told.uncommitted {
        Some(true) => Some(
            "The workspace holds work that is not committed: look at it before you go on."
                .to_owned(),
        ),
        Some(false) if conversation.is_some() => {
            Some("The workspace holds no uncommitted work.".to_owned())
        }
        Some(false) | None => None,
    };
    let parts = [conversation, before, workspace];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn ended(before: &Attempt) -> String {
    let id = before.id;
    let Some(ending) = &before.ending else {
        return format!("Attempt {id} before this one has not ended.");
    };
    let reason = ending.reason.map(|reason| format!(" ({reason})"));
    let (outcome, reason) = (ending.outcome, reason.unwrap_or_default());
    let message = ending.message.replace(char::is_control, " ");
    match message.as_str() {
        "" => format!("Attempt {id} before this one {outcome}{reason}."),
        message => format!("Attempt {id} before this one: {outcome}{reason}: {message}."),
    }
}

/// The prompt with the note before it.
pub(super) fn before_prompt(note: Option<&str>, prompt: &str) -> String {
    match note {
        Some(note) if prompt.is_empty() => note.to_owned(),
        Some(note) => format!("[agentd: {note}]\n\n{prompt}"),
        None => prompt.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{
        attempt::Ending,
        id::Timestamp,
        reason::{FailureReason, Outcome},
        testing,
    };

    fn attempt(reason: Option<FailureReason>, message: &str) -> Attempt {
        let task = testing::claimed(7, 1);
        let mut attempt = task.attempt.expect("it is claimed");
        attempt.ending = Some(Ending {
            outcome: match reason {
                Some(FailureReason::RunnerLost) => Outcome::Interrupted,
                Some(_) => Outcome::Failed,
                None => Outcome::Succeeded,
            },
            reason,
            message: message.to_owned(),
            at: Timestamp(0),
        });
        attempt
    }

    #[test]
    fn what_agents_are_told() {
        let given = |way, session: Option<&str>| Given {
            way,
            session: session.map(str::to_owned),
            ..Given::default()
        };
        let lost = attempt(Some(FailureReason::RunnerLost), "the runner died");
        let own = attempt(Some(FailureReason::AgentError), "exit code 3");
        let cases = [
            ("first", given(Way::Fresh, None), None, None),
            ("first, clean", given(Way::Fresh, None), None, Some(false)),
            ("first, dirty", given(Way::Fresh, None), None, Some(true)),
            (
                "resumed",
                given(Way::Seen, Some("s-1")),
                Some(&lost),
                Some(true),
            ),
            (
                "resumed, clean",
                given(Way::Unseen, Some("s-1")),
                Some(&own),
                Some(false),
            ),
            ("gone", given(Way::Gone, Some("s-1")), Some(&lost), None),
            (
                "anew",
                given(Way::Minted, Some("s-2")),
                Some(&own),
                Some(true),
            ),
        ];
        let told: Vec<String> = cases
            .into_iter()
            .map(|(name, given, before, uncommitted)| {
                let told = Told {
                    used: Usage::default(),
                    before: before.cloned(),
                    uncommitted,
                };
                let note = note(&given, &told).unwrap_or_else(|| "-".to_owned());
                format!("{name}: {note}")
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn it_stands_before_the_prompt() {
        assert_eq!(before_prompt(None, "do"), "do");
        assert_eq!(before_prompt(Some("so"), "do"), "[agentd: so]\n\ndo");
        assert_eq!(before_prompt(Some("so"), ""), "so");
    }
}
