//! What a task and its reruns may spend together.

use agentd_proto::v1;
use clap::Args;

use super::{at_least_one, task::parse_limit};
use crate::when::Span;

/// Millionths in a dollar, in decimals.
const DECIMALS: usize = 6;

/// Budgets of the task and its reruns together.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct BudgetArgs {
    /// What the task and its reruns may cost together, US dollars, for example
    /// 5.00.
    #[arg(long, value_name = "USD", value_parser = parse_usd)]
    max_cost_usd: Option<u64>,

    /// How many tokens they may use together, read and written.
    #[arg(long, value_name = "N", value_parser = at_least_one::<u64>)]
    max_tokens: Option<u64>,

    /// How long their agents may run in all.
    #[arg(long, value_name = "TIME", value_parser = parse_limit)]
    max_wall_time: Option<Span>,

    /// How many attempts they may make together [default: 25].
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>)]
    max_lineage_attempts: Option<u32>,
}

impl BudgetArgs {
    /// These budgets, and no other limit.
    pub(crate) fn limits(self) -> v1::Limits {
        v1::Limits {
            max_cost: self.max_cost_usd,
            max_tokens: self.max_tokens,
            max_wall: self.max_wall_time.map(Span::as_millis),
            max_lineage_attempts: self.max_lineage_attempts,
            ..v1::Limits::default()
        }
    }
}

/// Dollars with at most six decimals; millionths.
fn parse_usd(text: &str) -> Result<u64, String> {
    let wrong = || "an amount of US dollars is written 5 or 0.25".to_owned();
    let text = text.strip_prefix('$').unwrap_or(text);
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > DECIMALS {
        return Err(wrong());
    }
    let part: u64 = format!("{part:0<DECIMALS$}").parse().map_err(|_| wrong())?;
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let millionths = whole
        .checked_mul(1_000_000)
        .and_then(|n| n.checked_add(part));
    millionths
        .filter(|&amount| amount > 0)
        .ok_or_else(|| "more than nothing, and no more than there is".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_have_millionths() {
        for (text, millionths) in [
            ("5", 5_000_000),
            ("5.20", 5_200_000),
            ("$0.25", 250_000),
            ("0.000001", 1),
        ] {
            assert_eq!(parse_usd(text), Ok(millionths), "{text}");
        }
        for bad in ["", "0", ".5", "1.", "-1", "0.0000001", "1e3", "5 USD"] {
            assert!(parse_usd(bad).is_err(), "{bad}");
        }
        assert!(parse_usd("99999999999999999999").is_err());
    }
}
