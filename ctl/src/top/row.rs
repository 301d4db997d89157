//! What the table knows of a task. All of its text is harmless and short.

use std::time::Duration;

use agentd_proto::v1::{self, State};
use jiff::Timestamp;

use super::text::short;
use crate::{
    output::tasks::{hold_text, took},
    view::{is_final, state_word},
    when::between,
};

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: u64,
    /// Of two rows of a task the one with the greater revision is newer.
    pub(super) revision: u64,
    pub(super) state: State,
    pub(super) agent: String,
    /// The last part of its path.
    pub(super) repo: String,
    pub(super) issue: String,
    pub(super) title: String,
    pub(super) attempts: u32,
    created_at: i64,
    /// When its newest attempt began; 0: not yet.
    started_at: i64,
    /// For how long that ran, if it has ended.
    ran: Option<Duration>,
    /// Of its newest attempt, millionths of a US dollar.
    pub(super) cost: Option<u64>,
    /// Why it waits, while it is queued.
    hold: Option<v1::Hold>,
    /// What it does, or what came of it.
    said: String,
}

impl From<v1::Task> for Row {
    fn from(task: v1::Task) -> Self {
        let state = task.state();
        let attempt = task.attempt.as_ref();
        // Ended attempts have a length of their own: the time does not count.
        let ended = attempt.is_some_and(|attempt| attempt.ended_at != 0) || is_final(state);
        Self {
            id: task.id,
            revision: task.revision,
            state,
            agent: short(&task.agent),
            repo: short(task.repo.rsplit('/').next().unwrap_or_default()),
            issue: short(&task.issue),
            title: short(&task.title),
            attempts: task.attempts,
            created_at: task.created_at,
            started_at: attempt.map_or(0, |attempt| attempt.started_at),
            ran: took(&task, Timestamp::UNIX_EPOCH).filter(|_| ended),
            cost: attempt.and_then(|attempt| attempt.usage?.cost),
            said: said(&task),
            hold: task
                .hold
                .filter(|_| state == State::Queued)
                .map(|hold| v1::Hold {
                    kind: short(&hold.kind),
                    account: short(&hold.account),
                    by: short(&hold.by),
                    ..hold
                }),
        }
    }
}

/// What an active task does, or what came of an ended one.
fn said(task: &v1::Task) -> String {
    match task.state() {
        State::Queued | State::Unspecified => String::new(),
        State::Starting => task
            .attempt
            .as_ref()
            .map(|attempt| short(&attempt.phase))
            .unwrap_or_default(),
        State::Running => task
            .attempt
            .as_ref()
            .map(|attempt| short(&attempt.progress))
            .unwrap_or_default(),
        State::Stopping => short(&task.stop_reason),
        State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::Interrupted
        | State::Aborted => {
            let reason = Some(task.failure_reason.as_str())
                .filter(|&reason| reason != state_word(task.state()));
            let parts = [reason.unwrap_or_default(), &task.message];
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            short(&parts.join(": "))
        }
    }
}

impl Row {
    /// What it does now: progress, why it waits, or what came of it.
    pub(super) fn doing(&self, now: Timestamp) -> String {
        match &self.hold {
            Some(hold) => format!("waits: {}", hold_text(hold, now)),
            None => self.said.clone(),
        }
    }

    /// How long its newest attempt has run, or ran.
    pub(super) fn took(&self, now: Timestamp) -> Option<Duration> {
        self.ran
            .or_else(|| between(self.started_at, now.as_millisecond()))
    }

    /// Since when it is there.
    pub(super) fn age(&self, now: Timestamp) -> Option<Duration> {
        between(self.created_at, now.as_millisecond())
    }

    /// Whether it has not ended.
    pub(super) fn is_active(&self) -> bool {
        !is_final(self.state)
    }

    /// Whether `agentctl ls --failed` lists it.
    pub(super) fn is_failed(&self) -> bool {
        crate::view::FAILED_STATES.contains(&self.state)
    }

    /// Whether a person holds it.
    pub(super) fn is_held(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.kind == "held")
    }

    /// Whether it has not been started, or is to be started again.
    pub(super) fn waits(&self) -> bool {
        self.state == State::Queued
    }

    /// Whether `agentctl release` would let it go.
    pub(super) fn can_be_released(&self) -> bool {
        let kind = self.hold.as_ref().map(|hold| hold.kind.as_str());
        matches!(kind, Some("held" | "backoff" | "scheduled"))
    }

    /// Whether each of the words, in lower case, is somewhere in what names it.
    pub(super) fn matches(&self, words: &[String]) -> bool {
        let id = self.id.to_string();
        let texts = [
            &self.title,
            &self.agent,
            &self.repo,
            &self.issue,
            state_word(self.state),
        ];
        let texts = texts.map(str::to_lowercase);
        words
            .iter()
            .all(|word| id.contains(word) || texts.iter().any(|text| text.contains(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(state: State) -> v1::Task {
        v1::Task {
            id: 42,
            state: state.into(),
            title: "Mend the\nParser\u{1b}[2J".to_owned(),
            repo: "/home/ann/src/app".to_owned(),
            issue: "7".to_owned(),
            agent: "claude".to_owned(),
            created_at: 1_000,
            attempt: Some(v1::Attempt {
                started_at: 10_000,
                progress: "runs\tthe tests".to_owned(),
                ..v1::Attempt::default()
            }),
            ..v1::Task::default()
        }
    }

    #[test]
    fn its_text_is_one_harmless_line() {
        let row = Row::from(task(State::Running));
        assert_eq!(row.title, "Mend the Parser [2J");
        assert_eq!(row.repo, "app");
        assert_eq!(row.doing(Timestamp::UNIX_EPOCH), "runs the tests");
        let long = v1::Task {
            title: "x".repeat(100_000),
            ..task(State::Running)
        };
        assert!(Row::from(long).title.len() < 1_000);
    }

    #[test]
    fn time_goes_on_until_the_end() {
        let now = Timestamp::from_millisecond(70_000).unwrap();
        let running = Row::from(task(State::Running));
        assert_eq!(running.took(now), Some(Duration::from_secs(60)));
        let mut ended = task(State::Failed);
        ended.finished_at = 30_000;
        assert_eq!(Row::from(ended).took(now), Some(Duration::from_secs(20)));
        let mut never = task(State::Cancelled);
        never.attempt = None;
        never.finished_at = 30_000;
        assert_eq!(Row::from(never).took(now), None);
    }

    #[test]
    fn every_word_of_a_filter_has_to_be_found() {
        let row = Row::from(task(State::Running));
        for (filter, found) in [
            ("", true),
            ("42", true),
            ("parser", true),
            ("claude 7 run", true),
            ("claude failed", false),
        ] {
            let words: Vec<String> = filter.split_whitespace().map(str::to_owned).collect();
            assert_eq!(row.matches(&words), found, "{filter}");
        }
    }

    #[test]
    fn what_waits_says_for_what() {
        let mut queued = task(State::Queued);
        queued.attempt = None;
        for (kind, text, held, releasable) in [
            ("none", "waits: slot", false, false),
            ("held", "waits: held", true, true),
            ("scheduled", "waits: scheduled", false, true),
        ] {
            queued.hold = Some(v1::Hold {
                kind: kind.to_owned(),
                ..v1::Hold::default()
            });
            let row = Row::from(queued.clone());
            assert_eq!(row.doing(Timestamp::UNIX_EPOCH), text);
            assert_eq!((row.is_held(), row.can_be_released()), (held, releasable));
        }
    }
}
