//! The stored form of what is known of a schedule.

use prost::Message;

use super::RecordError;
use crate::task::{
    id::{TaskId, Timestamp},
    timetable::Fired,
};

#[derive(Clone, PartialEq, Message)]
struct ScheduleRecord {
    #[prost(string, tag = "1")]
    times: String,
    #[prost(int64, tag = "2")]
    since: i64,
    #[prost(int64, optional, tag = "3")]
    last: Option<i64>,
    #[prost(uint64, tag = "4")]
    task: u64,
}

pub(in crate::store) fn encode_schedule(fired: &Fired) -> Vec<u8> {
    ScheduleRecord {
        times: fired.times.clone(),
        since: fired.since.0,
        last: fired.last.map(|last| last.0),
        task: fired.task.map_or(0, TaskId::get),
    }
    .encode_to_vec()
}

pub(in crate::store) fn decode_schedule(bytes: &[u8]) -> Result<Fired, RecordError> {
    let record = ScheduleRecord::decode(bytes)?;
    Ok(Fired {
        times: record.times,
        since: Timestamp(record.since),
        last: record.last.map(Timestamp),
        task: TaskId::new(record.task),
    })
}
