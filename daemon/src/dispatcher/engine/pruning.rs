//! What has ended long ago is forgotten, unless something needs it after all.
//!
//! What goes was chosen from a snapshot, off this thread. A task that has ended
//! never becomes active again, so only three things may have changed since:
//! a rerun has been added to the lineage, another task waits for one of it, or
//! it is gone already. And somebody may still have to be told of its end.

use std::collections::HashSet;

use super::Engine;
use crate::{
    dispatcher::{
        handle::{Pruned, Pruning},
        turn::Turn,
    },
    store::StoreError,
    task::{id::TaskId, notice::Way},
};

impl Engine {
    pub(super) fn prune(&self, turn: &mut Turn, order: Pruning) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        let mut grown = HashSet::new();
        let mut newer = order.seen;
        while newer < turn.batch.next_task() && !order.lineages.is_empty() {
            grown.extend(turn.batch.task(newer)?.map(|task| task.lineage()));
            newer = newer.next();
        }
        for tasks in order.lineages {
            let needed = |id: &TaskId| {
                self.tasks.contains_key(id) || self.dependents.wait_for(*id) || grown.contains(id)
            };
            let Some(first) = tasks.first().copied().filter(|_| !tasks.iter().any(needed)) else {
                continue;
            };
            let mut untold = false;
            for id in &tasks {
                untold |= self.is_untold(turn, *id)?;
            }
            if untold {
                continue;
            }
            let lineage = turn.batch.task(first)?.map(|task| task.lineage());
            if lineage.is_some_and(|lineage| grown.contains(&lineage)) {
                continue;
            }
            for id in tasks {
                if turn.batch.remove(id)? {
                    pruned.tasks.push(id);
                }
            }
            if let Some(lineage) = lineage {
                turn.batch.forget_lineage(lineage)?;
            }
        }
        for id in order.transcripts {
            if turn.batch.prune_transcript(id, order.at)? {
                pruned.transcripts.push(id);
            }
        }
        Ok(pruned)
    }

    /// Whether somebody is still to be told that a task has ended. That comes to its
    /// end: what nobody takes is given up.
    fn is_untold(&self, turn: &Turn, id: TaskId) -> Result<bool, StoreError> {
        let notify = &self.parts.config.notify;
        for way in Way::ALL.into_iter().filter(|way| notify.goes_by(*way)) {
            let Some(told) = turn.batch.told(way)? else {
                continue;
            };
            let task = turn.batch.task(id)?;
            let wanted = task.is_some_and(|task| notify.states.contains(&task.state.kind()));
            if wanted && turn.batch.end_of(id)?.is_some_and(|end| end > told) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
