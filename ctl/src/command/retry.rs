//! Which failed attempts are followed by another one, and when.

use agentd_proto::v1;
use clap::Args;

use super::task::parse_limit;
use crate::when::Span;

/// The retry policy of one task.
#[derive(Debug, Clone, Args)]
pub(crate) struct RetryArgs {
    /// Make another attempt also after these failure reasons, for example
    /// workspace_failed,agent_error; none for those of its class only.
    #[arg(long, value_name = "REASON,…|none", value_parser = parse_reasons)]
    retry_on: Option<v1::Reasons>,

    /// Make no other attempt after these failure reasons, for example timeout.
    #[arg(long, value_name = "REASON,…|none", value_parser = parse_reasons)]
    non_retryable: Option<v1::Reasons>,

    /// The pause before the second attempt at the most [default: 1s].
    #[arg(long, value_name = "TIME", value_parser = parse_limit)]
    initial_interval: Option<Span>,

    /// By how much the pause grows with each attempt [default: 2].
    #[arg(long, value_name = "N", value_parser = parse_coefficient)]
    backoff_coefficient: Option<u32>,

    /// The pause before any attempt at the most [default: 5m].
    #[arg(long, value_name = "TIME", value_parser = parse_limit)]
    maximum_interval: Option<Span>,
}

impl RetryArgs {
    /// For the interface; `None` if nothing was given.
    pub(crate) fn policy(self) -> Option<v1::RetryPolicy> {
        let policy = v1::RetryPolicy {
            initial_interval: self.initial_interval.map(Span::as_millis),
            backoff_coefficient: self.backoff_coefficient,
            maximum_interval: self.maximum_interval.map(Span::as_millis),
            retry_on: self.retry_on,
            non_retryable: self.non_retryable,
        };
        (policy != v1::RetryPolicy::default()).then_some(policy)
    }
}

/// Words with commas between them; the daemon knows which there are.
fn parse_reasons(text: &str) -> Result<v1::Reasons, String> {
    if text == "none" {
        return Ok(v1::Reasons::default());
    }
    let words: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
    if words.iter().any(String::is_empty) {
        return Err("failure reasons are written timeout,idle, or none".to_owned());
    }
    Ok(v1::Reasons { reasons: words })
}

/// A number with at most three decimals; thousandths.
fn parse_coefficient(text: &str) -> Result<u32, String> {
    let wrong = || "a coefficient is written 2 or 1.5, and is at least 1".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return Err(wrong());
    }
    let part: u32 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
    let whole: u32 = whole.parse().map_err(|_| wrong())?;
    let thousandths = whole.checked_mul(1000).and_then(|n| n.checked_add(part));
    thousandths
        .filter(|&number| number >= 1000)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_words_with_commas() {
        let words = |text| parse_reasons(text).map(|reasons| reasons.reasons);
        let two = vec!["timeout".to_owned(), "idle".to_owned()];
        assert_eq!(words("timeout, idle"), Ok(two));
        assert_eq!(words("none"), Ok(Vec::new()));
        for bad in ["", "timeout,", ",idle"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_coefficient_lets_no_pause_shrink() {
        assert_eq!(parse_coefficient("1.5"), Ok(1500));
        for bad in ["", "0.9", "-2", "x", "1.0005"] {
            assert!(parse_coefficient(bad).is_err(), "{bad}");
        }
    }
}
