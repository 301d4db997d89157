//! `agentctl submit`.

use std::{io, time::Duration};

use agentd_proto::v1;
use clap::Args;

use super::{
    later::{AfterArg, resolve_after},
    task::TaskArgs,
};
use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error, Kind},
};

/// Hand a task to the daemon and return.
///
/// Prints the task's id. When it is printed, the task is stored and survives a
/// crash.
#[derive(Debug, Args)]
pub(crate) struct Submit {
    #[command(flatten)]
    task: TaskArgs,

    /// Print the id and nothing else.
    #[arg(short, long)]
    quiet: bool,
}

impl Submit {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let after = self.task.after.clone();
        let request = self
            .task
            .into_request(io::stdin(), (cx.out.now, &cx.out.zone()))?;
        let (_, task, existing) = hand_over(cx, request, &after).await?;
        cx.out.line(&task.id.to_string())?;
        if !self.quiet {
            let what = if existing {
                "was submitted before"
            } else {
                "is queued"
            };
            cx.out.note(&format!(
                "task {id} {what} for {agent}: agentctl logs -f {id} follows it",
                id = task.id,
                agent = task.agent
            ));
        }
        Ok(EXIT_OK)
    }
}

/// How long a daemon that nobody but us starts may be away before we do.
const AWAY: Duration = Duration::from_secs(1);

/// Submits, to wait for `after`, and starts the daemon if it is not there: also if it went away over
/// the question. The request's id keeps it from being done twice.
///
/// # Errors
/// None could be reached or started, or it refuses.
pub(crate) async fn hand_over(
    cx: &mut Context,
    mut request: v1::SubmitRequest,
    after: &[AfterArg],
) -> Result<(Client, v1::Task, bool), Error> {
    let client = cx.client_or_start().await?;
    request.after = resolve_after(&client, after).await?;
    let asked = if cx.starts() {
        client.patient(AWAY)
    } else {
        client.clone()
    };
    match submit(&asked, request.clone()).await {
        Ok((task, existing)) => Ok((client, task, existing)),
        Err(error) if error.is_unanswered() && cx.starts() => {
            let Ok(client) = cx.client_or_start().await else {
                return Err(error);
            };
            let (task, existing) = submit(&client, request).await?;
            Ok((client, task, existing))
        }
        Err(error) => Err(error),
    }
}

/// Submits; gives the task, and whether it was known before.
///
/// # Errors
/// The daemon's. If it went away and did not come back, nobody knows whether
/// the task was stored: the hint says how to find out without doing it twice.
async fn submit(client: &Client, request: v1::SubmitRequest) -> Result<(v1::Task, bool), Error> {
    let id = request.request_id.clone();
    let answer = client.submit(request).await.map_err(|error| {
        if error.is_unanswered() {
            error.hint(format!(
                "the task may have been stored: the same with --request-id {id} cannot make two"
            ))
        } else {
            error
        }
    })?;
    Ok((answer.task.ok_or_else(no_task)?, answer.existing))
}

/// The answer to a submit or rerun lacks the task.
pub(crate) fn no_task() -> Error {
    Error::new(Kind::Other, "agentd's answer holds no task")
        .hint("compare the versions with agentctl version")
}
