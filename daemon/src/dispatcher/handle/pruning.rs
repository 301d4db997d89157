//! What has ended long ago goes.

use super::{Handle, Message, Unavailable};
use crate::task::id::{AttemptId, TaskId, Timestamp};

/// What is to be forgotten, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// Whole lineages, the tasks of each oldest first. One of which anything
    /// else is in the store, or is needed, stays.
    pub lineages: Vec<Vec<TaskId>>,
    /// All tasks below this number were looked at when those were chosen.
    pub seen: TaskId,
    /// Attempts whose transcripts go.
    pub transcripts: Vec<AttemptId>,
    /// When that was decided.
    pub at: Timestamp,
}

/// What has gone; whatever else was asked for stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Their rows are gone.
    pub tasks: Vec<TaskId>,
    /// Their transcripts may be removed now.
    pub transcripts: Vec<AttemptId>,
}

impl Handle {
    /// Forgets what has ended. It is durable when this returns; the files are
    /// the caller's to remove then.
    ///
    /// # Errors
    /// If the daemon is stopping or its store has failed.
    pub async fn prune(&self, pruning: Pruning) -> Result<Pruned, Unavailable> {
        self.ask(|reply| Message::Prune(Box::new(pruning), reply))
            .await
    }
}
