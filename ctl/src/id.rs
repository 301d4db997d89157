//! How a person names tasks and attempts: `42`, `42.2`, `@last`,
//! `@last-failed`, and `40-44` where several are accepted.

use std::{num::NonZeroU64, str::FromStr};

use agentd_proto::v1;

use crate::{
    client::Client,
    error::{Error, Kind},
    view::FAILED_STATES,
};

/// Most tasks that a range may name: a slip of the finger should not cancel
/// everything there is.
const MAX_RANGE: u64 = 1000;

/// Why a text names no task.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseIdError {
    /// Nothing was given.
    #[error("the id is empty (write a number such as 42, or @last)")]
    Empty,
    /// Neither a number nor one of the names.
    #[error("not a task id (write a number such as 42, @last or @last-failed)")]
    Malformed,
    /// Tasks are counted from 1.
    #[error("tasks are counted from 1")]
    Zero,
    /// What follows the dot is no number of an attempt.
    #[error("not an attempt (write a task and an attempt, counted from 1, such as 42.2)")]
    Attempt,
    /// An attempt where only a task makes sense.
    #[error("this names an attempt, but here a task is meant: leave out what follows the dot")]
    UnwantedAttempt,
    /// A range where only one task makes sense.
    #[error("this takes one task, not a range")]
    UnwantedRange,
    /// The end of a range comes before its start.
    #[error("the range runs backwards")]
    Backwards,
    /// A range of very many.
    #[error("a range may name {MAX_RANGE} tasks at most")]
    TooMany,
}

/// One task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskRef {
    /// By its number.
    Number(u64),
    /// The newest one.
    Last,
    /// The newest that failed, was interrupted or aborted.
    LastFailed,
}

impl FromStr for TaskRef {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        match text {
            "" => Err(ParseIdError::Empty),
            "@last" => Ok(Self::Last),
            "@last-failed" => Ok(Self::LastFailed),
            _ => match AttemptRef::from_str(text) {
                Ok(AttemptRef {
                    attempt: Some(_), ..
                }) => Err(ParseIdError::UnwantedAttempt),
                Ok(AttemptRef { task, .. }) => Ok(task),
                Err(error) => Err(error),
            },
        }
    }
}

fn number(text: &str) -> Result<u64, ParseIdError> {
    // `parse` alone would take a sign.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseIdError::Malformed);
    }
    match text.parse::<u64>() {
        Ok(0) => Err(ParseIdError::Zero),
        Ok(number) => Ok(number),
        Err(_) => Err(ParseIdError::Malformed),
    }
}

fn is_range(text: &str) -> bool {
    let ends = text.split_once('-');
    ends.is_some_and(|(first, last)| number(first).is_ok() && number(last).is_ok())
}

/// One task, or one attempt of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttemptRef {
    /// The task.
    pub(crate) task: TaskRef,
    /// The attempt, counted from 1.
    pub(crate) attempt: Option<u32>,
}

impl FromStr for AttemptRef {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (task, attempt) = match text.split_once('.') {
            Some((task, attempt)) => (task, Some(attempt)),
            None => (text, None),
        };
        let task = match task {
            "" if attempt.is_none() => return Err(ParseIdError::Empty),
            range if is_range(range) => return Err(ParseIdError::UnwantedRange),
            "@last" => TaskRef::Last,
            "@last-failed" => TaskRef::LastFailed,
            _ => TaskRef::Number(number(task)?),
        };
        let attempt = match attempt.map(number) {
            None => None,
            Some(Ok(n)) => Some(u32::try_from(n).map_err(|_| ParseIdError::Attempt)?),
            Some(Err(_)) => return Err(ParseIdError::Attempt),
        };
        Ok(Self { task, attempt })
    }
}

/// One task or a range of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskSet {
    /// Just one.
    One(TaskRef),
    /// From the first to the last number, both included.
    Range(u64, u64),
}

impl FromStr for TaskSet {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let range = text
            .split_once('-')
            .filter(|_| text.starts_with(|c: char| c.is_ascii_digit()));
        let Some((first, last)) = range else {
            return text.parse().map(Self::One);
        };
        let (first, last) = (number(first)?, number(last)?);
        match last.checked_sub(first) {
            None => Err(ParseIdError::Backwards),
            Some(more) if more >= MAX_RANGE => Err(ParseIdError::TooMany),
            Some(_) => Ok(Self::Range(first, last)),
        }
    }
}

