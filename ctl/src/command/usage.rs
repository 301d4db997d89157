//! `agentctl usage`.

use agentd_proto::v1::{self, usage_request};
use clap::{Args, ValueEnum};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde::Serialize;

use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        json::{Document, USAGE},
        limits::dollars,
        page::Format,
        table::{Cell, Column, Layout, render},
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

    /// Only attempts that were begun at or after: 30d ago, or a date.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: When,

    /// Only attempts that were begun before.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
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
        if self.output == Format::Json {
            let view = View::of(&answer, since, until, self.by, &zone);
            cx.out.json(&Document::new(USAGE, view))?;
            return Ok(EXIT_OK);
        }
        let layout = Layout {
            width: cx.out.width,
            color: cx.out.color,
            no_headers: false,
        };
        for line in table(&answer, self.by, &zone, layout) {
            cx.out.line(&line)?;
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

fn table(
    answer: &v1::UsageResponse,
    by: Option<By>,
    zone: &TimeZone,
    layout: Layout,
) -> Vec<String> {
    let head = match by {
        None => "",
        Some(By::Agent) => "AGENT",
        Some(By::Repo) => "REPO",
        Some(By::Day) => "DAY",
        Some(By::Lineage) => "LINEAGE",
    };
    let columns = [
        Column::flexible(head, 6),
        Column::fixed("TASKS"),
        Column::fixed("ATTEMPTS"),
        Column::fixed("RUN TIME"),
        Column::fixed("IN"),
        Column::fixed("OUT"),
        Column::fixed("CACHED"),
        Column::fixed("COST"),
    ];
    let cells = |name: &str, row: &v1::UsageRow| {
        let usage = row.usage.unwrap_or_default();
        vec![
            Cell::or_dash(name),
            Cell::from(row.tasks.to_string()),
            Cell::from(row.attempts.to_string()),
            Cell::from(human(std::time::Duration::from_millis(row.wall))),
            Cell::from(usage.input.to_string()),
            Cell::from(usage.output.to_string()),
            Cell::from(usage.cached.to_string()),
            Cell::or_dash(&usage.cost.map(dollars).unwrap_or_default()),
        ]
    };
    let rows = answer.rows.iter();
    let mut rows: Vec<_> = rows.map(|row| cells(&name(row, by, zone), row)).collect();
    if by.is_some() || rows.is_empty() {
        let total = answer.total.clone().unwrap_or_default();
        rows.push(cells("total", &total));
    }
    render(&columns, &rows, layout)
}

/// The usage, for scripts.
#[derive(Debug, Serialize)]
struct View {
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
struct RowView {
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

impl View {
    fn of(
        answer: &v1::UsageResponse,
        since: i64,
        until: Option<i64>,
        by: Option<By>,
        zone: &TimeZone,
    ) -> Self {
        let rows = answer.rows.iter();
        Self {
            since: rfc3339(since),
            until: until.and_then(rfc3339),
            rows: rows.map(|row| RowView::of(row, by, zone)).collect(),
            more: answer.more,
            total: RowView::of(&answer.total.clone().unwrap_or_default(), None, zone),
            counted_from: rfc3339(answer.from),
        }
    }
}

impl RowView {
    fn of(row: &v1::UsageRow, by: Option<By>, zone: &TimeZone) -> Self {
        let called = |this| {
            let name = Some(name(row, by, zone)).filter(|_| by == Some(this));
            name.filter(|name| !name.is_empty())
        };
        let usage = row.usage.unwrap_or_default();
        Self {
            agent: called(By::Agent),
            repo: called(By::Repo),
            day: called(By::Day),
            lineage: (row.lineage != 0).then_some(row.lineage),
            tasks: row.tasks,
            attempts: row.attempts,
            run_time_ms: row.wall,
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

    #[test]
    fn rows_and_their_sum() {
        let row = |name: &str, cost| v1::UsageRow {
            name: name.to_owned(),
            attempts: 3,
            tasks: 2,
            wall: 125_000,
            usage: Some(v1::Usage {
                input: 1_200,
                output: 300,
                cached: 9_000,
                cost,
                turns: 7,
            }),
            ..v1::UsageRow::default()
        };
        let answer = v1::UsageResponse {
            rows: vec![row("claude", Some(5_200_000)), row("tests", None)],
            total: Some(row("", Some(5_200_000))),
            ..v1::UsageResponse::default()
        };
        let layout = Layout {
            width: None,
            color: false,
            no_headers: false,
        };
        let lines = table(&answer, Some(By::Agent), &TimeZone::UTC, layout);
        insta::assert_snapshot!(lines.join("\n"));
    }
}
