//! Tasks that a person holds, and lets go.

use agentd_proto::v1;

use super::{Shared, error::Failure, from_proto, to_proto};
use crate::dispatcher::Held;

/// Keeps a queued task from being started.
pub(super) async fn hold(
    shared: &Shared,
    request: v1::HoldRequest,
    user: String,
) -> Result<v1::HoldResponse, Failure> {
    let id = from_proto::task_id(request.id)?;
    let held = shared.dispatcher.hold(id, user).await?;
    answer(shared, request.id, held).await
}

/// Ends what a person or a clock holds it for.
pub(super) async fn release(
    shared: &Shared,
    request: v1::HoldRequest,
    user: String,
) -> Result<v1::HoldResponse, Failure> {
    let id = from_proto::task_id(request.id)?;
    let released = shared.dispatcher.release(id, user).await?;
    answer(shared, request.id, released).await
}

async fn answer(shared: &Shared, id: u64, held: Held) -> Result<v1::HoldResponse, Failure> {
    let (task, hold) = shared.load(from_proto::task_id(id)?).await?;
    Ok(v1::HoldResponse {
        task: Some(to_proto::task(&task, hold)),
        changed: held == Held::Done,
    })
}
