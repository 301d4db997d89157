//! The stored form of what is known of an agent's run.

use prost::Message;

use super::{RecordError, code::Code};
use crate::task::{
    id::Timestamp,
    observed::{Claim, Fault, Limited, Observed},
    reason::FailureReason,
    usage::Usage,
};

#[derive(Clone, PartialEq, Message)]
pub(super) struct UsageRecord {
    #[prost(uint64, tag = "1")]
    input: u64,
    #[prost(uint64, tag = "2")]
    output: u64,
    #[prost(uint64, tag = "3")]
    cached: u64,
    #[prost(uint64, optional, tag = "4")]
    cost: Option<u64>,
    #[prost(uint64, tag = "5")]
    turns: u64,
}

/// A limit of the account, or a fault: a reason and words.
#[derive(Clone, PartialEq, Message)]
struct CauseRecord {
    #[prost(uint32, tag = "1")]
    reason: u32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int64, optional, tag = "3")]
    until: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct ClaimRecord {
    #[prost(bool, tag = "1")]
    done: bool,
    #[prost(string, tag = "2")]
    message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ObservedRecord {
    #[prost(string, optional, tag = "1")]
    session: Option<String>,
    #[prost(message, optional, tag = "2")]
    usage: Option<UsageRecord>,
    #[prost(string, optional, tag = "3")]
    model: Option<String>,
    #[prost(string, optional, tag = "4")]
    progress: Option<String>,
    #[prost(message, optional, tag = "5")]
    limited: Option<CauseRecord>,
    #[prost(message, optional, tag = "6")]
    fault: Option<CauseRecord>,
    #[prost(string, optional, tag = "7")]
    declined: Option<String>,
    #[prost(message, optional, tag = "8")]
    claim: Option<ClaimRecord>,
    #[prost(string, optional, tag = "9")]
    session_gone: Option<String>,
}

pub(super) fn usage_record(usage: Usage) -> UsageRecord {
    UsageRecord {
        input: usage.input,
        output: usage.output,
        cached: usage.cached,
        cost: usage.cost,
        turns: usage.turns,
    }
}

pub(super) fn usage(record: UsageRecord) -> Usage {
    Usage {
        input: record.input,
        output: record.output,
        cached: record.cached,
        cost: record.cost,
        turns: record.turns,
    }
}

/// `None` if nothing is known: most attempts have no such field.
pub(super) fn observed_record(observed: &Observed) -> Option<ObservedRecord> {
    let limited = observed.limited.as_ref();
    let fault = observed.fault.as_ref();
    let claim = observed.claim.as_ref();
    (*observed != Observed::default()).then(|| ObservedRecord {
        session: observed.session.clone(),
        session_gone: observed.session_gone.clone(),
        usage: observed.usage.map(usage_record),
        model: observed.model.clone(),
        progress: observed.progress.clone(),
        limited: limited.map(|limited| CauseRecord {
            reason: limited.reason.code(),
            message: limited.message.clone(),
            until: limited.until.map(|until| until.0),
        }),
        fault: fault.map(|fault| CauseRecord {
            reason: fault.reason.code(),
            message: fault.message.clone(),
            until: None,
        }),
        declined: observed.declined.clone(),
        claim: claim.map(|claim| ClaimRecord {
            done: claim.done,
            message: claim.message.clone(),
        }),
    })
}

pub(super) fn observed(record: Option<ObservedRecord>) -> Result<Observed, RecordError> {
    let Some(record) = record else {
        return Ok(Observed::default());
    };
    let limited = |limited: CauseRecord| {
        Ok::<_, RecordError>(Limited {
            reason: FailureReason::from_code(limited.reason)?,
            until: limited.until.map(Timestamp),
            message: limited.message,
        })
    };
    let fault = |fault: CauseRecord| {
        Ok::<_, RecordError>(Fault {
            reason: FailureReason::from_code(fault.reason)?,
            message: fault.message,
        })
    };
    Ok(Observed {
        session: record.session,
        session_gone: record.session_gone,
        usage: record.usage.map(usage),
        model: record.model,
        progress: record.progress,
        limited: record.limited.map(limited).transpose()?,
        fault: record.fault.map(fault).transpose()?,
        declined: record.declined,
        claim: record.claim.map(|claim| Claim {
            done: claim.done,
            message: claim.message,
        }),
    })
}
