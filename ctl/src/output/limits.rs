//! Limits, policies and what was spent, in words.

use agentd_proto::v1;

use super::page::bytes;
use crate::when::human;

/// Limits in words, those that are set.
pub(crate) fn limits_text(limits: Option<&v1::Limits>) -> String {
    let Some(limits) = limits else {
        return String::new();
    };
    let time = |name: &str, millis: Option<u64>| {
        millis
            .filter(|&millis| millis != 0)
            .map(|millis| format!("{name} {}", human(std::time::Duration::from_millis(millis))))
    };
    let idle = match limits.idle_timeout {
        Some(0) => Some("idle off".to_owned()),
        millis => time("idle", millis),
    };
    let attempts = limits
        .max_attempts
        .filter(|&most| most != 0)
        .map(|most| format!("max attempts {most}"));
    [
        time("start timeout", limits.start_timeout),
        time("timeout", limits.timeout),
        time("kill grace", limits.kill_grace),
        time("queue", limits.queue_ttl),
        idle,
        attempts,
        limits.memory.map(|size| format!("memory {}", bytes(size))),
        limits.pids.map(|most| format!("pids {most}")),
        limits
            .cpu
            .map(|part| format!("cpu {}", f64::from(part) / 1000.0)),
        limits
            .max_cost
            .map(|amount| format!("max cost {}", dollars(amount))),
        limits.max_tokens.map(|most| format!("max tokens {most}")),
        time("max wall time", limits.max_wall),
        limits
            .max_lineage_attempts
            .map(|most| format!("max attempts with reruns {most}")),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", ")
}

/// A retry policy in words, what is set of it.
pub(crate) fn retry_text(policy: Option<&v1::RetryPolicy>) -> String {
    let Some(policy) = policy else {
        return String::new();
    };
    let time = |name: &str, millis: Option<u64>| {
        millis.map(|millis| format!("{name} {}", human(std::time::Duration::from_millis(millis))))
    };
    let reasons = |name: &str, set: Option<&v1::Reasons>| {
        set.map(|set| match set.reasons.as_slice() {
            [] => format!("{name} nothing"),
            words => format!("{name} {}", words.join(" ")),
        })
    };
    let coefficient = policy.backoff_coefficient;
    [
        time("first pause", policy.initial_interval),
        coefficient.map(|number| format!("growing by {}", f64::from(number) / 1000.0)),
        time("longest pause", policy.maximum_interval),
        reasons("also after", policy.retry_on.as_ref()),
        reasons("never after", policy.non_retryable.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", ")
}

/// `$5.20, 1200 tokens, 2m05s of run time, 3 attempts`; a dash for a cost that
/// no agent named.
pub(crate) fn spend_text(spend: &v1::Spend) -> String {
    let time = human(std::time::Duration::from_millis(spend.wall));
    let attempts = match spend.attempts {
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    };
    let cost = match spend.cost {
        0 => "cost -".to_owned(),
        cost => dollars(cost),
    };
    format!(
        "{}, {} tokens, {time} of run time, {attempts}",
        cost, spend.tokens
    )
}

/// Millionths of a US dollar as `$5.20`, with more decimals where they are.
pub(crate) fn dollars(millionths: u64) -> String {
    let (whole, part) = (millionths / 1_000_000, millionths % 1_000_000);
    let part = format!("{part:06}");
    let end = part.trim_end_matches('0').len().max(2);
    format!("${whole}.{}", &part[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_the_decimals_that_it_has() {
        for (millionths, text) in [(0, "$0.00"), (5_200_000, "$5.20"), (12_500, "$0.0125")] {
            assert_eq!(dollars(millionths), text);
        }
    }

    #[test]
    fn one_attempt_is_no_attempts() {
        let spend = |attempts| v1::Spend {
            cost: 0,
            tokens: 7,
            wall: 1_500,
            attempts,
        };
        let one = "cost -, 7 tokens, 1.5s of run time, 1 attempt";
        assert_eq!(spend_text(&spend(1)), one);
        assert!(spend_text(&spend(2)).ends_with("2 attempts"));
    }
}
