//! Retry policies, and what was spent.

use agentd_proto::v1;
use serde::Serialize;

/// What decides about retries; `null` is the default of agent or daemon.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct RetryView {
    initial_interval_ms: Option<u64>,
    backoff_coefficient: Option<f64>,
    maximum_interval_ms: Option<u64>,
    retry_on: Option<Vec<String>>,
    non_retryable: Option<Vec<String>>,
}

/// What attempts have used together.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct SpendView {
    /// Millionths of a US dollar.
    cost_micro_usd: u64,
    tokens: u64,
    run_time_ms: u64,
    attempts: u32,
}

impl From<v1::RetryPolicy> for RetryView {
    fn from(policy: v1::RetryPolicy) -> Self {
        let coefficient = policy.backoff_coefficient;
        Self {
            initial_interval_ms: policy.initial_interval,
            backoff_coefficient: coefficient.map(|number| f64::from(number) / 1000.0),
            maximum_interval_ms: policy.maximum_interval,
            retry_on: policy.retry_on.map(|set| set.reasons),
            non_retryable: policy.non_retryable.map(|set| set.reasons),
        }
    }
}

impl From<v1::Spend> for SpendView {
    fn from(spend: v1::Spend) -> Self {
        Self {
            cost_micro_usd: spend.cost,
            tokens: spend.tokens,
            run_time_ms: spend.wall,
            attempts: spend.attempts,
        }
    }
}
