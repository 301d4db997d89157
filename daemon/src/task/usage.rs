//! What agents use: tokens and money.

use serde::{Deserialize, Serialize};

/// Tokens and money of one attempt, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens that the model read, those of its provider's cache left out.
    #[serde(default)]
    pub input: u64,
    /// Tokens that it wrote.
    #[serde(default)]
    pub output: u64,
    /// Tokens that its provider had in its cache.
    #[serde(default)]
    pub cached: u64,
    /// Money, millionths of a US dollar; `None`: the agent does not say.
    #[serde(default)]
    pub cost: Option<u64>,
    /// Answers of the model.
    #[serde(default)]
    pub turns: u64,
}

impl Usage {
    /// What counts against a budget of tokens: read and written, but not what
    /// was in the cache.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cached: self.cached.saturating_add(other.cached),
            cost: match (self.cost, other.cost) {
                (None, None) => None,
                (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
            },
            turns: self.turns.saturating_add(other.turns),
        }
    }

    /// What came after `before`, of figures that count on over a resumed
    /// session. Where they have begun anew, all of it did.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let since = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now);
        Self {
            input: since(self.input, before.input),
            output: since(self.output, before.output),
            cached: since(self.cached, before.cached),
            cost: self.cost.map(|now| since(now, before.cost.unwrap_or(0))),
            turns: since(self.turns, before.turns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64, cost: Option<u64>) -> Usage {
        Usage {
            input,
            output,
            cost,
            ..Usage::default()
        }
    }

    #[test]
    fn an_unknown_cost_is_not_none_at_all() {
        let known = usage(1, 2, Some(5));
        let unknown = usage(10, 20, None);
        assert_eq!(known.plus(unknown), usage(11, 22, Some(5)));
        assert_eq!(unknown.plus(unknown).cost, None);
        assert_eq!(unknown.plus(known).tokens(), 33);
    }

    #[test]
    fn figures_that_begin_anew_count_in_full() {
        let before = usage(100, 10, Some(7));
        assert_eq!(usage(130, 12, Some(9)).since(before), usage(30, 2, Some(2)));
        assert_eq!(usage(30, 12, None).since(before), usage(30, 2, None));
    }
}
