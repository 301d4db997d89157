//! What agents say of themselves.

use super::handle::{Handle, Message, Unavailable};
use crate::task::{id::AttemptId, observed::Observed, token::Token};

/// Somebody speaks for an attempt.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Which one.
    pub attempt: AttemptId,
    /// By what right.
    pub token: Token,
    /// How things are there.
    pub observed: Observed,
}

/// A statement that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// What it says is durable.
    Kept,
    /// The attempt has said too much already.
    Enough,
}

/// A statement that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// There is no such attempt, or it has another token.
    #[error("the token is not that of attempt {0}")]
    Token(AttemptId),
    /// It has ended.
    #[error("attempt {0} has ended")]
    Ended(AttemptId),
    /// Not now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Handle {
    /// Keeps what an agent says of itself. Durable when this returns.
    ///
    /// # Errors
    /// If it may not speak for that attempt, or that has ended.
    pub async fn say(&self, statement: Statement) -> Result<Heard, StatementError> {
        self.ask(|reply| Message::Say(Box::new(statement), reply))
            .await?
    }
}
