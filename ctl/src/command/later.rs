//! When a task is to start, and after what.

use agentd_proto::v1;
use clap::Args;
use jiff::{Timestamp, tz::TimeZone};

use super::task::parse_limit;
use crate::{
    error::Error,
    when::{Due, Span},
};

/// A time before which a task is not started.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LaterArgs {
    /// Start it at this time at the earliest: 04:00 (the next time that the
    /// clock shows it), 2026-03-01 04:00 or 2026-03-01T04:00:00Z.
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

/// A task to wait for: `42`, `42:ok`, `42:any`.
pub(crate) fn parse_after(text: &str) -> Result<v1::After, String> {
    let wrong = || "a task to wait for is written 42, 42:ok or 42:any".to_owned();
    let (task, condition) = text.split_once(':').unwrap_or((text, "ok"));
    let condition = match condition {
        "ok" => v1::after::Condition::Unspecified,
        "any" => v1::after::Condition::Any,
        _ => return Err(wrong()),
    };
    if !task.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let task = task.parse().ok().filter(|task| *task != 0);
    Ok(v1::After {
        task: task.ok_or_else(wrong)?,
        condition: condition.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_to_wait_for_has_a_condition() {
        let any = v1::after::Condition::Any as i32;
        for (text, task, condition) in [("42", 42, 0), ("42:ok", 42, 0), ("7:any", 7, any)] {
            assert_eq!(
                parse_after(text),
                Ok(v1::After { task, condition }),
                "{text}"
            );
        }
        for bad in [
            "", "0", ":any", "42:", "42:all", "+1", "4-5", "@last", "42.1",
        ] {
            assert!(parse_after(bad).is_err(), "{bad}");
        }
    }
}
