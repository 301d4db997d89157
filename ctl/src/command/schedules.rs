//! `agentctl schedules`.

use agentd_proto::v1;
use clap::Args;
use serde::Serialize;

use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        json::{Document, SCHEDULE, SCHEDULES},
        list::{ListArgs, Listed},
        table::{Cell, Column},
        tasks::time,
    },
    when::rfc3339,
};

/// Show what is scheduled: when it runs next, and what it ran last.
///
/// Schedules are set in the configuration of agentd, [schedules.NAME].
#[derive(Debug, Args)]
pub(crate) struct Schedules {
    #[command(flatten)]
    list: ListArgs<v1::Schedule>,
}

impl Schedules {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let list = cx.client().await?.schedules().await?.schedules;
        if list.is_empty() {
            cx.out.note(
                "nothing is scheduled: [schedules.NAME] in the configuration of agentd does that",
            );
        }
        cx.out.list(&self.list, list, |schedules| {
            Document::new(SCHEDULES, View { schedules })
        })?;
        Ok(EXIT_OK)
    }
}

impl Listed for v1::Schedule {
    type View = ScheduleView;
    const SCHEMA: &'static str = SCHEDULE;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::<Self>::new("name", |schedule, _| Cell::from(&schedule.name)).cut(6),
        Column::<Self>::new("cron", |schedule, _| Cell::from(&schedule.cron)),
        Column::<Self>::new("zone", |schedule, _| Cell::or_dash(&schedule.timezone)).spare(2),
        Column::<Self>::new("agent", |schedule, _| Cell::from(&schedule.agent)).cut(6),
        Column::<Self>::new("next", |schedule, look| time(schedule.next_at, look)),
        Column::<Self>::new("last", |schedule, look| time(schedule.last_at, look)).spare(1),
        Column::<Self>::new("task", |schedule, _| match schedule.last_task {
            0 => Cell::or_dash(""),
            task => Cell::number(task),
        }),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// All schedules.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct View {
    schedules: Vec<ScheduleView>,
}

/// One schedule.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ScheduleView {
    name: String,
    cron: String,
    timezone: String,
    agent: String,
    next_at: Option<String>,
    last_at: Option<String>,
    last_task: Option<u64>,
}

impl From<v1::Schedule> for ScheduleView {
    fn from(schedule: v1::Schedule) -> Self {
        Self {
            name: schedule.name,
            cron: schedule.cron,
            timezone: schedule.timezone,
            agent: schedule.agent,
            next_at: rfc3339(schedule.next_at),
            last_at: rfc3339(schedule.last_at),
            last_task: Some(schedule.last_task).filter(|task| *task != 0),
        }
    }
}
