//! `agentctl logs`.

use agentd_proto::v1::State;
use clap::Args;

use super::{
    count,
    run::{interrupts, queued},
};
use crate::{
    cli::Context,
    error::{EXIT_INTERRUPTED, EXIT_OK, Error},
    follow::{Look, Selection, follow, read},
    id::{AttemptRef, resolve},
    when::When,
};

/// Show what an agent wrote.
///
/// Shows the newest attempt, or the one named (42.2). Of an agent with structured
/// output, such as Claude Code, a readable rendering is shown; --raw gives the
/// bytes. What the agent wrote to stdout goes to stdout, what it wrote to stderr
/// goes to stderr, notes of the daemon go to stderr.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The task, or one attempt of it: 42, 42.2, @last, @last-failed.
    #[arg(value_name = "ID[.ATTEMPT]")]
    id: AttemptRef,

    /// Go on until the task has ended, over restarts of the daemon and from
    /// one attempt to the next.
    #[arg(short, long)]
    follow: bool,

    /// Begin with the last N lines, as they are shown; with 0 only what comes from now
    /// on (-f).
    #[arg(short = 'n', long, value_name = "N")]
    #[arg(value_parser = count::<u64>)]
    tail: Option<u64>,

    /// Only what was written since then: 10m, 2026-03-01, 2026-03-01T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,

    /// Show the time of each line.
    #[arg(short, long, conflicts_with = "raw")]
    timestamps: bool,

    /// Only what went to stdout.
    #[arg(long)]
    stdout: bool,

    /// Only what went to stderr.
    #[arg(long, conflicts_with = "stdout")]
    stderr: bool,

    /// The agent's bytes and nothing else: no notes.
    #[arg(long)]
    raw: bool,
}

impl Logs {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let task = resolve(&client, self.id.task).await?;
        let since = match self.since {
            Some(since) => since.as_millis(cx.out.now, &cx.out.zone()),
            None if self.tail == Some(0) => cx.out.now.as_millisecond(),
            None => 0,
        };
        let selection = Selection {
            from_first: false,
            task,
            attempt: self.id.attempt,
            // 0 would be all of them.
            tail: self.tail.map_or(0, |tail| tail.max(1)),
            since,
            no_stdout: self.stderr,
            no_stderr: self.stdout,
        };
        let look = Look {
            timestamps: self.timestamps,
            raw: self.raw,
        };
        if !self.follow {
            read(&client, &mut cx.out, selection, look).await?;
            return Ok(EXIT_OK);
        }
        if !self.raw {
            // Else nothing would be seen, for as long as it is not started.
            let task = client.get(task).await?.task.unwrap_or_default();
            if task.state() == State::Queued && task.hold.is_some() {
                cx.out.note(&queued(&task, cx.out.now));
            }
        }
        let mut interrupts = interrupts()?;
        tokio::select! {
            ended = follow(&client, &mut cx.out, selection, look) => {
                ended?;
                Ok(EXIT_OK)
            }
            _ = interrupts.recv() => {
                cx.out.note(&format!("\nagentctl logs -f {task} follows it again"));
                Ok(EXIT_INTERRUPTED)
            }
        }
    }
}
