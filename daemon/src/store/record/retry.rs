//! The stored form of a retry policy.

use prost::Message;

use super::{RecordError, code::Code};
use crate::task::{
    reason::{FailureReason, Reasons},
    retry::Policy,
};

#[derive(Clone, PartialEq, Message)]
pub(super) struct PolicyRecord {
    #[prost(uint64, optional, tag = "1")]
    initial_interval: Option<u64>,
    #[prost(uint32, optional, tag = "2")]
    backoff_coefficient: Option<u32>,
    #[prost(uint64, optional, tag = "3")]
    maximum_interval: Option<u64>,
    #[prost(message, optional, tag = "4")]
    retry_on: Option<ReasonsRecord>,
    #[prost(message, optional, tag = "5")]
    non_retryable: Option<ReasonsRecord>,
}

/// A message of its own: that none is named is something else than that
/// nothing was said.
#[derive(Clone, PartialEq, Message)]
struct ReasonsRecord {
    #[prost(uint32, repeated, tag = "1")]
    reasons: Vec<u32>,
}

/// `None` if it says nothing: most tasks have no such field.
pub(super) fn policy_record(policy: Policy) -> Option<PolicyRecord> {
    let reasons = |reasons: Reasons| ReasonsRecord {
        reasons: reasons.iter().map(Code::code).collect(),
    };
    (policy != Policy::default()).then(|| PolicyRecord {
        initial_interval: policy.initial_interval,
        backoff_coefficient: policy.backoff_coefficient,
        maximum_interval: policy.maximum_interval,
        retry_on: policy.retry_on.map(reasons),
        non_retryable: policy.non_retryable.map(reasons),
    })
}

pub(super) fn policy(record: Option<PolicyRecord>) -> Result<Policy, RecordError> {
    let Some(record) = record else {
        return Ok(Policy::default());
    };
    let reasons = |record: ReasonsRecord| {
        let codes = record.reasons.into_iter();
        codes.map(FailureReason::from_code).collect()
    };
    Ok(Policy {
        initial_interval: record.initial_interval,
        backoff_coefficient: record.backoff_coefficient,
        maximum_interval: record.maximum_interval,
        retry_on: record.retry_on.map(reasons).transpose()?,
        non_retryable: record.non_retryable.map(reasons).transpose()?,
    })
}
