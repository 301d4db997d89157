//! What became of each of many tasks, for people and for scripts.

use serde::Serialize;

use crate::{
    error::Error,
    output::{
        Output,
        json::{Document, RERUN, RERUNS},
        list::{Format, ListArgs, Listed},
        table::{Cell, Column},
    },
};

/// What became of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It runs again, as a new task.
    Accepted,
    /// It would run again.
    WouldRun,
    /// Another task has taken its place.
    Skipped,
    /// The daemon said no.
    Refused,
    /// Asked for, but no answer came.
    Unknown,
    /// Not asked for any more.
    Left,
}

/// One task and what became of it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Entry {
    task: u64,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_task: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Entry {
    pub(super) fn new(task: u64, outcome: Outcome) -> Self {
        Self {
            task,
            outcome,
            new_task: None,
            reason: None,
        }
    }

    pub(super) fn because(self, reason: String) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }

    pub(super) fn new_task(self, new_task: u64) -> Self {
        Self {
            new_task: Some(new_task),
            ..self
        }
    }
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::WouldRun => "would run",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Left => "left",
        }
    }
}

impl Listed for Entry {
    type View = Self;
    const SCHEMA: &'static str = RERUN;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::<Self>::new("task", |entry, _| Cell::number(entry.task)),
        Column::<Self>::new("outcome", |entry, _| Cell::from(entry.outcome.word())),
        Column::<Self>::new("new-task", |entry, _| match entry.new_task {
            Some(new) => Cell::number(new),
            None => Cell::or_dash(""),
        }),
        Column::<Self>::new("reason", |entry, _| {
            Cell::or_dash(entry.reason.as_deref().unwrap_or_default())
        })
        .cut(10),
    ];

    fn name(&self) -> String {
        self.new_task.unwrap_or(self.task).to_string()
    }
}

/// Everything that was done, as one document.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Reruns {
    dry_run: bool,
    interrupted: bool,
    reruns: Vec<Entry>,
}

/// What became of all.
#[derive(Debug)]
pub(super) struct Report {
    /// `None`: new ids, and a line about each task on stderr.
    format: Option<Format>,
    dry_run: bool,
    entries: Vec<Entry>,
}

impl Report {
    pub(super) fn new(format: Option<Format>, dry_run: bool) -> Self {
        Self {
            format,
            dry_run,
            entries: Vec::new(),
        }
    }

    /// Says what became of one task, if it is told one by one. What was
    /// refused was said by whoever met the error.
    pub(super) fn add(&mut self, out: &mut Output, entry: Entry) -> Result<(), Error> {
        let said = match self.format {
            None => self.say(out, &entry),
            Some(Format::Name) => match entry.outcome {
                // Seen even if this program comes to no end.
                Outcome::Accepted | Outcome::WouldRun => {
                    out.name(&entry).and_then(|()| out.flush())
                }
                Outcome::Skipped | Outcome::Refused | Outcome::Unknown | Outcome::Left => Ok(()),
            },
            Some(Format::Table | Format::Wide | Format::Json | Format::Jsonl | Format::Yaml) => {
                Ok(())
            }
        };
        self.entries.push(entry);
        said
    }

    fn say(&self, out: &mut Output, entry: &Entry) -> Result<(), Error> {
        let (task, reason) = (entry.task, entry.reason.as_deref().unwrap_or_default());
        match (entry.outcome, entry.new_task) {
            (Outcome::Accepted, new) => {
                let new = new.unwrap_or_default();
                out.line(&new.to_string())?;
                out.note(&format!("task {new} runs task {task} again"));
            }
            (Outcome::WouldRun, _) => out.line(&format!("would run again: {reason}"))?,
            (Outcome::Skipped, _) => {
                let text = format!("task {task} is skipped: {reason}");
                if self.dry_run {
                    out.line(&text)?;
                } else {
                    out.note(&text);
                }
            }
            (Outcome::Unknown, _) => out.note(&format!("task {task}: no answer came")),
            (Outcome::Refused | Outcome::Left, _) => {}
        }
        Ok(())
    }

    fn count(&self, outcome: Outcome) -> usize {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.outcome == outcome).count()
    }

    /// Tasks of which nothing can be said.
    pub(super) fn left_out(&self) -> usize {
        self.count(Outcome::Unknown) + self.count(Outcome::Left)
    }

    /// Says how many there were of each; the document for scripts.
    pub(super) fn finish(&self, out: &mut Output, interrupted: bool) -> Result<(), Error> {
        match self.format {
            None => out.note(&self.sum()),
            // Told one by one.
            Some(Format::Name) => {}
            Some(
                format @ (Format::Table
                | Format::Wide
                | Format::Json
                | Format::Jsonl
                | Format::Yaml),
            ) => {
                let entries = self.entries.clone();
                out.list(&ListArgs::of(format), entries, |reruns| {
                    let (dry_run, interrupted) = (self.dry_run, interrupted);
                    Document::new(
                        RERUNS,
                        Reruns {
                            dry_run,
                            interrupted,
                            reruns,
                        },
                    )
                })?;
            }
        }
        let left = self.left_out();
        if left > 0 {
            let why = if interrupted {
                "interrupted"
            } else {
                "stopped"
            };
            out.message(&format!(
                "{why}: {left} of {all} tasks are left; the same command goes on with them",
                all = self.entries.len()
            ));
        }
        Ok(())
    }

    fn sum(&self) -> String {
        let parts: Vec<_> = [
            (Outcome::Accepted, "run again"),
            (Outcome::WouldRun, "would run again"),
            (Outcome::Skipped, "skipped"),
            (Outcome::Refused, "refused"),
        ]
        .into_iter()
        .map(|(outcome, word)| (self.count(outcome), word))
        .filter(|&(count, _)| count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
        match (parts.is_empty(), self.entries.is_empty()) {
            (true, true) => "no tasks match".to_owned(),
            (true, false) => "none was run again".to_owned(),
            (false, _) => parts.join(", "),
        }
    }
}

#[cfg(test)]
mod tests;
