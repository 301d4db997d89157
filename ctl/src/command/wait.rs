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
        list::{Format, ListArgs},
        tasks::TaskList,
    },
    reconnect::Patience,
    view::is_final,
    when::Span,
};

/// How much later than asked the daemon's answer to a timeout may come.
const SLACK: Duration = Duration::from_secs(2);

/// Wait until tasks have ended.
///
/// Goes on over restarts of the daemon. The exit code is 0 if all succeeded, 1
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

    /// Print the tasks that have ended to stdout; without it a line about
    /// each goes to stderr.
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

impl Wait {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let ids = resolve_all(&client, &self.ids).await?;
        let deadline = self.deadline();
        let waiting = wait(&client, &mut cx.out, &ids, self.any, deadline);
        let answer = match deadline {
            None => waiting.await?,
            Some(deadline) => timeout_at(deadline + SLACK, waiting)
                .await
                .map_err(|_| Error::new(Kind::Timeout, "the time is over"))??,
        };
        let mut ended: Vec<v1::Task> = answer
            .tasks
            .into_iter()
            .filter(|task| is_final(task.state()))
            .collect();
        if self.any {
            let first = ended.iter().map(|task| task.finished_at).min();
            ended.retain(|task| Some(task.finished_at) == first);
            ended.truncate(1);
        }
        let code = ended
            .iter()
            .map(|task| exit_code(task, self.propagate))
            .find(|&code| code != EXIT_OK);
        let count = ended.len();
        self.report(&mut cx.out, ended)?;
        if answer.timed_out {
            let going_on = ids.len() - count;
            cx.out.message(&format!(
                "the time is over: {going_on} of {} not ended",
                tasks(ids.len())
            ));
            return Ok(EXIT_TIMEOUT);
        }
        Ok(code.unwrap_or(EXIT_OK))
    }

    fn deadline(&self) -> Option<Instant> {
        let span = Duration::from_millis(self.timeout?.as_millis());
        // A limit beyond what the clock can count is none.
        Instant::now().checked_add(span)
    }

    fn report(&self, out: &mut Output, ended: Vec<v1::Task>) -> Result<(), Error> {
        let Some(format) = self.output else {
            ended.iter().for_each(|task| out.result(task));
            return Ok(());
        };
        let tasks = TaskList {
            tasks: ended,
            ..TaskList::default()
        };
        out.tasks(tasks, &ListArgs::of(format))
    }
}

fn tasks(count: usize) -> String {
    match count {
        1 => "1 task".to_owned(),
        count => format!("{count} tasks"),
    }
}

async fn wait(
    client: &Client,
    out: &mut Output,
    ids: &[u64],
    any: bool,
    deadline: Option<Instant>,
) -> Result<v1::WaitResponse, Error> {
    let mut patience = Patience::new(client);
    loop {
        let request = v1::WaitRequest {
            ids: ids.to_vec(),
            any,
            // 0 would mean no limit.
            timeout: deadline.map_or(0, |deadline| left(deadline).max(1)),
        };
        match client.wait(request).await {
            Ok(answer) if answer.timed_out || holds(&answer.tasks, any) => return Ok(answer),
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

fn holds(tasks: &[v1::Task], any: bool) -> bool {
    let mut ended = tasks.iter().map(|task| is_final(task.state()));
    if any {
        ended.any(|ended| ended)
    } else {
        ended.all(|ended| ended)
    }
}
