//! `agentctl run`.

use std::{io, time::Duration};

use agentd_proto::v1::{self, State};
use clap::Args;
use jiff::Timestamp;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use super::{
    exit_code,
    stop::stop_one,
    submit::{hand_over, made_way},
    task::TaskArgs,
};
use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_INTERRUPTED, Error, Kind},
    follow::{Look, Selection, follow},
    output::tasks::hold_text,
};

/// How soon after the first a second Ctrl-C cancels the task.
const SECOND_INTERRUPT: Duration = Duration::from_secs(2);

/// Run a task and follow it to its end.
///
/// What the agent writes to stdout and stderr appears there as it comes; of one
/// with structured output, such as Claude Code, a readable rendering of it
/// (agentctl logs --raw gives the bytes). The exit code is 0 if the task succeeds
/// and 1 if it does not. Ctrl-C leaves the task running; a second one within 2
/// seconds cancels it.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    task: TaskArgs,

    /// If the task does not succeed, exit with the agent's own exit code (128 +
    /// number if a signal ended it).
    #[arg(long)]
    propagate: bool,

    /// Only what the agent writes, and errors: neither the task's number nor how
    /// it ended, which the exit code says.
    #[arg(short, long)]
    quiet: bool,
}

impl Run {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let after = self.task.after.clone();
        let request = self
            .task
            .into_request(io::stdin(), (cx.out.now, &cx.out.zone()))?;
        cx.out.quiet = self.quiet;
        let handed = hand_over(cx, request, &after).await?;
        let (client, submitted) = (handed.client, handed.task);
        if let Some(text) = made_way(submitted.id, &handed.replaced) {
            cx.out.note(&text);
        }
        cx.out.note(&queued(&submitted, cx.out.now));
        // Until here a Ctrl-C simply ends the program.
        let mut interrupts = interrupts()?;
        let selection = Selection {
            task: submitted.id,
            from_first: true,
            ..Selection::default()
        };
        let ended = tokio::select! {
            ended = follow(&client, &mut cx.out, selection, Look::default()) => ended?,
            _ = interrupts.recv() => {
                return detach(cx, &client, submitted.id, &mut interrupts).await;
            }
        };
        if !self.quiet {
            cx.out.result(&ended);
        }
        Ok(exit_code(&ended, self.propagate))
    }
}

/// Which task it is, and why nothing may be seen of it for a while.
pub(crate) fn queued(task: &v1::Task, now: Timestamp) -> String {
    match &task.hold {
        Some(hold) if task.state() == State::Queued => {
            format!("task {} waits: {}", task.id, hold_text(hold, now))
        }
        Some(_) | None => format!("task {}", task.id),
    }
}

async fn detach(
    cx: &mut Context,
    client: &Client,
    id: u64,
    interrupts: &mut Signal,
) -> Result<u8, Error> {
    cx.out.message(&format!(
        "\ndetached: task {id} goes on, agentctl logs -f {id} follows it again \
         (Ctrl-C now cancels it)"
    ));
    if timeout(SECOND_INTERRUPT, interrupts.recv()).await.is_ok() {
        stop_one(client, id, false).await?;
        cx.out.message(&format!("\ntask {id} is being cancelled"));
    }
    Ok(EXIT_INTERRUPTED)
}

/// Ctrl-C, from now on.
///
/// # Errors
/// The handler cannot be installed.
pub(crate) fn interrupts() -> Result<Signal, Error> {
    signal(SignalKind::interrupt())
        .map_err(|error| Error::new(Kind::Other, "cannot handle Ctrl-C").because(error))
}
