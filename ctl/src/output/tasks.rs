//! Lists of tasks in every format, and the line that tells how one ended.

use std::time::Duration;

use agentd_proto::v1::{self, State};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    Output,
    json::{Document, TASK, TASKS, Tasks},
    style::of_state,
    table::{Cell, Column, Layout, one_line, render},
};
use crate::{
    error::Error,
    view::{TaskView, is_final, state_word},
    when::{between, human, local, short},
};

/// How to print a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns that fit the terminal.
    #[default]
    Table,
    /// More columns, as wide as they are.
    Wide,
    /// One JSON object.
    Json,
    /// One JSON object a line for each task.
    Jsonl,
    /// Ids only.
    Name,
}

/// How to print a list, as the user may choose it.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct ListArgs {
    /// How to print the list.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Print ids only (the same as -o name).
    #[arg(short, long, conflicts_with = "output")]
    quiet: bool,
    /// Leave out the line of column heads.
    #[arg(long)]
    no_headers: bool,
}

impl ListArgs {
    /// With nothing else chosen.
    pub(crate) fn of(format: Format) -> Self {
        Self {
            output: format,
            ..Self::default()
        }
    }

    /// Whether the line of heads is left out.
    pub(crate) fn no_headers(self) -> bool {
        self.no_headers
    }

    /// The format chosen.
    pub(crate) fn format(self) -> Format {
        if self.quiet {
            Format::Name
        } else {
            self.output
        }
    }
}

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
    pub(crate) fn tasks(&mut self, list: TaskList, args: ListArgs) -> Result<(), Error> {
        match args.format() {
            Format::Table => self.task_table(&list.tasks, false, args.no_headers),
            Format::Wide => self.task_table(&list.tasks, true, args.no_headers),
            Format::Json => self.json(&Document::new(
                TASKS,
                Tasks {
                    tasks: list.tasks.into_iter().map(TaskView::from).collect(),
                    more: list.more,
                    more_is_bound: list.more_is_bound,
                },
            )),
            Format::Jsonl => list.tasks.into_iter().try_for_each(|t| self.task_json(t)),
            Format::Name => list
                .tasks
                .iter()
                .try_for_each(|task| self.line(&task.id.to_string())),
        }
    }

    /// One task as one line of JSON.
    pub(crate) fn task_json(&mut self, task: v1::Task) -> Result<(), Error> {
        self.json(&Document::new(TASK, TaskView::from(task)))
    }

    fn task_table(
        &mut self,
        tasks: &[v1::Task],
        wide: bool,
        no_headers: bool,
    ) -> Result<(), Error> {
        let now = self.now;
        let zone = if wide { self.zone() } else { TimeZone::UTC };
        let layout = Layout {
            width: if wide { None } else { self.width },
            color: self.color,
            no_headers,
        };
        let rows: Vec<Vec<Cell>> = tasks
            .iter()
            .map(|task| {
                if wide {
                    wide_row(
                        task,
                        now,
                        &local(task.created_at, &zone).unwrap_or_default(),
                    )
                } else {
                    row(task, now)
                }
            })
            .collect();
        let columns: &[Column] = if wide { &WIDE } else { &NARROW };
        render(columns, &rows, layout)
            .iter()
            .try_for_each(|line| self.line(line))
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

const NARROW: [Column; 9] = [
    Column::fixed("ID"),
    Column::fixed("STATE"),
    Column::flexible("AGENT", 6),
    Column::flexible("REPO", 6),
    Column::flexible("ISSUE", 5),
    Column::fixed("AGE"),
    Column::fixed("TOOK"),
    Column::flexible("NOTE", 10),
    Column::flexible("TITLE", 12),
];

fn row(task: &v1::Task, now: Timestamp) -> Vec<Cell> {
    vec![
        Cell::from(task.id.to_string()),
        state_cell(task.state()),
        Cell::or_dash(&task.agent),
        Cell::or_dash(task.repo.rsplit('/').next().unwrap_or_default()),
        Cell::or_dash(&task.issue),
        Cell::or_dash(&ago(task.created_at, now)),
        Cell::or_dash(&took(task, now).map(short).unwrap_or_default()),
        Cell::or_dash(&note(task, now)),
        Cell::or_dash(&task.title),
    ]
}

const WIDE: [Column; 15] = [
    Column::fixed("ID"),
    Column::fixed("STATE"),
    Column::fixed("AGENT"),
    Column::fixed("MODEL"),
    Column::fixed("USER"),
    Column::fixed("REPO"),
    Column::fixed("ISSUE"),
    Column::fixed("BRANCH"),
    Column::fixed("PRIORITY"),
    Column::fixed("ATTEMPTS"),
    Column::fixed("CREATED"),
    Column::fixed("TOOK"),
    Column::fixed("NOTE"),
    Column::fixed("TITLE"),
    Column::fixed("MESSAGE"),
];

fn wide_row(task: &v1::Task, now: Timestamp, created: &str) -> Vec<Cell> {
    let branch = task.attempt.as_ref().map(|a| a.branch.as_str());
    vec![
        Cell::from(task.id.to_string()),
        state_cell(task.state()),
        Cell::or_dash(&task.agent),
        Cell::or_dash(&task.model),
        Cell::or_dash(&task.user),
        Cell::or_dash(&task.repo),
        Cell::or_dash(&task.issue),
        Cell::or_dash(branch.unwrap_or_default()),
        Cell::from(task.priority.to_string()),
        Cell::from(task.attempts.to_string()),
        Cell::or_dash(created),
        Cell::or_dash(&took(task, now).map(human).unwrap_or_default()),
        Cell::or_dash(&note(task, now)),
        Cell::or_dash(&task.title),
        Cell::or_dash(&task.message),
    ]
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
        | State::Interrupted
        | State::Aborted => task.failure_reason.clone(),
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
            // "cancelled: cancelled" says nothing.
            let reason = Some(task.failure_reason.as_str())
                .filter(|&reason| reason != state_word(task.state()));
            for part in [reason.unwrap_or_default(), &task.message] {
                if !part.is_empty() {
                    line.push_str(": ");
                    line.push_str(&one_line(part));
                }
            }
        }
    }
    line
}
