//! Tasks as people see them: with what holds them.

use agentd_proto::{MAX_MESSAGE, v1};
use prost::Message as _;

use super::to_proto::{self, ShownHold};
use crate::{
    dispatcher::Handle,
    store::{Filter, Reader, StoreError},
    task::{
        attempt::Attempt,
        deadline::hold_left,
        id::TaskId,
        moment::Moment,
        state::{Hold, State, Task},
        transition::reference,
    },
};

/// Rows of a page, bytes: well below the limit of a message.
const PAGE_SIZE: usize = MAX_MESSAGE / 2;
/// Tag and length of a row in its message, bytes at the most.
const ROW_OVERHEAD: usize = 8;

/// What holds every queued task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Around {
    /// Too little space is free.
    pub(super) disk_full: bool,
    /// The daemon starts nothing new, for it is to end.
    pub(super) draining: bool,
    /// What the clocks show.
    pub(super) now: Moment,
}

/// A task with what holds it: what it says itself, else what is around it.
pub(super) fn shown(
    reader: &Reader,
    task: Task,
    around: Around,
) -> Result<(Task, ShownHold), StoreError> {
    let now = around.now;
    let left = hold_left(&task, now);
    let hold = match &task.state {
        State::Queued(Hold::Held { by }) => ShownHold::Held(by.clone()),
        State::Queued(_) if !task.waits_for.is_empty() => {
            let others = u32::try_from(task.waits_for.len() - 1).unwrap_or(u32::MAX);
            ShownHold::Dependency(task.waits_for[0].task, others)
        }
        State::Queued(Hold::Backoff { .. }) if left > 0 => {
            ShownHold::Backoff(now.wall.plus_millis(left))
        }
        State::Queued(Hold::Scheduled { .. }) if left > 0 => {
            ShownHold::Scheduled(now.wall.plus_millis(left))
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
    dispatcher: &Handle,
) -> Result<(Vec<v1::Task>, u64), StoreError> {
    let listing = reader.list(filter, before, limit)?;
    let found = listing.tasks.len();
    let mut rows = Vec::with_capacity(found);
    let mut size = 0;
    for task in listing.tasks {
        let (task, hold) = shown(reader, task, around)?;
        let mut row = to_proto::task(&task, hold);
        add_vitals(row.attempt.as_mut(), task.live_attempt(), dispatcher);
        size += row.encoded_len() + ROW_OVERHEAD;
        // The rest is on the next page.
        if size > PAGE_SIZE && !rows.is_empty() {
            break;
        }
        rows.push(row);
    }
    let left = u64::try_from(found - rows.len()).unwrap_or(u64::MAX);
    Ok((rows, listing.more.saturating_add(left)))
}

/// Everything about a task.
pub(super) fn whole(
    reader: &Reader,
    id: TaskId,
    around: Around,
    dispatcher: &Handle,
) -> Result<Option<v1::GetResponse>, StoreError> {
    let Some(task) = reader.task(id)? else {
        return Ok(None);
    };
    let payload = reader.payload(id)?.unwrap_or_default();
    let attempts = reader.attempts(id)?;
    let (task, hold) = shown(reader, task, around)?;
    let mut attempts: Vec<_> = attempts.iter().map(to_proto::attempt).collect();
    let mut whole = to_proto::whole_task(&task, hold, payload);
    // The newest is told of twice.
    for row in attempts.last_mut().into_iter().chain(&mut whole.attempt) {
        add_vitals(Some(row), task.live_attempt(), dispatcher);
    }
    Ok(Some(v1::GetResponse {
        task: Some(whole),
        attempts,
    }))
}

/// Adds what is known of a runner that is under way.
fn add_vitals(row: Option<&mut v1::Attempt>, live: Option<&Attempt>, dispatcher: &Handle) {
    let vitals = live.and_then(|live| dispatcher.vitals(reference(live)));
    if let (Some(row), Some(vitals)) = (row, vitals) {
        row.vitals = Some(to_proto::vitals(vitals));
    }
}
