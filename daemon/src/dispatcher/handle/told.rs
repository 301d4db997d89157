//! How far people were told of tasks that have ended.

use super::{Handle, Message, Unavailable};
use crate::task::{id::Revision, notice::Way};

impl Handle {
    /// Remembers up to which event word was sent by a way; `None`: nobody is to
    /// be told by it. It is durable when this returns.
    ///
    /// # Errors
    /// If the daemon is stopping or its store has failed.
    pub async fn set_told(&self, way: Way, upto: Option<Revision>) -> Result<(), Unavailable> {
        self.ask(|reply| Message::SetTold { way, upto, reply })
            .await
    }
}
