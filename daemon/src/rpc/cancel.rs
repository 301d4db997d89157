//! Tasks that are ended before they have ended by themselves.

use agentd_proto::v1;

use super::{Shared, error::Failure, from_proto, to_proto};
use crate::dispatcher::{CancelOrder, Cancelled};

/// Ends a task, gracefully or at once.
pub(super) async fn cancel(
    shared: &Shared,
    request: v1::CancelRequest,
    user: String,
    forced: bool,
) -> Result<v1::CancelResponse, Failure> {
    let id = from_proto::task_id(request.id)?;
    let order = CancelOrder {
        forced,
        repeated: request.repeated,
    };
    let cancelled = shared.dispatcher.cancel(id, user, order).await?;
    let (task, hold) = shared.load(id).await?;
    Ok(v1::CancelResponse {
        task: Some(to_proto::task(&task, hold)),
        already_final: cancelled == Cancelled::AlreadyFinal,
    })
}
