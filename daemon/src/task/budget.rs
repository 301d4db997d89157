//! What a lineage may spend in all: a task, its attempts and its reruns
//! together.
//!
//! A lineage has at most one live attempt. A task can be run again only when it
//! has ended, its rerun has the key that every other rerun of the lineage would
//! have, and of a key only the oldest active task runs. So what was spent
//! `before` an attempt is known when it is claimed and does not change under
//! it, and a budget is overrun by at most what one attempt uses between two
//! reports.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What attempts have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Spend {
    /// Money, millionths of a US dollar.
    pub cost: u64,
    /// Tokens that were read and written, those from a cache left out.
    pub tokens: u64,
    /// Time that agents ran, milliseconds.
    pub wall: u64,
    /// Attempts that count: not those that met the limit of their account, nor
    /// those that no agent was started for.
    pub attempts: u32,
}

impl Spend {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cost: self.cost.saturating_add(other.cost),
            tokens: self.tokens.saturating_add(other.tokens),
            wall: self.wall.saturating_add(other.wall),
            attempts: self.attempts.saturating_add(other.attempts),
        }
    }

    /// What is beyond `forgiven`.
    #[must_use]
    pub fn minus(self, forgiven: Self) -> Self {
        Self {
            cost: self.cost.saturating_sub(forgiven.cost),
            tokens: self.tokens.saturating_sub(forgiven.tokens),
            wall: self.wall.saturating_sub(forgiven.wall),
            attempts: self.attempts.saturating_sub(forgiven.attempts),
        }
    }

    /// The first budget of which nothing is left.
    #[must_use]
    pub fn used_up(self, budgets: Budgets) -> Option<UsedUp> {
        let Budgets {
            cost,
            tokens,
            wall,
            attempts,
        } = budgets;
        let all = [
            (Budget::Cost, self.cost, cost),
            (Budget::Tokens, self.tokens, tokens),
            (Budget::Wall, self.wall, wall),
            (
                Budget::Attempts,
                u64::from(self.attempts),
                Some(u64::from(attempts)),
            ),
        ];
        all.into_iter().find_map(|(budget, spent, limit)| {
            let limit = limit.filter(|limit| spent >= *limit)?;
            Some(UsedUp {
                budget,
                spent,
                limit,
            })
        })
    }
}

/// `$5.20, 1200 tokens, 90 s, 3 attempts`.
impl fmt::Display for Spend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cost,
            tokens,
            wall,
            attempts,
        } = *self;
        write!(
            f,
            "{}, {tokens} tokens, {} s, {attempts} attempts",
            Dollars(cost),
            wall / 1000
        )
    }
}

/// Millionths of a US dollar, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dollars(pub u64);

/// `$5.20`; more than two decimals only where they are.
impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let part = format!("{part:06}");
        let end = part.trim_end_matches('0').len().max(2);
        write!(f, "${whole}.{}", &part[..end])
    }
}

/// What a lineage may spend; `None`: as much as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Millionths of a US dollar.
    pub cost: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// Milliseconds.
    pub wall: Option<u64>,
    /// Attempts that count.
    pub attempts: u32,
}

/// One of the [`Budgets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// Money.
    Cost,
    /// Tokens.
    Tokens,
    /// Time that agents ran.
    Wall,
    /// Attempts.
    Attempts,
}

/// A budget of which nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp {
    /// Which.
    pub budget: Budget,
    /// So much was spent, in its unit.
    pub spent: u64,
    /// So much may be.
    pub limit: u64,
}

impl UsedUp {
    /// Why no attempt follows.
    #[must_use]
    pub fn refusal(self) -> &'static str {
        match self.budget {
            Budget::Cost => "the money that its lineage may cost is spent",
            Budget::Tokens => "the tokens that its lineage may use are used",
            Budget::Wall => "its lineage has run for as long as it may",
            Budget::Attempts => "its lineage has made as many attempts as it may",
        }
    }
}

/// `max_cost_usd: $5.20 of $5.00`.
impl fmt::Display for UsedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spent, limit, .. } = *self;
        match self.budget {
            Budget::Cost => {
                write!(f, "max_cost_usd: {} of {}", Dollars(spent), Dollars(limit))
            }
            Budget::Tokens => write!(f, "max_tokens: {spent} of {limit}"),
            Budget::Wall => write!(
                f,
                "max_wall_time: {} s of {} s",
                spent / 1000,
                limit.div_ceil(1000)
            ),
            Budget::Attempts => write!(f, "max_lineage_attempts: {spent} of {limit}"),
        }
    }
}

#[cfg(test)]
mod tests;
