//! Waiting for the ends of tasks.

use std::time::Duration;

use agentd_proto::v1;
use tokio::sync::watch;

use super::{
    Shared,
    error::Failure,
    from_proto,
    query::shown,
    to_proto::{self, ShownHold},
};
use crate::{
    dispatcher::Unavailable,
    store::{Reader, StoreError},
    task::{
        id::{Revision, TaskId},
        state::Task,
    },
};

/// Tasks that one call may wait for.
const MAX_WAIT: usize = 1000;

/// Answers when the tasks have ended, one of them has, or the time is over.
pub(super) async fn wait(
    shared: &Shared,
    request: v1::WaitRequest,
) -> Result<v1::WaitResponse, Failure> {
    if request.ids.len() > MAX_WAIT {
        let message = format!("{} tasks; {MAX_WAIT} are the limit", request.ids.len());
        return Err(Failure::field("ids", message));
    }
    let ids = request.ids.iter().map(|id| from_proto::task_id(*id));
    let ids: Vec<TaskId> = ids.collect::<Result<_, _>>()?;
    let mut revisions = shared.dispatcher.revisions();
    let limit = (request.timeout > 0).then(|| Duration::from_millis(request.timeout));
    let over = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let mut timed_out = false;
    loop {
        revisions.borrow_and_update();
        let tasks = load(shared, &ids).await?;
        let mut done = tasks.iter().map(|(task, _)| !task.state.is_active());
        let enough = if request.any {
            done.any(|done| done)
        } else {
            done.all(|done| done)
        };
        if enough || timed_out {
            let rows = tasks
                .iter()
                .map(|(task, hold)| to_proto::task(task, hold.clone()));
            return Ok(v1::WaitResponse {
                tasks: rows.collect(),
                timed_out: !enough,
            });
        }
        let left = tasks.iter().map(|(task, _)| task);
        let left: Vec<TaskId> = left
            .filter(|task| task.state.is_active())
            .map(|task| task.id)
            .collect();
        tokio::select! {
            look = until_a_look(shared, left, request.any, &mut revisions) => look?,
            () = &mut over => timed_out = true,
            () = shared.stop.cancelled() => {
                return Err(Failure::from(Unavailable::Stopping));
            }
        }
    }
}

/// All of them as they are at one moment, with what holds them.
async fn load(shared: &Shared, ids: &[TaskId]) -> Result<Vec<(Task, ShownHold)>, Failure> {
    let around = shared.around();
    let asked = ids.to_vec();
    let found = shared.read(move |reader| {
        let found = asked.into_iter().map(|id| {
            let task = reader.task(id)?;
            task.map(|task| shown(reader, task, &around)).transpose()
        });
        found.collect::<Result<Vec<_>, StoreError>>()
    });
    let mut tasks = Vec::with_capacity(ids.len());
    for (id, found) in ids.iter().zip(found.await?) {
        tasks.push(shared.known(*id, found).await?);
    }
    Ok(tasks)
}

/// Waits until all of these active tasks have ended, or any.
async fn until_a_look(
    shared: &Shared,
    mut left: Vec<TaskId>,
    any: bool,
    revisions: &mut watch::Receiver<Revision>,
) -> Result<(), Failure> {
    if left.is_empty() {
        // Of none, none ends.
        return std::future::pending().await;
    }
    while !left.is_empty() {
        let changed = revisions.changed().await;
        changed.map_err(|_| Unavailable::Stopping)?;
        left = shared
            .read(move |reader| still_waited_for(reader, left, any))
            .await?;
    }
    Ok(())
}

/// What is left of them to be waited for. An end is final: of all, it is enough
/// to find one that has not ended.
fn still_waited_for(
    reader: &Reader,
    mut left: Vec<TaskId>,
    any: bool,
) -> Result<Vec<TaskId>, StoreError> {
    let active = |id: TaskId| -> Result<bool, StoreError> {
        let task = reader.task(id)?;
        Ok(task.is_some_and(|task| task.state.is_active()))
    };
    if any {
        for id in &left {
            if !active(*id)? {
                return Ok(Vec::new());
            }
        }
        return Ok(left);
    }
    while let Some(last) = left.last()
        && !active(*last)?
    {
        left.pop();
    }
    Ok(left)
}
