//! Tasks that are ended before they have ended by themselves.

use agentd_proto::v1;

use super::{
    Shared,
    error::Failure,
    from_proto,
    to_proto::{self, ShownHold},
};
use crate::{
    dispatcher::{CancelOrder, Cancelled},
    task::{id::TaskId, state::Task},
};

/// Tasks that one call may end: bounds the size of a commit.
const MAX_CANCEL: usize = 1000;

/// Ends a task or several, gracefully or at once.
pub(super) async fn cancel(
    shared: &Shared,
    request: v1::CancelRequest,
    user: String,
    forced: bool,
) -> Result<v1::CancelResponse, Failure> {
    let order = CancelOrder {
        forced,
        repeated: request.repeated,
    };
    if request.ids.is_empty() {
        let id = from_proto::task_id(request.id)?;
        let cancelled = shared.dispatcher.cancel(vec![id], user, order).await?;
        let (task, hold) = shared.load(id).await?;
        return Ok(v1::CancelResponse {
            task: Some(to_proto::task(&task, hold)),
            already_final: cancelled == [Cancelled::AlreadyFinal],
            each: Vec::new(),
        });
    }
    let ids = several(&request)?;
    let cancelled = shared.dispatcher.cancel(ids.clone(), user, order).await?;
    let mut each = Vec::with_capacity(ids.len());
    for (id, cancelled) in ids.into_iter().zip(cancelled) {
        each.push(told(id, cancelled, shared.load(id).await)?);
    }
    Ok(v1::CancelResponse {
        each,
        ..v1::CancelResponse::default()
    })
}

fn several(request: &v1::CancelRequest) -> Result<Vec<TaskId>, Failure> {
    if request.id != 0 {
        return Err(Failure::field("ids", "either `id` or `ids`, not both"));
    }
    if request.ids.len() > MAX_CANCEL {
        let message = format!("{} tasks; {MAX_CANCEL} are the limit", request.ids.len());
        return Err(Failure::field("ids", message));
    }
    let ids = request.ids.iter();
    ids.map(|id| from_proto::task_id(*id)).collect()
}

/// What became of one of several. One that does not exist is no failure of the
/// call: the others are told of all the same.
fn told(
    id: TaskId,
    cancelled: Cancelled,
    found: Result<(Task, ShownHold), Failure>,
) -> Result<v1::Cancelled, Failure> {
    let told = match (cancelled, found) {
        (Cancelled::Unknown, found) => {
            let refusal = found.err().unwrap_or_else(|| Failure::not_found(id));
            v1::Cancelled {
                refused: refusal.to_string(),
                hint: refusal.advice().to_owned(),
                ..v1::Cancelled::default()
            }
        }
        (Cancelled::Done | Cancelled::AlreadyFinal, found) => {
            let (task, hold) = found?;
            v1::Cancelled {
                task: Some(to_proto::task(&task, hold)),
                already_final: cancelled == Cancelled::AlreadyFinal,
                ..v1::Cancelled::default()
            }
        }
    };
    Ok(v1::Cancelled {
        id: id.get(),
        ..told
    })
}
