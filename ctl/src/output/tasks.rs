//! Lists of tasks in every format, and the line that tells how one ended.

use std::time::Duration;

use agentd_proto::v1::{self, State};
use jiff::Timestamp;

use super::{
    Output,
    json::{Document, TASK, TASKS, Tasks},
    list::{ListArgs, Listed},
    style::of_state,
    table::{Cell, Column, Look, Shown, one_line},
};
use crate::{
    error::Error,
    view::{TaskView, is_final, state_word},
    when::{between, human, local, short},
};

/// Tasks, and how many were left out.
#[derive(Debug, Default)]
pub(crate) struct TaskList {
    /// In the order to print.
    pub(crate) tasks: Vec<v1::Task>,
    /// How many more match.
    pub(crate) more: u64,
    /// There are at least so many.
    pub(crate) more_is_bound: bool,
}

impl Output {
    /// Prints a list of tasks.
    pub(crate) fn tasks(&mut self, list: TaskList, args: &ListArgs<v1::Task>) -> Result<(), Error> {
        self.list(args, list.tasks, |tasks| {
            let (more, more_is_bound) = (list.more, list.more_is_bound);
            Document::new(
                TASKS,
                Tasks {
                    tasks,
                    more,
                    more_is_bound,
                },
            )
        })
    }

    /// Says on stderr how a task ended, and where its work is.
    pub(crate) fn result(&mut self, task: &v1::Task) {
        let line = result_line(task);
        self.message(&line);
        if let Some(attempt) = &task.attempt
            && !attempt.branch.is_empty()
        {
            let at = if attempt.workspace.is_empty() {
                String::new()
            } else {
                format!(" in {}", attempt.workspace)
            };
            self.note(&format!("branch {}{at}", attempt.branch));
        }
    }
}

impl Listed for v1::Task {
    type View = TaskView;
    const SCHEMA: &'static str = TASK;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::<Self>::new("id", |task, _| Cell::number(task.id)),
        Column::<Self>::new("state", |task, _| state_cell(task.state())),
        Column::<Self>::new("agent", |task, _| Cell::or_dash(&task.agent)).cut(6),
        Column::<Self>::new("model", |task, _| Cell::or_dash(&task.model)).shown(Shown::Wide),
        Column::<Self>::new("user", |task, _| Cell::or_dash(&task.user)).shown(Shown::Wide),
        Column::<Self>::new("repo", |task, look| {
            Cell::or_dash(path(&task.repo, look.wide))
        })
        .cut(6)
        .spare(1),
        Column::<Self>::new("issue", |task, _| Cell::or_dash(&task.issue))
            .cut(5)
            .spare(3),
        Column::<Self>::new("branch", |task, _| {
            let attempt = task.attempt.as_ref();
            Cell::or_dash(attempt.map_or("", |attempt| &attempt.branch))
        })
        .cut(8)
        .shown(Shown::Wide),
        Column::<Self>::new("workspace", |task, _| {
            let attempt = task.attempt.as_ref();
            Cell::or_dash(attempt.map_or("", |attempt| &attempt.workspace))
        })
        .cut(10)
        .shown(Shown::Asked),
        Column::<Self>::new("labels", |task, _| Cell::or_dash(&labels_text(task)))
            .cut(8)
            .shown(Shown::Asked),
        Column::<Self>::number("priority", |task, _| Cell::number(task.priority))
            .shown(Shown::Wide),
        Column::<Self>::number("attempts", |task, _| Cell::number(task.attempts))
            .shown(Shown::Wide),
        Column::<Self>::new("created", |task, look| time(task.created_at, look)).shown(Shown::Wide),
        Column::<Self>::new("finished", |task, look| time(task.finished_at, look))
            .shown(Shown::Asked),
        Column::<Self>::number("age", |task, look| {
            Cell::or_dash(&ago(task.created_at, look.now))
        })
        .shown(Shown::Narrow),
        Column::<Self>::number("took", |task, look| {
            Cell::or_dash(&took(task, look.now).map(short).unwrap_or_default())
        })
        .spare(2),
        Column::<Self>::new("note", |task, look| Cell::or_dash(&note(task, look.now))).cut(10),
        Column::<Self>::new("title", |task, _| Cell::or_dash(&task.title)).cut(12),
        Column::<Self>::new("message", |task, _| Cell::or_dash(&task.message))
            .cut(12)
            .shown(Shown::Wide),
    ];

    fn name(&self) -> String {
        self.id.to_string()
    }
}

/// A path, or only its end where there is little room.
pub(crate) fn path(path: &str, whole: bool) -> &str {
    match path.rsplit_once('/') {
        Some((_, end)) if !whole => end,
        Some(_) | None => path,
    }
}

