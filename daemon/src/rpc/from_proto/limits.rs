//! What bounds a task, as clients name it.

use std::ops::RangeInclusive;

use agentd_proto::v1;

use super::Failure;
use crate::{
    config,
    task::{
        limits::{CPU, Limits, MAX_COST, MAX_LINEAGE_ATTEMPTS, MAX_PIDS, MAX_TOKENS, MIN_MEMORY},
        reason::Reasons,
        retry::{COEFFICIENT, LONGEST_INTERVAL, Policy},
    },
};

/// The limits of a request, all of them possible.
pub(super) fn limits(limits: Option<&v1::Limits>) -> Result<Limits, Failure> {
    let Some(limits) = limits else {
        return Ok(Limits::default());
    };
    for (field, value) in [
        ("limits.start_timeout", limits.start_timeout),
        ("limits.timeout", limits.timeout),
        ("limits.queue_ttl", limits.queue_ttl),
        ("limits.max_attempts", limits.max_attempts.map(u64::from)),
        ("limits.max_wall", limits.max_wall),
    ] {
        if value == Some(0) {
            return Err(Failure::field(field, format!("{field} is 0")));
        }
    }
    Ok(Limits {
        start_timeout: limits.start_timeout,
        timeout: limits.timeout,
        kill_grace: limits.kill_grace,
        max_attempts: limits.max_attempts,
        queue_ttl: limits.queue_ttl,
        idle_timeout: limits.idle_timeout,
        memory: within("limits.memory", limits.memory, MIN_MEMORY..=u64::MAX)?,
        pids: within("limits.pids", limits.pids, 1..=MAX_PIDS)?,
        cpu: within("limits.cpu", limits.cpu, CPU)?,
        max_cost: within("limits.max_cost", limits.max_cost, MAX_COST)?,
        max_tokens: within("limits.max_tokens", limits.max_tokens, MAX_TOKENS)?,
        max_wall: limits.max_wall,
        max_lineage_attempts: within(
            "limits.max_lineage_attempts",
            limits.max_lineage_attempts,
            1..=MAX_LINEAGE_ATTEMPTS,
        )?,
    })
}

/// The policy of a request.
pub(super) fn policy(policy: Option<&v1::RetryPolicy>) -> Result<Policy, Failure> {
    let Some(policy) = policy else {
        return Ok(Policy::default());
    };
    let interval = |field, value| within(field, value, 1..=LONGEST_INTERVAL);
    Ok(Policy {
        initial_interval: interval("retry.initial_interval", policy.initial_interval)?,
        backoff_coefficient: within(
            "retry.backoff_coefficient",
            policy.backoff_coefficient,
            COEFFICIENT,
        )?,
        maximum_interval: interval("retry.maximum_interval", policy.maximum_interval)?,
        retry_on: reasons(
            "retry.retry_on",
            policy.retry_on.as_ref(),
            config::retryable,
        )?,
        non_retryable: reasons(
            "retry.non_retryable",
            policy.non_retryable.as_ref(),
            config::reasons,
        )?,
    })
}

fn reasons(
    field: &str,
    given: Option<&v1::Reasons>,
    parse: fn(&[&str]) -> Result<Reasons, String>,
) -> Result<Option<Reasons>, Failure> {
    let words = given.map(|given| given.reasons.iter().map(String::as_str).collect::<Vec<_>>());
    let reasons = words.map(|words| parse(&words)).transpose();
    reasons.map_err(|wrong| Failure::field(field, wrong))
}

/// A limit that can be set, if one is given.
fn within<T: PartialOrd + std::fmt::Display>(
    field: &str,
    value: Option<T>,
    bounds: RangeInclusive<T>,
) -> Result<Option<T>, Failure> {
    match value {
        Some(value) if !bounds.contains(&value) => {
            let (low, high) = bounds.into_inner();
            let message = format!("{field} is {value}: expected {low} to {high}");
            Err(Failure::field(field, message))
        }
        value => Ok(value),
    }
}
