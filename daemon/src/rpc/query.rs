//! Tasks as people see them: with what holds them.

use agentd_proto::v1;

use super::to_proto::{self, ShownHold};
use crate::{
    clock,
    store::{Filter, Reader, StoreError},
    task::{
        id::TaskId,
        state::{Hold, State, Task},
    },
};

/// What holds every queued task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Around {
    /// Too little space is free.
    pub(super) disk_full: bool,
    /// The daemon starts nothing new, for it is to end.
    pub(super) draining: bool,
}

/// A task with what holds it: what it says itself, else what is around it.
pub(super) fn shown(
    reader: &Reader,
    task: Task,
    around: Around,
) -> Result<(Task, ShownHold), StoreError> {
    let hold = match &task.state {
        State::Queued(Hold::Backoff { until }) if *until > clock::now() => {
            ShownHold::Backoff(*until)
        }
        State::Queued(_) => {
            let paused = reader.paused()?;
            let head = match task.spec.key() {
                Some(key) => reader.key_head(&key)?.filter(|head| *head != task.id),
                None => None,
            };
            if around.draining {
                ShownHold::Draining
            } else if around.disk_full {
                ShownHold::DiskFull
            } else if paused.iter().any(String::is_empty) {
                ShownHold::Paused
            } else if paused.contains(&task.spec.agent) {
                ShownHold::AgentPaused
            } else {
                head.map_or(ShownHold::None, ShownHold::KeyBusy)
            }
        }
        State::Starting | State::Running | State::Stopping { .. } | State::Finished(_) => {
            ShownHold::None
        }
    };
    Ok((task, hold))
}

/// A page of rows, and how many match behind it.
pub(super) fn list(
    reader: &Reader,
    filter: &Filter,
    before: Option<TaskId>,
    limit: usize,
    around: Around,
) -> Result<(Vec<v1::Task>, u64), StoreError> {
    let listing = reader.list(filter, before, limit)?;
    let mut rows = Vec::with_capacity(listing.tasks.len());
    for task in listing.tasks {
        let (task, hold) = shown(reader, task, around)?;
        rows.push(to_proto::task(&task, hold));
    }
    Ok((rows, listing.more))
}
