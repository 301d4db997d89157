//! `agentctl usage`.

use agentd_proto::v1::{self, usage_request};
use clap::{Args, ValueEnum};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde::Serialize;

use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        json::{Document, USAGE, USAGE_ROW},
        limits::dollars,
        list::{ListArgs, Listed},
        table::{Cell, Column, Shown},
        tasks::path,
    },
    when::{When, human, rfc3339},
};

/// Days that are told apart; what is before them belongs to the first.
const MOST_DAYS: usize = 4_000;

/// Show what attempts have used: run time, tokens, money.
///
/// Tokens and cost are what the agents themselves say. Attempts count when they
/// were begun in the time that is asked for, also those that are under way.
#[derive(Debug, Args)]
pub(crate) struct Usage {
    /// What makes a row.
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Option<By>,

    /// Only attempts that were begun at or after: 30d (ago), or a date.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: When,

    /// Only attempts that were begun before.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,

    #[command(flatten)]
    list: ListArgs<Row>,
}

/// What makes a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// The agent.
    Agent,
    /// The repository.
    Repo,
    /// The day, in this machine's time zone.
    Day,
    /// A task and its reruns together.
    Lineage,
}

impl By {
    /// The column that tells it.
    fn key(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Repo => "repo",
            Self::Day => "day",
            Self::Lineage => "lineage",
        }
    }
}

impl Usage {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let (now, zone) = (cx.out.now, cx.out.zone());
        let since = self.since.as_millis(now, &zone);
        let until = self.until.map(|until| until.as_millis(now, &zone));
        if until.is_some_and(|until| until <= since) {
            return Err(Error::usage("--until is not after --since"));
        }
        let last = until.map_or(now, |until| {
            Timestamp::from_millisecond(until).unwrap_or(now)
        });
        let days = match self.by {
            Some(By::Day) => days(since, last, &zone),
            Some(By::Agent | By::Repo | By::Lineage) | None => Vec::new(),
        };
        let request = v1::UsageRequest {
            by: match self.by {
                None => usage_request::By::Unspecified,
                Some(By::Agent) => usage_request::By::Agent,
                Some(By::Repo) => usage_request::By::Repo,
                Some(By::Day) => usage_request::By::Day,
                Some(By::Lineage) => usage_request::By::Lineage,
            }
            .into(),
            since,
            until: until.unwrap_or(0),
            days,
        };
        let answer = cx.client().await?.usage(request).await?;
        let args = match self.by {
            Some(by) => self.list.lead(by.key()),
            None => self.list,
        };
        let table = args.format()?.is_table();
        print(cx, &answer, (since, until), self.by, args)?;
        if table && answer.rows.is_empty() {
            cx.out.note("nothing was used in that time");
        }
        if answer.more > 0 {
            cx.out
                .note(&format!("{} more rows are not shown", answer.more));
        }
        if let Some(from) = rfc3339(answer.from) {
            let what = format!("there is too much: only attempts from {from} on were counted");
            cx.out.note(&what);
        }
        Ok(EXIT_OK)
    }
}

/// The rows, and the sum of them: in a table the last row, else a key.
fn print(
    cx: &mut Context,
    answer: &v1::UsageResponse,
    (since, until): (i64, Option<i64>),
    by: Option<By>,
    args: ListArgs<Row>,
) -> Result<(), Error> {
    let zone = cx.out.zone();
    let rows = answer.rows.iter();
    let mut rows: Vec<Row> = rows.map(|row| Row::of(row, by, &zone)).collect();
    let total = Row {
        name: "total".to_owned(),
        by: None,
        row: answer.total.clone().unwrap_or_default(),
    };
    if by.is_some() && args.format()?.is_table() && !rows.is_empty() {
        rows.push(total.clone());
    }
    cx.out.list(&args, rows, |rows| {
        let view = View {
            since: rfc3339(since),
            until: until.and_then(rfc3339),
            rows,
            more: answer.more,
            total: total.into(),
            counted_from: rfc3339(answer.from),
        };
        Document::new(USAGE, view)
    })
}

/// When days begin, from the one of `since` to the one of `last`.
fn days(since: i64, last: Timestamp, zone: &TimeZone) -> Vec<i64> {
    let mut days = Vec::new();
    let mut day = last.to_zoned(zone.clone()).start_of_day();
    while let Ok(begin) = &day {
        days.push(begin.timestamp().as_millisecond());
        if begin.timestamp().as_millisecond() <= since || days.len() >= MOST_DAYS {
            break;
        }
        day = begin
            .checked_sub(1.day())
            .and_then(|before| before.start_of_day());
    }
    days.reverse();
    days
}

/// What a row is called.
fn name(row: &v1::UsageRow, by: Option<By>, zone: &TimeZone) -> String {
    match by {
        None => "all".to_owned(),
        Some(By::Agent | By::Repo) => row.name.clone(),
        Some(By::Lineage) => row.lineage.to_string(),
        Some(By::Day) => match Timestamp::from_millisecond(row.day) {
            Ok(day) if row.day != 0 => day.to_zoned(zone.clone()).strftime("%Y-%m-%d").to_string(),
            Ok(_) | Err(_) => String::new(),
        },
    }
}

