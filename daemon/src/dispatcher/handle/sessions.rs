//! The registry of sessions, as people change it.

use super::{Handle, Message, Unavailable};
use crate::task::id::AttemptId;

/// A session that stays in the registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgetError {
    /// It is not in there.
    #[error("there is no such session")]
    NotFound,
    /// An attempt works in it.
    #[error("attempt {0} works in it")]
    InUse(AttemptId),
    /// The dispatcher does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Handle {
    /// Takes a session out of the registry, so that nothing is resumed in it.
    /// What the agent keeps of it is not touched.
    ///
    /// # Errors
    /// If it is not in there or in use, or if the dispatcher does not answer.
    pub async fn forget_session(&self, agent: String, id: String) -> Result<(), ForgetError> {
        self.ask(|reply| Message::ForgetSession { agent, id, reply })
            .await?
    }
}
