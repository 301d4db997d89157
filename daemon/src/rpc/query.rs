//! Tasks as people see them: with what holds them.

use std::sync::Arc;

use agentd_proto::v1;

use super::{
    explain::reruns,
    to_proto::{self, ShownHold},
};
use crate::{
    config::Config,
    dispatcher::Handle,
    store::{Reader, StoreError},
    task::{
        attempt::Attempt,
        budget::Spend,
        deadline::hold_left,
        id::TaskId,
        moment::Moment,
        state::{Hold, State, Task},
        transition::reference,
    },
};

/// What holds every queued task.
#[derive(Debug, Clone)]
pub(super) struct Around {
    /// Too little space is free.
    pub(super) disk_full: bool,
    /// The daemon starts nothing new, for it is to end.
    pub(super) draining: bool,
    /// It starts nothing before it knows what its predecessor left.
    pub(super) recovering: bool,
    /// What the clocks show.
    pub(super) now: Moment,
    /// Says which agent works on which account.
    pub(super) config: Arc<Config>,
}

/// A task with what holds it: what it says itself, else what is around it.
pub(super) fn shown(
    reader: &Reader,
    task: Task,
    around: &Around,
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
            } else if around.recovering {
                ShownHold::Recovering
            } else if around.disk_full {
                ShownHold::DiskFull
            } else if paused.iter().any(String::is_empty) {
                ShownHold::Paused
            } else if paused.contains(&task.spec.agent) {
                ShownHold::AgentPaused
            } else if let Some(hold) = quota(reader, &task, around)? {
                hold
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

/// The wait of the account that a task would be worked on with.
fn quota(reader: &Reader, task: &Task, around: &Around) -> Result<Option<ShownHold>, StoreError> {
    let name = around.config.account_of(&task.spec.agent);
    let known = reader.account(name)?;
    let left = known.map_or(0, |account| account.left(around.now));
    Ok((left > 0).then(|| ShownHold::Quota {
        account: name.to_owned(),
        until: around.now.wall.plus_millis(left),
    }))
}

/// What a lineage has used: what was booked, and what of an attempt that is
/// under way is known.
pub(super) fn spent(reader: &Reader, task: &Task, now: Moment) -> Result<Spend, StoreError> {
    let booked = reader.spent(task.lineage())?;
    let Some(live) = task.live_attempt() else {
        return Ok(booked);
    };
    let wall = live.started_at.map_or(0, |at| now.millis_since(at));
    Ok(booked.plus(Spend {
        wall,
        ..live.spend()
    }))
}

/// Everything about a task.
pub(super) fn whole(
    reader: &Reader,
    id: TaskId,
    around: &Around,
    dispatcher: &Handle,
) -> Result<Option<v1::GetResponse>, StoreError> {
    let Some(task) = reader.task(id)? else {
        return Ok(None);
    };
    let payload = reader.payload(id)?.unwrap_or_default();
    let attempts = reader.attempts(id)?;
    let spent = spent(reader, &task, around.now)?;
    let reruns = reruns(reader, &task)?;
    let (task, hold) = shown(reader, task, around)?;
    let mut attempts: Vec<_> = attempts.iter().map(to_proto::attempt).collect();
    let mut whole = to_proto::whole_task(&task, hold, payload, spent);
    // The newest is told of twice.
    for row in attempts.last_mut().into_iter().chain(&mut whole.attempt) {
        add_vitals(Some(row), task.live_attempt(), dispatcher);
    }
    Ok(Some(v1::GetResponse {
        task: Some(whole),
        attempts,
        reruns,
    }))
}

/// Adds what is known of a runner that is under way.
pub(super) fn add_vitals(
    row: Option<&mut v1::Attempt>,
    live: Option<&Attempt>,
    dispatcher: &Handle,
) {
    let vitals = live.and_then(|live| dispatcher.vitals(reference(live)));
    if let (Some(row), Some(vitals)) = (row, vitals) {
        row.vitals = Some(to_proto::vitals(vitals));
    }
}
