//! The stored form of tasks, attempts, events and payloads.
//!
//! Rows are protobuf messages of this module's own: fields are found by their
//! number, so that one can be added without rewriting every row, and a row of
//! before it reads as if it were empty. A number is never used again. The test
//! of this module holds the bytes of format 1.

mod attempt;
mod code;
mod observed;
mod retry;
mod schedule;
mod session;
mod spend;
mod task;
mod wait;

use prost::Message;

use self::code::{Code, state_kind};
pub(super) use self::{
    attempt::{decode_attempt, encode_attempt},
    schedule::{decode_schedule, encode_schedule},
    session::{decode_session, encode_session},
    spend::{decode_account, decode_spend, encode_account, encode_spend},
    task::{decode_task, encode_task},
};
use crate::task::{
    attempt::Ending,
    event::What,
    id::{Revision, TaskId, Timestamp},
    moment::{Boot, Steady},
    reason::{FailureReason, Outcome},
    spec::Payload,
    state::StateKind,
};

/// A row that cannot be understood: the store is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is no such message.
    #[error("damaged row")]
    Decode(#[from] prost::DecodeError),
    /// A field holds what no version of this program writes.
    #[error("damaged row: impossible {0}")]
    Field(&'static str),
}

/// One row of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The change.
    pub revision: Revision,
    /// Of which task.
    pub task: TaskId,
    /// Of which attempt; 0 for none.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
    /// Why; may be empty.
    pub why: String,
    /// The state after it.
    pub state: StateKind,
}

#[derive(Clone, PartialEq, Message)]
struct EndingRecord {
    #[prost(uint32, tag = "1")]
    outcome: u32,
    #[prost(uint32, optional, tag = "2")]
    reason: Option<u32>,
    #[prost(string, tag = "3")]
    message: String,
    #[prost(int64, tag = "4")]
    at: i64,
}

/// Where the clock for waiting stood, beside the wall clock's time.
#[derive(Clone, Copy, PartialEq, Message)]
struct SteadyRecord {
    #[prost(fixed64, tag = "1")]
    boot: u64,
    #[prost(uint64, tag = "2")]
    millis: u64,
}

#[derive(Clone, PartialEq, Message)]
struct EventRecord {
    #[prost(uint64, tag = "1")]
    task: u64,
    #[prost(uint32, tag = "2")]
    attempt: u32,
    #[prost(int64, tag = "3")]
    at: i64,
    #[prost(uint32, tag = "4")]
    what: u32,
    #[prost(string, tag = "5")]
    why: String,
    #[prost(uint32, tag = "6")]
    state: u32,
}

#[derive(Clone, PartialEq, Message)]
struct PayloadRecord {
    #[prost(string, tag = "1")]
    prompt: String,
    #[prost(string, repeated, tag = "2")]
    command: Vec<String>,
}

fn ending_record(ending: &Ending) -> EndingRecord {
    EndingRecord {
        outcome: ending.outcome.code(),
        reason: ending.reason.map(Code::code),
        message: ending.message.clone(),
        at: ending.at.0,
    }
}

fn ending(record: EndingRecord) -> Result<Ending, RecordError> {
    Ok(Ending {
        outcome: Outcome::from_code(record.outcome)?,
        reason: record.reason.map(FailureReason::from_code).transpose()?,
        message: record.message,
        at: Timestamp(record.at),
    })
}

fn steady_record(steady: Option<Steady>) -> Option<SteadyRecord> {
    steady.map(|Steady { boot, millis }| SteadyRecord {
        boot: boot.0,
        millis,
    })
}

fn steady(record: Option<SteadyRecord>) -> Option<Steady> {
    record.map(|record| Steady {
        boot: Boot(record.boot),
        millis: record.millis,
    })
}

/// A path as stored. Paths that are not UTF-8 are refused at submit.
fn path_text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(super) fn encode_event(entry: &JournalEntry) -> Vec<u8> {
    EventRecord {
        task: entry.task.get(),
        attempt: entry.attempt,
        at: entry.at.0,
        what: entry.what.code(),
        why: entry.why.clone(),
        state: u32::from(entry.state as u8),
    }
    .encode_to_vec()
}

pub(super) fn decode_event(revision: u64, bytes: &[u8]) -> Result<JournalEntry, RecordError> {
    let record = EventRecord::decode(bytes)?;
    let state = u8::try_from(record.state).map_err(|_| RecordError::Field("state"))?;
    Ok(JournalEntry {
        revision: Revision(revision),
        task: TaskId::new(record.task).ok_or(RecordError::Field("task"))?,
        attempt: record.attempt,
        at: Timestamp(record.at),
        what: What::from_code(record.what)?,
        why: record.why,
        state: state_kind(state)?,
    })
}

pub(super) fn encode_payload(payload: &Payload) -> Vec<u8> {
    PayloadRecord {
        prompt: payload.prompt.clone(),
        command: payload.command.clone(),
    }
    .encode_to_vec()
}

pub(super) fn decode_payload(bytes: &[u8]) -> Result<Payload, RecordError> {
    let record = PayloadRecord::decode(bytes)?;
    Ok(Payload {
        prompt: record.prompt,
        command: record.command,
    })
}

#[cfg(test)]
mod tests;
