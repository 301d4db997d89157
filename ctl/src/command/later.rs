//! When a task is to start, and after what.

use agentd_proto::v1;
use clap::Args;
use jiff::{Timestamp, tz::TimeZone};

use super::task::parse_limit;
use crate::{
    client::Client,
    error::Error,
    id::{ParseIdError, TaskSet, resolve_all},
    when::{Due, Span},
};

/// A time before which a task is not started.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LaterArgs {
    /// Start it at this time at the earliest: 04:00 (the next time that the
    /// clock shows it), 2026-03-01, 2026-03-01 04:00 or 2026-03-01T04:00:00Z.
    #[arg(long, value_name = "TIME")]
    not_before: Option<Due>,

    /// Start it when so much time has passed, for example 30m; while the
    /// machine sleeps none does.
    #[arg(long, value_name = "TIME", value_parser = parse_limit)]
    #[arg(conflicts_with = "not_before")]
    delay: Option<Span>,
}

impl LaterArgs {
    /// For the interface: a time of the wall clock, and a delay; 0 for none.
    ///
    /// # Errors
    /// The time is over.
    pub(crate) fn times(self, now: Timestamp, zone: &TimeZone) -> Result<(i64, u64), Error> {
        let delay = self.delay.map_or(0, Span::as_millis);
        let Some(due) = self.not_before else {
            return Ok((0, delay));
        };
        let at = due.next(now, zone);
        match at {
            Some(at) if at > now => Ok((at.as_millisecond(), delay)),
            Some(_) => Err(Error::usage("the time of --not-before is over")
                .hint("leave it out to start the task as soon as it may")),
            None => Err(Error::usage("the time of --not-before cannot be counted")),
        }
    }
}

/// Tasks to wait for, as they were named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AfterArg {
    tasks: TaskSet,
    condition: v1::after::Condition,
}

/// Tasks to wait for: `42`, `42:ok`, `42:any`, `40-44`, `@last:any`.
pub(crate) fn parse_after(text: &str) -> Result<AfterArg, String> {
    let wrong = || "a task to wait for is written 42, 42:ok or 42:any".to_owned();
    let (task, condition) = text.split_once(':').unwrap_or((text, "ok"));
    let condition = match condition {
        "ok" => v1::after::Condition::Unspecified,
        "any" => v1::after::Condition::Any,
        _ => return Err(wrong()),
    };
    let tasks = task.parse().map_err(|error: ParseIdError| match error {
        ParseIdError::Empty | ParseIdError::Malformed => wrong(),
        ParseIdError::Zero
        | ParseIdError::Attempt
        | ParseIdError::UnwantedAttempt
        | ParseIdError::UnwantedRange
        | ParseIdError::Backwards
        | ParseIdError::TooMany => error.to_string(),
    })?;
    Ok(AfterArg { tasks, condition })
}

/// For the interface.
///
/// # Errors
/// `@last` or `@last-failed` names no task.
pub(crate) async fn resolve_after(
    client: &Client,
    after: &[AfterArg],
) -> Result<Vec<v1::After>, Error> {
    let mut resolved = Vec::new();
    for AfterArg { tasks, condition } in after {
        let tasks = resolve_all(client, &[*tasks]).await?;
        let condition = i32::from(*condition);
        resolved.extend(tasks.into_iter().map(|task| v1::After { task, condition }));
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TaskRef;

    #[test]
    fn a_task_to_wait_for_has_a_condition() {
        use v1::after::Condition::{Any, Unspecified};
        let one = |number| TaskSet::One(TaskRef::Number(number));
        for (text, tasks, condition) in [
            ("42", one(42), Unspecified),
            ("42:ok", one(42), Unspecified),
            ("7:any", one(7), Any),
            ("4-5", TaskSet::Range(4, 5), Unspecified),
            ("@last:any", TaskSet::One(TaskRef::Last), Any),
        ] {
            assert_eq!(
                parse_after(text),
                Ok(AfterArg { tasks, condition }),
                "{text}"
            );
        }
        for bad in [
            "", "0", ":any", "42:", "42:all", "+1", "5-4", "@newest", "42.1",
        ] {
            assert!(parse_after(bad).is_err(), "{bad}");
        }
    }
}
