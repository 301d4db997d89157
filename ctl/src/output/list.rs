//! The one place that writes lists: every command that prints one takes the
//! same flags, with the same meaning.

use std::marker::PhantomData;

use clap::builder::PossibleValuesParser;
use serde::Serialize;

use super::{
    Output,
    json::{Document, Script},
    table::{Column, Layout, Look, Shown, render},
};
use crate::error::Error;

/// What can be listed: a row of a table, an object for scripts, a name.
pub(crate) trait Listed: Into<Self::View> + 'static {
    /// What scripts see of it.
    type View: Serialize;
    /// The schema of one, where each has a line of its own.
    const SCHEMA: &'static str;
    /// All columns there are, in the order in which they are shown.
    const COLUMNS: &'static [Column<Self>];

    /// What `-o name` prints: what other commands take.
    fn name(&self) -> String;
}

/// How to print a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns that fit the terminal.
    #[default]
    #[value(alias = "text")]
    Table,
    /// More columns, as wide as they are.
    Wide,
    /// One JSON object.
    Json,
    /// One JSON object a line for each.
    Jsonl,
    /// The same as json, in YAML.
    Yaml,
    /// Ids or names only.
    Name,
}

impl Format {
    /// Whether a person reads it in columns.
    pub(crate) fn is_table(self) -> bool {
        match self {
            Self::Table | Self::Wide => true,
            Self::Json | Self::Jsonl | Self::Yaml | Self::Name => false,
        }
    }
}

/// How to print a list of `T`, as the user may choose it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ListArgs<T: Listed> {
    /// How to print the list.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Print ids or names only (the same as -o name).
    #[arg(short, long, conflicts_with = "output")]
    quiet: bool,
    /// Leave out the line of column heads.
    #[arg(long)]
    no_headers: bool,
    /// Show these columns, in this order.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', ignore_case = true)]
    #[arg(value_parser = column_names::<T>(), conflicts_with = "quiet")]
    columns: Vec<String>,
    /// A column that comes before the others, if none were chosen.
    #[arg(skip)]
    lead: Option<&'static str>,
    #[arg(skip)]
    of: PhantomData<T>,
}

/// How a verb that acts on tasks tells of them to scripts.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct TellArgs {
    /// Print the tasks to stdout in this form; without it they are told of in
    /// words.
    #[arg(short, long, value_enum, value_name = "FORMAT", help_heading = None::<&'static str>)]
    output: Option<Format>,
    /// Print ids and errors only (the same as -o name).
    #[arg(short, long, conflicts_with = "output", help_heading = None::<&'static str>)]
    quiet: bool,
}

impl TellArgs {
    /// The form chosen; `None`: words for people.
    pub(crate) fn format(self) -> Option<Format> {
        match self.quiet {
            true => Some(Format::Name),
            false => self.output,
        }
    }
}

fn column_names<T: Listed>() -> PossibleValuesParser {
    PossibleValuesParser::new(T::COLUMNS.iter().map(|column| column.key))
}

impl<T: Listed> ListArgs<T> {
    /// With nothing else chosen.
    pub(crate) fn of(format: Format) -> Self {
        Self {
            output: format,
            quiet: false,
            no_headers: false,
            columns: Vec::new(),
            lead: None,
            of: PhantomData,
        }
    }

    /// Shows the column `key` first, unless others were chosen.
    pub(crate) fn lead(self, key: &'static str) -> Self {
        Self {
            lead: Some(key),
            ..self
        }
    }

    /// The format chosen.
    ///
    /// # Errors
    /// Columns were chosen for something that has none.
    pub(crate) fn format(&self) -> Result<Format, Error> {
        let format = if self.quiet {
            Format::Name
        } else {
            self.output
        };
        if format.is_table() || self.columns.is_empty() {
            return Ok(format);
        }
        Err(Error::usage("--columns is for tables")
            .hint("leave out -o, or write -o table or -o wide"))
    }

    fn columns(&self, wide: bool) -> Vec<&'static Column<T>> {
        let find = |key: &str| {
            let mut all = T::COLUMNS.iter();
            all.find(|column| column.key.eq_ignore_ascii_case(key))
        };
        if !self.columns.is_empty() {
            return self.columns.iter().filter_map(|key| find(key)).collect();
        }
        let usual = T::COLUMNS.iter().filter(|column| match column.shown {
            Shown::Always => true,
            Shown::Narrow => !wide,
            Shown::Wide => wide,
            Shown::Asked => false,
        });
        self.lead.and_then(find).into_iter().chain(usual).collect()
    }
}

impl Output {
    /// Prints a list. `document` makes of the rows the one object that a
    /// script gets.
    ///
    /// # Errors
    /// A failed write, or columns that were chosen for what has none.
    pub(crate) fn list<T: Listed, D: Serialize>(
        &mut self,
        args: &ListArgs<T>,
        rows: Vec<T>,
        document: impl FnOnce(Vec<T::View>) -> Document<D>,
    ) -> Result<(), Error> {
        let whole = |rows: Vec<T>| document(rows.into_iter().map(Into::into).collect());
        match args.format()? {
            Format::Table => self.table(args, &rows, false),
            Format::Wide => self.table(args, &rows, true),
            Format::Json => self.document(Script::Json, &whole(rows)),
            Format::Yaml => self.document(Script::Yaml, &whole(rows)),
            Format::Jsonl => rows.into_iter().try_for_each(|row| self.list_line(row)),
            Format::Name => rows.iter().try_for_each(|row| self.name(row)),
        }
    }

    /// One of a list as a line of JSON.
    pub(crate) fn list_line<T: Listed>(&mut self, row: T) -> Result<(), Error> {
        self.json(&Document::new(T::SCHEMA, row.into()))
    }

    /// The name of one.
    pub(crate) fn name<T: Listed>(&mut self, row: &T) -> Result<(), Error> {
        // What is one word to other commands is no more than a line here.
        self.line(&super::table::one_line(&row.name()))
    }

    fn table<T: Listed>(
        &mut self,
        args: &ListArgs<T>,
        rows: &[T],
        wide: bool,
    ) -> Result<(), Error> {
        // Heads without rows would look like an answer.
        if rows.is_empty() {
            return Ok(());
        }
        let layout = Layout {
            width: if wide { None } else { self.width },
            color: self.color,
            no_headers: args.no_headers,
        };
        let look = self.look(wide);
        render(&args.columns(wide), rows, &look, layout)
            .iter()
            .try_for_each(|line| self.line(line))
    }

    /// What cells are told relative to.
    pub(crate) fn look(&mut self, wide: bool) -> Look {
        Look {
            now: self.now,
            zone: self.zone(),
            wide,
        }
    }
}
