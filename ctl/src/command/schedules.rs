//! `agentctl schedules`.

use agentd_proto::v1;
use clap::Args;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        Output,
        json::{Document, SCHEDULES},
        page::Format,
        table::{Cell, Column, Layout, render},
    },
    when::{local, rfc3339},
};

/// Show what is scheduled: when it runs next, and what it ran last.
///
/// Schedules are set in the configuration of agentd, [schedules.NAME].
#[derive(Debug, Args)]
pub(crate) struct Schedules {
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

impl Schedules {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let list = cx.client().await?.schedules().await?.schedules;
        match self.output {
            Format::Json => cx.out.json(&Document::new(SCHEDULES, View::from(list)))?,
            Format::Text => show(&mut cx.out, &list)?,
        }
        Ok(EXIT_OK)
    }
}

fn show(out: &mut Output, list: &[v1::Schedule]) -> Result<(), Error> {
    if list.is_empty() {
        out.note("nothing is scheduled: [schedules.NAME] in the configuration of agentd does that");
        return Ok(());
    }
    let zone = out.zone();
    let rows: Vec<Vec<Cell>> = list.iter().map(|schedule| row(schedule, &zone)).collect();
    let layout = Layout {
        width: out.width,
        color: out.color,
        no_headers: false,
    };
    render(&COLUMNS, &rows, layout)
        .iter()
        .try_for_each(|line| out.line(line))
}

const COLUMNS: [Column; 7] = [
    Column::flexible("NAME", 6),
    Column::fixed("CRON"),
    Column::fixed("ZONE"),
    Column::fixed("AGENT"),
    Column::fixed("NEXT"),
    Column::fixed("LAST"),
    Column::fixed("TASK"),
];

fn row(schedule: &v1::Schedule, zone: &TimeZone) -> Vec<Cell> {
    let time = |at| Cell::or_dash(&local(at, zone).unwrap_or_default());
    let task = match schedule.last_task {
        0 => String::new(),
        task => task.to_string(),
    };
    vec![
        Cell::from(schedule.name.as_str()),
        Cell::from(schedule.cron.as_str()),
        Cell::or_dash(&schedule.timezone),
        Cell::from(schedule.agent.as_str()),
        time(schedule.next_at),
        time(schedule.last_at),
        Cell::or_dash(&task),
    ]
}

/// All schedules.
#[derive(Debug, Serialize)]
struct View {
    schedules: Vec<ScheduleView>,
}

/// One schedule.
#[derive(Debug, Serialize)]
struct ScheduleView {
    name: String,
    cron: String,
    timezone: String,
    agent: String,
    next_at: Option<String>,
    last_at: Option<String>,
    last_task: Option<u64>,
}

impl From<Vec<v1::Schedule>> for View {
    fn from(list: Vec<v1::Schedule>) -> Self {
        let view = |schedule: v1::Schedule| ScheduleView {
            name: schedule.name,
            cron: schedule.cron,
            timezone: schedule.timezone,
            agent: schedule.agent,
            next_at: rfc3339(schedule.next_at),
            last_at: rfc3339(schedule.last_at),
            last_task: Some(schedule.last_task).filter(|task| *task != 0),
        };
        Self {
            schedules: list.into_iter().map(view).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown() {
        let schedule = v1::Schedule {
            name: "nightly".to_owned(),
            cron: "0 3 * * *".to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            agent: "claude".to_owned(),
            next_at: 1_772_416_800_000,
            last_at: 1_772_330_400_000,
            last_task: 42,
        };
        let new = v1::Schedule {
            name: "new".to_owned(),
            last_at: 0,
            last_task: 0,
            ..schedule.clone()
        };
        let rows = [&schedule, &new].map(|schedule| row(schedule, &TimeZone::UTC));
        let layout = Layout {
            width: None,
            color: false,
            no_headers: false,
        };
        insta::assert_snapshot!(render(&COLUMNS, &rows, layout).join("\n"));
        let json = serde_json::to_string_pretty(&View::from(vec![new])).unwrap();
        insta::assert_snapshot!(json);
    }
}
