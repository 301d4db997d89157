//! Waiting for the ends of tasks.

use std::time::Duration;

use agentd_proto::v1;

use super::{Shared, error::Failure, from_proto, to_proto};
use crate::{dispatcher::Unavailable, task::id::TaskId};

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
        let mut tasks = Vec::with_capacity(ids.len());
        for id in &ids {
            tasks.push(shared.load(*id).await?);
        }
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
        tokio::select! {
            changed = revisions.changed() => if changed.is_err() {
                return Err(Failure::from(Unavailable::Stopping));
            },
            () = &mut over => timed_out = true,
            () = shared.stop.cancelled() => {
                return Err(Failure::from(Unavailable::Stopping));
            }
        }
    }
}
