//! Finished tasks that are to run again.

use agentd_proto::{reason, v1};
use tonic::Code;

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
    may_run_again(of, &task, request.force)?;
    let request_id = request.request_id.clone();
    let (payload, known) = shared
        .read(move |reader| Ok((reader.payload(of)?, reader.knows_request(&request_id)?)))
        .await?;
    let override_budget = request.override_budget;
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
        override_budget,
        note,
    })
}

fn may_run_again(id: TaskId, task: &Task, force: bool) -> Result<(), Failure> {
    match &task.state {
        State::Finished(ending) if ending.outcome == Outcome::Succeeded && !force => {
            let message = format!("task {id} succeeded");
            let refused = Failure::new(Code::FailedPrecondition, reason::TASK_SUCCEEDED, message);
            Err(refused.hint(format!("agentctl rerun {id} --force runs it all the same")))
        }
        State::Finished(_) => Ok(()),
        State::Queued(_) | State::Starting | State::Running | State::Stopping { .. } => {
            Err(Failure::active(id, task.state.kind().as_str()))
        }
    }
}
