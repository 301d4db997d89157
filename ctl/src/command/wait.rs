//! `agentctl wait`.

use std::time::Duration;

use agentd_proto::v1;
use clap::Args;
use tokio::time::{Instant, timeout_at};

use super::exit_code;
use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, EXIT_TIMEOUT, Error, Kind, is_lost},
    id::{TaskSet, resolve_all},
    output::{
        Output,
        list::{ListArgs, TellArgs},
        tasks::{TaskList, named},
    },
    reconnect::Patience,
    view::is_final,
    when::Span,
};

/// How much later than asked the daemon's answer to a timeout may come.
const SLACK: Duration = Duration::from_secs(2);

/// Wait until tasks have ended.
///
/// Tells on stderr how each ended, or prints those that have (-o). Goes on over
/// restarts of the daemon. The exit code is 0 if all succeeded, 1
/// if one did not, 8 if the time was over before.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// The tasks: 42, 40-44, @last, @last-failed.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<TaskSet>,

    /// Wait so long at most, for example 30m.
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,

    /// Return as soon as one has ended. Only the one that ended first is told of,
    /// also by the exit code.
    #[arg(long)]
    any: bool,

    /// If a task did not succeed, exit with its agent's own exit code (128 +
    /// number if a signal ended it). Of several, the first decides.
    #[arg(long)]
    propagate: bool,

    #[command(flatten)]
    tell: TellArgs,
}

impl Wait {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let ids = resolve_all(&client, &self.ids).await?;
        let waited = self.wait(&client, &mut cx.out, &ids).await?;
        let code = waited
            .ended
            .iter()
            .map(|task| exit_code(task, self.propagate))
            .find(|&code| code != EXIT_OK);
        let count = waited.ended.len();
        if let Some(format) = self.tell.format() {
            let tasks = TaskList {
                tasks: waited.ended,
                ..TaskList::default()
            };
            cx.out.tasks(tasks, &ListArgs::of(format))?;
        }
        if waited.timed_out {
            let going_on = ids.len() - count;
            cx.out.message(&format!(
                "the time is over: {going_on} of {} not ended",
                tasks(ids.len())
            ));
            return Ok(EXIT_TIMEOUT);
        }
        Ok(code.unwrap_or(EXIT_OK))
    }

    /// Waits for the end of one after the other, and tells of each as it comes
    /// unless all are to be printed.
    async fn wait(&self, client: &Client, out: &mut Output, ids: &[u64]) -> Result<Waited, Error> {
        let deadline = self.deadline();
        let mut waited = Waited::default();
        let mut left = ids.to_vec();
        loop {
            out.progress(&format!("waiting for {}", named(&left)));
            let waiting = next_end(client, out, &left, deadline);
            let answer = match deadline {
                None => waiting.await?,
                Some(deadline) => timeout_at(deadline + SLACK, waiting)
                    .await
                    .map_err(|_| Error::new(Kind::Timeout, "the time is over"))??,
            };
            let mut ended = answer.tasks;
            ended.retain(|task| is_final(task.state()));
            if self.any {
                let first = ended.iter().map(|task| task.finished_at).min();
                ended.retain(|task| Some(task.finished_at) == first);
                ended.truncate(1);
            }
            if self.tell.format().is_none() {
                ended.iter().for_each(|task| out.result(task));
            }
            left.retain(|id| ended.iter().all(|task| task.id != *id));
            waited.ended.extend(ended);
            waited.timed_out = answer.timed_out;
            if answer.timed_out || left.is_empty() || self.any {
                // As they were named.
                let place = |task: &v1::Task| ids.iter().position(|id| *id == task.id);
                waited.ended.sort_by_cached_key(place);
                return Ok(waited);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let span = Duration::from_millis(self.timeout?.as_millis());
        // A limit beyond what the clock can count is none.
        Instant::now().checked_add(span)
    }
}

/// What came of waiting.
#[derive(Debug, Default)]
struct Waited {
    ended: Vec<v1::Task>,
    timed_out: bool,
}

fn tasks(count: usize) -> String {
    match count {
        1 => "1 task".to_owned(),
        count => format!("{count} tasks"),
    }
}

/// Waits until one of them has ended, over restarts of the daemon.
async fn next_end(
    client: &Client,
    out: &mut Output,
    ids: &[u64],
    deadline: Option<Instant>,
) -> Result<v1::WaitResponse, Error> {
    let mut patience = Patience::new(client);
    loop {
        let request = v1::WaitRequest {
            ids: ids.to_vec(),
            any: true,
            // 0 would mean no limit.
            timeout: deadline.map_or(0, |deadline| left(deadline).max(1)),
        };
        match client.wait(request).await {
            Ok(answer) if answer.timed_out || has_ended(&answer.tasks) => return Ok(answer),
            Ok(_) => patience.ended(out).await?,
            Err(status) if is_lost(&status) => patience.lost(out, status).await?,
            Err(status) => return Err(status.into()),
        }
    }
}

fn left(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

fn has_ended(tasks: &[v1::Task]) -> bool {
    tasks.iter().any(|task| is_final(task.state()))
}