/// A row, and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    name: String,
    /// What the name is one of; `None`: the sum of all.
    by: Option<By>,
    row: v1::UsageRow,
}

impl Row {
    fn of(row: &v1::UsageRow, by: Option<By>, zone: &TimeZone) -> Self {
        Self {
            name: name(row, by, zone),
            by,
            row: row.clone(),
        }
    }

    fn called(&self, by: By) -> Option<String> {
        let name = Some(&self.name).filter(|name| self.by == Some(by) && !name.is_empty());
        name.cloned()
    }

    fn usage(&self) -> v1::Usage {
        self.row.usage.unwrap_or_default()
    }

    /// As in a list of tasks: the last part of its path, all of it if there is room.
    fn repo(&self, wide: bool) -> Cell {
        match self.called(By::Repo) {
            Some(repo) => Cell::or_dash(path(&repo, wide)),
            None => self.cell(By::Repo),
        }
    }

    /// The sum is called so in whatever column stands first.
    fn cell(&self, by: By) -> Cell {
        match self.by {
            None => Cell::from(&self.name),
            Some(_) => Cell::or_dash(&self.called(by).unwrap_or_default()),
        }
    }
}

impl Listed for Row {
    type View = RowView;
    const SCHEMA: &'static str = USAGE_ROW;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::<Self>::new("agent", |row, _| row.cell(By::Agent))
            .cut(6)
            .shown(Shown::Asked),
        Column::<Self>::new("repo", |row, look| row.repo(look.wide))
            .cut(6)
            .shown(Shown::Asked),
        Column::<Self>::new("day", |row, _| row.cell(By::Day)).shown(Shown::Asked),
        Column::<Self>::new("lineage", |row, _| row.cell(By::Lineage)).shown(Shown::Asked),
        Column::<Self>::number("tasks", |row, _| Cell::number(row.row.tasks)),
        Column::<Self>::number("attempts", |row, _| Cell::number(row.row.attempts)).spare(1),
        Column::<Self>::number("run-time", |row, _| {
            Cell::from(human(std::time::Duration::from_millis(row.row.wall)))
        }),
        Column::<Self>::number("in", |row, _| Cell::number(row.usage().input)),
        Column::<Self>::number("out", |row, _| Cell::number(row.usage().output)),
        Column::<Self>::number("cached", |row, _| Cell::number(row.usage().cached)).spare(2),
        Column::<Self>::number("turns", |row, _| Cell::number(row.usage().turns))
            .shown(Shown::Wide),
        Column::<Self>::number("cost", |row, _| {
            Cell::or_dash(&row.usage().cost.map(dollars).unwrap_or_default())
        }),
    ];

    fn name(&self) -> String {
        // What belongs to none is a row, too.
        match self.name.as_str() {
            "" => "-".to_owned(),
            name => name.to_owned(),
        }
    }
}

/// The usage, for scripts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct View {
    since: Option<String>,
    until: Option<String>,
    rows: Vec<RowView>,
    /// Rows that are left out.
    more: u64,
    total: RowView,
    /// Only what was begun from then on was counted; `null`: all was.
    counted_from: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RowView {
    agent: Option<String>,
    repo: Option<String>,
    day: Option<String>,
    lineage: Option<u64>,
    tasks: u64,
    attempts: u64,
    run_time_ms: u64,
    input_tokens: u64,
    output_tokens: u64,
    cached_tokens: u64,
    turns: u64,
    /// Millionths of a US dollar; `null`: no agent said what it cost.
    cost_micro_usd: Option<u64>,
}

impl From<Row> for RowView {
    fn from(row: Row) -> Self {
        let usage = row.usage();
        Self {
            agent: row.called(By::Agent),
            repo: row.called(By::Repo),
            day: row.called(By::Day),
            lineage: (row.row.lineage != 0).then_some(row.row.lineage),
            tasks: row.row.tasks,
            attempts: row.row.attempts,
            run_time_ms: row.row.wall,
            input_tokens: usage.input,
            output_tokens: usage.output,
            cached_tokens: usage.cached,
            turns: usage.turns,
            cost_micro_usd: usage.cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_where_the_client_is() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let since = at("2026-02-27T23:00:00Z").as_millisecond();
        let found = days(since, at("2026-03-01T10:00:00Z"), &zone);
        let begins = ["2026-02-27T22:00:00Z", "2026-02-28T22:00:00Z"];
        let begins = begins.map(|text| at(text).as_millisecond());
        assert_eq!(found, begins);
        let all = days(0, at("2026-03-01T10:00:00Z"), &zone);
        assert_eq!(all.len(), MOST_DAYS);
        assert!(all.is_sorted());
    }
}
