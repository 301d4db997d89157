//! The stored form of what a queued task waits for.

use prost::Message;

use super::{RecordError, SteadyRecord, code::Code, steady, steady_record};
use crate::task::{
    dependency::{After, Condition},
    id::{TaskId, Timestamp},
    moment::Moment,
};

/// A moment on both clocks.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct MomentRecord {
    #[prost(int64, tag = "1")]
    wall: i64,
    #[prost(message, optional, tag = "2")]
    steady: Option<SteadyRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct AfterRecord {
    #[prost(uint64, tag = "1")]
    task: u64,
    #[prost(uint32, tag = "2")]
    condition: u32,
}

pub(super) fn moment_record(moment: Moment) -> MomentRecord {
    MomentRecord {
        wall: moment.wall.0,
        steady: steady_record(moment.steady),
    }
}

pub(super) fn moment(record: MomentRecord) -> Moment {
    Moment {
        wall: Timestamp(record.wall),
        steady: steady(record.steady),
    }
}

pub(super) fn after_records(list: &[After]) -> Vec<AfterRecord> {
    let record = |after: &After| AfterRecord {
        task: after.task.get(),
        condition: after.condition.code(),
    };
    list.iter().map(record).collect()
}

pub(super) fn after(records: &[AfterRecord]) -> Result<Vec<After>, RecordError> {
    let read = |record: &AfterRecord| {
        Ok(After {
            task: TaskId::new(record.task).ok_or(RecordError::Field("dependency"))?,
            condition: Condition::from_code(record.condition)?,
        })
    };
    records.iter().map(read).collect()
}
