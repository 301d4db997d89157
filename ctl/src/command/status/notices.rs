//! How people are told of ends.

use agentd_proto::v1;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::{
    output::table::one_line,
    when::{local, rfc3339},
};

/// `webhook https://chat.example.org/…; not taken since 2026-03-01 12:00:35, last of
/// task 4: …`. Why something was given up, `doctor` says.
pub(super) fn notices_text(notices: &v1::Notices, zone: &TimeZone) -> String {
    let mut text = format!("{} {}", notices.way, notices.to);
    if let Some(since) = local(notices.failing_since, zone) {
        let (task, why) = (notices.task, &notices.why);
        text.push_str(&format!(
            "; not taken since {since}, last of task {task}: {why}"
        ));
    }
    if notices.given_up > 0 {
        let (count, task) = (notices.given_up, notices.given_up_task);
        text.push_str(&format!("; {count} given up, last of task {task}"));
    }
    one_line(&text)
}

/// One way in which people are told of ends, since the daemon's start.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct NoticesView {
    /// `command` or `webhook`.
    way: String,
    /// The program, or scheme and host of the server.
    to: String,
    /// Nothing is taken since; `null`: the last was taken.
    failing_since: Option<String>,
    /// The task of which nobody could be told, and why.
    task: Option<u64>,
    why: Option<String>,
    /// What is not sent again.
    given_up: u64,
}

impl From<v1::Notices> for NoticesView {
    fn from(notices: v1::Notices) -> Self {
        Self {
            way: notices.way,
            to: notices.to,
            failing_since: rfc3339(notices.failing_since),
            task: (notices.task != 0).then_some(notices.task),
            why: (!notices.why.is_empty()).then_some(notices.why),
            given_up: notices.given_up,
        }
    }
}
