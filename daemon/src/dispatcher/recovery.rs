//! What a start of the daemon found, while it is being found.

use std::collections::HashSet;

use crate::task::{id::AttemptId, recovery::Finding};

/// How many attempts were found how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecoveryCounts {
    /// Attempts that were under way.
    pub total: u64,
    /// Whose runner lives and has registered.
    pub adopted: u64,
    /// That had ended, with their result.
    pub finished: u64,
    /// Whose runner was dead.
    pub reaped: u64,
    /// That no agent had been started for.
    pub never_started: u64,
    /// About which nothing could be found out in time.
    pub unknown: u64,
}

impl RecoveryCounts {
    /// Attempts of which is known what became of them.
    #[must_use]
    pub fn resolved(&self) -> u64 {
        self.adopted + self.finished + self.reaped + self.never_started
    }
}

/// The attempts that this incarnation has found and still has to hear of.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    open: HashSet<AttemptId>,
    pub(super) counts: RecoveryCounts,
}

impl Recovery {
    pub(super) fn new(attempts: impl Iterator<Item = AttemptId>) -> Self {
        let open: HashSet<_> = attempts.collect();
        let counts = RecoveryCounts {
            total: u64::try_from(open.len()).unwrap_or(u64::MAX),
            ..RecoveryCounts::default()
        };
        Self { open, counts }
    }

    /// Every attempt has been heard of.
    pub(super) fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    /// The attempt was found and has not been heard of.
    pub(super) fn awaits(&self, attempt: AttemptId) -> bool {
        self.open.contains(&attempt)
    }

    /// Its runner has registered.
    pub(super) fn adopted(&mut self, attempt: AttemptId) -> bool {
        let awaited = self.open.remove(&attempt);
        if awaited {
            self.counts.adopted += 1;
        }
        awaited
    }

    /// What was found of it from outside. A living runner is awaited further.
    pub(super) fn examined(&mut self, attempt: AttemptId, finding: Option<Finding>) {
        let Some(finding) = finding else { return };
        if finding == Finding::Adopt || !self.open.remove(&attempt) {
            return;
        }
        match finding {
            Finding::Adopt => {}
            Finding::Finish => self.counts.finished += 1,
            Finding::Reap(_) => self.counts.reaped += 1,
            Finding::NeverStarted => self.counts.never_started += 1,
        }
    }

    /// Its time is over: what was not heard of is unknown, and stays as it is.
    pub(super) fn give_up(&mut self) -> Vec<AttemptId> {
        let unknown: Vec<_> = self.open.iter().copied().collect();
        self.counts.unknown += u64::try_from(unknown.len()).unwrap_or(u64::MAX);
        unknown
    }

    /// The attempt has ended before its runner was heard of.
    pub(super) fn ended(&mut self, attempt: AttemptId) {
        if self.open.remove(&attempt) {
            self.counts.finished += 1;
        }
    }
}
