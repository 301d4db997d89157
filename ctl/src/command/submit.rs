//! `agentctl submit`.

use std::io;

use clap::Args;

use super::task::TaskArgs;
use crate::{
    cli::Context,
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
        let request = self.task.into_request(io::stdin())?;
        let client = cx.client_or_start().await?;
        let answer = client.submit(request).await?;
        let task = answer.task.ok_or_else(no_task)?;
        cx.out.line(&task.id.to_string())?;
        if !self.quiet {
            let what = if answer.existing {
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

/// The answer to a submit or rerun lacks the task.
pub(crate) fn no_task() -> Error {
    Error::new(Kind::Other, "agentd's answer holds no task")
        .hint("compare the versions with agentctl version")
}
