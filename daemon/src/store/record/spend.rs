//! The stored form of what was spent, and of accounts that met a limit.

use prost::Message;

use super::{RecordError, SteadyRecord, code::Code, steady, steady_record};
use crate::task::{
    budget::Spend,
    id::{AttemptId, TaskId, Timestamp},
    limits::Limits,
    moment::Moment,
    quota::Account,
    reason::FailureReason,
};

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct SpendRecord {
    #[prost(uint64, tag = "1")]
    cost: u64,
    #[prost(uint64, tag = "2")]
    tokens: u64,
    #[prost(uint64, tag = "3")]
    wall: u64,
    #[prost(uint32, tag = "4")]
    attempts: u32,
}

/// What a lineage may spend.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct BudgetsRecord {
    #[prost(uint64, optional, tag = "1")]
    max_cost: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    max_tokens: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    max_wall: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    max_lineage_attempts: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct AccountRecord {
    #[prost(uint32, tag = "1")]
    strikes: u32,
    #[prost(int64, tag = "2")]
    struck_at: i64,
    #[prost(message, optional, tag = "3")]
    struck_steady: Option<SteadyRecord>,
    #[prost(int64, tag = "4")]
    until: i64,
    #[prost(int64, tag = "5")]
    since: i64,
    #[prost(message, optional, tag = "6")]
    since_steady: Option<SteadyRecord>,
    #[prost(uint32, tag = "7")]
    reason: u32,
    #[prost(string, tag = "8")]
    message: String,
    #[prost(uint64, tag = "9")]
    task: u64,
    #[prost(uint32, tag = "10")]
    attempt: u32,
}

/// `None` if nothing was spent.
pub(super) fn spend_record(spend: Spend) -> Option<SpendRecord> {
    (spend != Spend::default()).then_some(SpendRecord {
        cost: spend.cost,
        tokens: spend.tokens,
        wall: spend.wall,
        attempts: spend.attempts,
    })
}

pub(super) fn spend(record: Option<SpendRecord>) -> Spend {
    let record = record.unwrap_or_default();
    Spend {
        cost: record.cost,
        tokens: record.tokens,
        wall: record.wall,
        attempts: record.attempts,
    }
}

/// `None` if nothing is said: most tasks have no such field.
pub(super) fn budgets_record(limits: Limits) -> Option<BudgetsRecord> {
    let record = BudgetsRecord {
        max_cost: limits.max_cost,
        max_tokens: limits.max_tokens,
        max_wall: limits.max_wall,
        max_lineage_attempts: limits.max_lineage_attempts,
    };
    (record != BudgetsRecord::default()).then_some(record)
}

/// These limits with the budgets of a record.
pub(super) fn with_budgets(limits: Limits, record: Option<BudgetsRecord>) -> Limits {
    let record = record.unwrap_or_default();
    Limits {
        max_cost: record.max_cost,
        max_tokens: record.max_tokens,
        max_wall: record.max_wall,
        max_lineage_attempts: record.max_lineage_attempts,
        ..limits
    }
}

pub(in crate::store) fn encode_spend(spent: Spend) -> Vec<u8> {
    spend_record(spent).unwrap_or_default().encode_to_vec()
}

pub(in crate::store) fn decode_spend(bytes: &[u8]) -> Result<Spend, RecordError> {
    Ok(spend(Some(SpendRecord::decode(bytes)?)))
}

pub(in crate::store) fn encode_account(account: &Account) -> Vec<u8> {
    AccountRecord {
        strikes: account.strikes,
        struck_at: account.struck_at.wall.0,
        struck_steady: steady_record(account.struck_at.steady),
        until: account.until.0,
        since: account.since.wall.0,
        since_steady: steady_record(account.since.steady),
        reason: account.reason.code(),
        message: account.message.clone(),
        task: account.attempt.task.get(),
        attempt: account.attempt.number,
    }
    .encode_to_vec()
}

pub(in crate::store) fn decode_account(bytes: &[u8]) -> Result<Account, RecordError> {
    let record = AccountRecord::decode(bytes)?;
    let moment = |wall, steadily| Moment {
        wall: Timestamp(wall),
        steady: steady(steadily),
    };
    Ok(Account {
        strikes: record.strikes,
        struck_at: moment(record.struck_at, record.struck_steady),
        until: Timestamp(record.until),
        since: moment(record.since, record.since_steady),
        reason: FailureReason::from_code(record.reason)?,
        message: record.message,
        attempt: AttemptId {
            task: TaskId::new(record.task).ok_or(RecordError::Field("task of an account"))?,
            number: record.attempt,
        },
    })
}
