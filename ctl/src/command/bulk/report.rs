//! What became of each of many tasks, for people and for scripts.

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    error::Error,
    output::{
        Output,
        json::{Document, RERUNS},
    },
};

/// How to print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// New ids, and a line about each task on stderr.
    #[default]
    Text,
    /// One JSON object at the end.
    Json,
    /// New ids only; chosen with --quiet, which has no dry run.
    #[value(skip)]
    Name,
}

/// What became of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Serialize)]
pub(super) struct Entry {
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

/// Everything that was done, as one JSON document.
#[derive(Debug, Serialize)]
struct Reruns<'a> {
    dry_run: bool,
    interrupted: bool,
    reruns: &'a [Entry],
}

/// What became of all.
#[derive(Debug)]
pub(super) struct Report {
    format: Format,
    dry_run: bool,
    entries: Vec<Entry>,
}

impl Report {
    pub(super) fn new(format: Format, dry_run: bool) -> Self {
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
            Format::Text => self.say(out, &entry),
            Format::Name => match entry.new_task {
                // Seen even if this program comes to no end.
                Some(new) => out.line(&new.to_string()).and_then(|()| out.flush()),
                None => Ok(()),
            },
            Format::Json => Ok(()),
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
            Format::Json => out.json(&Document::new(
                RERUNS,
                Reruns {
                    dry_run: self.dry_run,
                    interrupted,
                    reruns: &self.entries,
                },
            ))?,
            Format::Text => out.note(&self.sum()),
            Format::Name => {}
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