/// A point in time; a dash for what is not yet.
pub(crate) fn time(at: i64, look: &Look) -> Cell {
    Cell::or_dash(&local(at, &look.zone).unwrap_or_default())
}

/// `area=ui team=web`, in the order of the alphabet.
pub(crate) fn labels_text(task: &v1::Task) -> String {
    let labels = task.labels.iter();
    let mut labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.sort();
    labels.join(" ")
}

fn state_cell(state: State) -> Cell {
    Cell::styled(state_word(state), of_state(state))
}

fn ago(at: i64, now: Timestamp) -> String {
    between(at, now.as_millisecond())
        .map(short)
        .unwrap_or_default()
}

/// How long the newest attempt has run, or ran.
pub(crate) fn took(task: &v1::Task, now: Timestamp) -> Option<Duration> {
    let attempt = task.attempt.as_ref()?;
    let end = match (attempt.ended_at, is_final(task.state())) {
        (0, true) => task.finished_at,
        (0, false) => now.as_millisecond(),
        (ended, _) => ended,
    };
    between(attempt.started_at, end)
}

/// What there is to know about the state: a hold, or a reason.
fn note(task: &v1::Task, now: Timestamp) -> String {
    match task.state() {
        State::Queued => task
            .hold
            .as_ref()
            .map(|hold| hold_text(hold, now))
            .unwrap_or_default(),
        State::Stopping => task.stop_reason.clone(),
        State::Unspecified
        | State::Starting
        | State::Running
        | State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::Interrupted => task.failure_reason.clone(),
        // It has no reason but what its agent says.
        State::Aborted if task.failure_reason.is_empty() => declined(&task.message),
        State::Aborted => task.failure_reason.clone(),
    }
}

/// `declined: no skill for it`.
fn declined(message: &str) -> String {
    if message.is_empty() || message.starts_with("declined") {
        return message.to_owned();
    }
    format!("declined: {message}")
}

/// Tasks that are named in one line.
const NAMED: usize = 10;

/// `task 41`, `tasks 41, 42 and 3 more`.
pub(crate) fn named(ids: &[u64]) -> String {
    let names: Vec<String> = ids.iter().take(NAMED).map(u64::to_string).collect();
    let names = names.join(", ");
    match (ids.len(), ids.len().saturating_sub(NAMED)) {
        (1, _) => format!("task {names}"),
        (_, 0) => format!("tasks {names}"),
        (_, more) => format!("tasks {names} and {more} more"),
    }
}

/// Why a queued task waits, in a few words.
pub(crate) fn hold_text(hold: &v1::Hold, now: Timestamp) -> String {
    let kind = match hold.kind.as_str() {
        "" | "none" => "slot",
        "dependency" => "task",
        kind => kind,
    };
    if !hold.by.is_empty() {
        return format!("{kind} by {}", hold.by);
    }
    if hold.task != 0 && hold.others != 0 {
        return format!("{kind} {} and {} more", hold.task, hold.others);
    }
    let kind = match hold.account.as_str() {
        "" => kind.to_owned(),
        account => format!("{kind} {account}"),
    };
    if hold.task != 0 {
        return format!("{kind} {}", hold.task);
    }
    match between(now.as_millisecond(), hold.until) {
        Some(left) if !left.is_zero() => format!("{kind} {}", short(left)),
        Some(_) | None => kind,
    }
}

/// `task 42 succeeded in 3.2s`, `task 42 failed: agent_error: exit code 3`.
pub(crate) fn result_line(task: &v1::Task) -> String {
    let mut line = format!("task {} {}", task.id, state_word(task.state()));
    let end = Timestamp::from_millisecond(task.finished_at).unwrap_or_default();
    let ran = took(task, end).filter(|_| task.finished_at != 0);
    match task.state() {
        State::Succeeded => {
            if let Some(ran) = ran {
                line.push_str(" in ");
                line.push_str(&human(ran));
            }
        }
        State::Unspecified
        | State::Queued
        | State::Starting
        | State::Running
        | State::Stopping
        | State::Failed
        | State::Cancelled
        | State::Interrupted
        | State::Aborted => {
            // "cancelled: cancelled; killed by signal 9" says it twice.
            let word = state_word(task.state());
            let reason = Some(task.failure_reason.as_str()).filter(|&reason| reason != word);
            let message = task.message.strip_prefix(word);
            let message = message.and_then(|rest| rest.strip_prefix("; "));
            let message = message.unwrap_or(&task.message);
            for part in [reason.unwrap_or_default(), message] {
                if !part.is_empty() && part != word {
                    line.push_str(": ");
                    line.push_str(&one_line(part));
                }
            }
        }
    }
    line
}
