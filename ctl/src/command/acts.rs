//! What became of each task that a verb was given, in words or for scripts.

use agentd_proto::v1::State;
use serde::Serialize;

use super::Tally;
use crate::{
    error::Error,
    output::{
        Output,
        json::{ACTED, ACTED_TASK, Document},
        list::{Format, ListArgs, Listed, TellArgs},
        style::of_state,
        table::{Cell, Column},
    },
    view::state_word,
};

/// What was done to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Act {
    /// For a person.
    pub(crate) words: String,
    /// It was not so before.
    pub(crate) changed: bool,
    /// How the task is now.
    pub(crate) state: State,
}

/// Whether it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It was.
    Done,
    /// It was so already, or comes too late to matter.
    Unchanged,
    /// The daemon said no.
    Refused,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// One task, and what became of it.
#[derive(Debug)]
pub(crate) struct Acted {
    task: u64,
    outcome: Outcome,
    state: Option<State>,
    reason: String,
}

/// The same for scripts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ActedView {
    task: u64,
    outcome: Outcome,
    /// `null`: nobody knows such a task.
    state: Option<&'static str>,
    /// Why it was refused.
    reason: Option<String>,
}

/// All of them.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ActedViews {
    tasks: Vec<ActedView>,
}

impl From<Acted> for ActedView {
    fn from(acted: Acted) -> Self {
        Self {
            task: acted.task,
            outcome: acted.outcome,
            state: acted.state.map(state_word),
            reason: (!acted.reason.is_empty()).then_some(acted.reason),
        }
    }
}

impl Listed for Acted {
    type View = ActedView;
    const SCHEMA: &'static str = ACTED_TASK;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::<Self>::new("task", |acted, _| Cell::number(acted.task)),
        Column::<Self>::new("outcome", |acted, _| Cell::from(acted.outcome.word())),
        Column::<Self>::new("state", |acted, _| match acted.state {
            Some(state) => Cell::styled(state_word(state), of_state(state)),
            None => Cell::or_dash(""),
        }),
        Column::<Self>::new("reason", |acted, _| Cell::or_dash(&acted.reason)).cut(10),
    ];

    fn name(&self) -> String {
        self.task.to_string()
    }
}

/// Tells what becomes of each, as it comes or when all is done.
#[derive(Debug)]
pub(crate) struct Acts {
    /// `None`: words.
    format: Option<Format>,
    told: Vec<Acted>,
    tally: Tally,
}

impl Acts {
    pub(crate) fn new(tell: TellArgs) -> Self {
        Self {
            format: tell.format(),
            told: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Takes what became of one task. What was refused is also an error.
    ///
    /// # Errors
    /// One that every further task would meet as well; what became of those
    /// before was told.
    pub(crate) fn add(
        &mut self,
        out: &mut Output,
        task: u64,
        act: Result<Act, Error>,
    ) -> Result<(), Error> {
        let acted = match act {
            Ok(act) => {
                if self.format.is_none() {
                    out.message(&act.words);
                }
                Acted {
                    task,
                    outcome: match act.changed {
                        true => Outcome::Done,
                        false => Outcome::Unchanged,
                    },
                    state: Some(act.state),
                    reason: String::new(),
                }
            }
            Err(error) => {
                let reason = error.to_string();
                if let Err(error) = self.tally.add(out, Err(error)) {
                    return Err(self.cut_short(out, error));
                }
                Acted {
                    task,
                    outcome: Outcome::Refused,
                    state: None,
                    reason,
                }
            }
        };
        if self.format == Some(Format::Name) && acted.outcome != Outcome::Refused {
            // Seen even if this program comes to no end.
            out.name(&acted)?;
            out.flush()?;
        }
        self.told.push(acted);
        Ok(())
    }

    /// Tells what there is before an error ends it.
    pub(crate) fn cut_short(&mut self, out: &mut Output, error: Error) -> Error {
        match self.tell(out) {
            Ok(()) => error,
            Err(failed) => failed,
        }
    }

    /// The exit code of all; the document for scripts.
    ///
    /// # Errors
    /// A failed write.
    pub(crate) fn finish(mut self, out: &mut Output) -> Result<u8, Error> {
        self.tell(out)?;
        Ok(self.tally.code())
    }

    fn tell(&mut self, out: &mut Output) -> Result<(), Error> {
        match self.format {
            // Told one by one.
            None | Some(Format::Name) => Ok(()),
            Some(
                format @ (Format::Table
                | Format::Wide
                | Format::Json
                | Format::Jsonl
                | Format::Yaml),
            ) => {
                let told = std::mem::take(&mut self.told);
                out.list(&ListArgs::of(format), told, |tasks| {
                    Document::new(ACTED, ActedViews { tasks })
                })
            }
        }
    }
}
