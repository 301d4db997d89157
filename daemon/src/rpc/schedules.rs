//! What is scheduled, as people see it.

use agentd_proto::v1;

use super::{Shared, error::Failure};
use crate::task::id::TaskId;

/// Every schedule, by name.
pub(super) async fn schedules(shared: &Shared) -> Result<v1::SchedulesResponse, Failure> {
    let config = shared.dispatcher.config();
    let now = shared.dispatcher.moment().wall;
    let rows = shared.read(|reader| reader.schedules()).await?;
    let shown = config.schedules.values().map(|schedule| {
        let row = rows.get(&schedule.name);
        let row = row.filter(|row| row.times == schedule.times.identity());
        let next = schedule.times.next(now);
        v1::Schedule {
            name: schedule.name.clone(),
            cron: schedule.times.expression().to_owned(),
            timezone: schedule.times.zone().to_owned(),
            agent: schedule.agent.clone(),
            next_at: next.map_or(0, |at| at.0),
            last_at: row.and_then(|row| row.last).map_or(0, |at| at.0),
            last_task: row.and_then(|row| row.task).map_or(0, TaskId::get),
        }
    });
    Ok(v1::SchedulesResponse {
        schedules: shown.collect(),
    })
}
