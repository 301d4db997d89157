//! Finished tasks that are to run again.

use agentd_proto::v1;

use super::{Shared, error::Failure, from_proto, issue};
use crate::{
    dispatcher::RerunOrder,
    task::{
        id::TaskId,
        reason::Outcome,
        state::{State, Task},
    },
};

/// What the dispatcher is to do, if the task may run again.
pub(super) async fn order(
    shared: &Shared,
    request: v1::RerunRequest,
    user: String,
) -> Result<RerunOrder, Failure> {
    let of = from_proto::task_id(request.id)?;
    let (task, _) = shared.load(of).await?;
    may_run_again(of, &task, &request)?;
    let request_id = request.request_id.clone();
    let (payload, known) = shared
        .read(move |reader| Ok((reader.payload(of)?, reader.knows_request(&request_id)?)))
        .await?;
    let (force, override_budget) = (request.force, request.override_budget);
    let (submission, note) = shared
        .blocking(move |config| {
            let payload = payload.unwrap_or_default();
            let submission = from_proto::rerun(&request, &task, payload, user, config)?;
            // The task of a request that was sent before is there, whatever
            // has become of its issue since.
            let note = match known {
                true => None,
                false => issue::check(&task, config)?,
            };
            Ok((submission, note))
        })
        .await?;
    Ok(RerunOrder {
        of,
        submission,
        force,
        override_budget,
        note,
    })
}

fn may_run_again(id: TaskId, task: &Task, request: &v1::RerunRequest) -> Result<(), Failure> {
    match &task.state {
        State::Finished(ending) if ending.outcome == Outcome::Succeeded && !request.force => {
            Err(Failure::succeeded(id))
        }
        State::Finished(_) => Ok(()),
        State::Queued(_) | State::Starting | State::Running | State::Stopping { .. } => {
            match request.on_busy() {
                v1::OnBusy::Replace => Ok(()),
                v1::OnBusy::Unspecified | v1::OnBusy::Queue => {
                    Err(Failure::active(id, task.state.kind().as_str()))
                }
            }
        }
    }
}