/// The number of a task.
///
/// # Errors
/// `@last` and `@last-failed` ask the daemon and may find nothing.
pub(crate) async fn resolve(client: &Client, task: TaskRef) -> Result<u64, Error> {
    let (states, name) = match task {
        TaskRef::Number(number) => return Ok(number),
        TaskRef::Last => (Vec::new(), "@last"),
        TaskRef::LastFailed => (FAILED_STATES.map(i32::from).to_vec(), "@last-failed"),
    };
    let request = v1::ListRequest {
        filter: Some(v1::Filter {
            states,
            ..v1::Filter::default()
        }),
        page_size: 1,
        page_token: String::new(),
    };
    let found = client.list(request).await?.tasks;
    let id = found.first().and_then(|task| NonZeroU64::new(task.id));
    id.map(NonZeroU64::get).ok_or_else(|| {
        Error::new(Kind::NotFound, format!("{name} names no task"))
            .because("there is none yet")
            .hint("agentctl ls shows the tasks there are")
    })
}

/// The numbers of several, in the order given, each once.
///
/// # Errors
/// As [`resolve`].
pub(crate) async fn resolve_all(client: &Client, sets: &[TaskSet]) -> Result<Vec<u64>, Error> {
    let mut numbers = Vec::new();
    for set in sets {
        let range = match *set {
            TaskSet::Range(first, last) => first..=last,
            TaskSet::One(task) => {
                let id = resolve(client, task).await?;
                id..=id
            }
        };
        for number in range {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_a_number_or_a_name() {
        assert_eq!("42".parse(), Ok(TaskRef::Number(42)));
        assert_eq!("@last".parse(), Ok(TaskRef::Last));
        assert_eq!("@last-failed".parse(), Ok(TaskRef::LastFailed));
        for (text, error) in [
            ("", ParseIdError::Empty),
            (" ", ParseIdError::Malformed),
            ("0", ParseIdError::Zero),
            ("-1", ParseIdError::Malformed),
            ("+1", ParseIdError::Malformed),
            ("4x", ParseIdError::Malformed),
            ("18446744073709551616", ParseIdError::Malformed),
            ("@newest", ParseIdError::Malformed),
            ("42.1", ParseIdError::UnwantedAttempt),
        ] {
            assert_eq!(text.parse::<TaskRef>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn an_attempt_follows_a_dot() {
        let of = |task, attempt| Ok(AttemptRef { task, attempt });
        assert_eq!("42".parse(), of(TaskRef::Number(42), None));
        assert_eq!("42.2".parse(), of(TaskRef::Number(42), Some(2)));
        assert_eq!("@last.1".parse(), of(TaskRef::Last, Some(1)));
        for (text, error) in [
            ("", ParseIdError::Empty),
            (".", ParseIdError::Malformed),
            (".2", ParseIdError::Malformed),
            ("42.", ParseIdError::Attempt),
            ("42.0", ParseIdError::Attempt),
            ("42.x", ParseIdError::Attempt),
            ("42.1.1", ParseIdError::Attempt),
            ("42.4294967296", ParseIdError::Attempt),
        ] {
            assert_eq!(text.parse::<AttemptRef>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_range_has_both_ends() {
        assert_eq!("40-44".parse(), Ok(TaskSet::Range(40, 44)));
        assert_eq!("40-40".parse(), Ok(TaskSet::Range(40, 40)));
        assert_eq!(
            "@last-failed".parse(),
            Ok(TaskSet::One(TaskRef::LastFailed))
        );
        for (text, error) in [
            ("44-40", ParseIdError::Backwards),
            ("40-", ParseIdError::Malformed),
            ("-40", ParseIdError::Malformed),
            ("0-4", ParseIdError::Zero),
            ("1-1001", ParseIdError::TooMany),
            ("1-2-3", ParseIdError::Malformed),
        ] {
            assert_eq!(text.parse::<TaskSet>(), Err(error), "{text:?}");
        }
    }
}
