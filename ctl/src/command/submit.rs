//! `agentctl submit`.

use std::{io, time::Duration};

use agentd_proto::v1::{self, State};
use clap::Args;

use super::{
    later::{AfterArg, resolve_after},
    task::TaskArgs,
};
use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error, Kind},
    output::{
        Output,
        json::{Document, SUBMITTED, Script},
        list::{Format, ListArgs, TellArgs},
        tasks::{TaskList, hold_text},
    },
    view::SubmittedView,
};

/// Hand a task to the daemon and return.
///
/// Prints the task's id, or the task (-o). When it is printed, the task is stored
/// and survives a crash.
#[derive(Debug, Args)]
pub(crate) struct Submit {
    #[command(flatten)]
    task: TaskArgs,

    #[command(flatten)]
    tell: TellArgs,
}

impl Submit {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let after = self.task.after.clone();
        let request = self
            .task
            .into_request(io::stdin(), (cx.out.now, &cx.out.zone()))?;
        let handed = hand_over(cx, request, &after).await?;
        let format = self.tell.format();
        if format.is_none_or(Format::is_table)
            && let Some(text) = made_way(handed.task.id, &handed.replaced)
        {
            cx.out.note(&text);
        }
        match format {
            None => say(&mut cx.out, &handed)?,
            Some(format) => print(&mut cx.out, handed, format)?,
        }
        Ok(EXIT_OK)
    }
}

fn say(out: &mut Output, handed: &Handed) -> Result<(), Error> {
    let what = if handed.existing {
        "was submitted before"
    } else {
        "is queued"
    };
    let (id, agent) = (handed.task.id, &handed.task.agent);
    let hold = handed.task.hold.as_ref();
    let hold = hold.filter(|_| handed.task.state() == State::Queued);
    let waits = hold.map(|hold| format!(" ({})", hold_text(hold, out.now)));
    let waits = waits.unwrap_or_default();
    out.line(&id.to_string())?;
    out.note(&format!(
        "task {id} {what} for {agent}{waits}: agentctl logs -f {id} follows it"
    ));
    Ok(())
}

fn print(out: &mut Output, handed: Handed, format: Format) -> Result<(), Error> {
    let script = match format {
        Format::Json | Format::Jsonl => Script::Json,
        Format::Yaml => Script::Yaml,
        Format::Table | Format::Wide | Format::Name => {
            let tasks = TaskList {
                tasks: vec![handed.task],
                ..TaskList::default()
            };
            return out.tasks(tasks, &ListArgs::of(format));
        }
    };
    let view = SubmittedView::new(handed.task, handed.existing, handed.replaced);
    out.document(script, &Document::new(SUBMITTED, view))
}

/// A task that the daemon has taken.
pub(crate) struct Handed {
    /// Who has taken it.
    pub(crate) client: Client,
    pub(crate) task: v1::Task,
    /// The same request was sent before.
    existing: bool,
    /// The tasks that were cancelled for it.
    pub(crate) replaced: Vec<u64>,
}

/// How long a daemon that nobody but us starts may be away before we do.
const AWAY: Duration = Duration::from_secs(1);

/// Submits, to wait for `after`, and starts the daemon if it is not there: also if
/// it went away over the question. The request's id keeps it from being done twice.
///
/// # Errors
/// None could be reached or started, or it refuses.
pub(crate) async fn hand_over(
    cx: &mut Context,
    mut request: v1::SubmitRequest,
    after: &[AfterArg],
) -> Result<Handed, Error> {
    let client = cx.client_or_start().await?;
    request.after = resolve_after(&client, after).await?;
    let asked = if cx.starts() {
        client.patient(AWAY)
    } else {
        client.clone()
    };
    let (client, answer) = match submit(&asked, request.clone()).await {
        Ok(answer) => (client, answer),
        Err(error) if error.is_unanswered() && cx.starts() => {
            let Ok(client) = cx.client_or_start().await else {
                return Err(error);
            };
            let answer = submit(&client, request).await?;
            (client, answer)
        }
        Err(error) => return Err(error),
    };
    Ok(Handed {
        client,
        task: answer.task.ok_or_else(no_task)?,
        existing: answer.existing,
        replaced: answer.replaced,
    })
}

/// Tasks that are named in one line.
const NAMED: usize = 10;

/// `task 48, task 49 and 3 more were cancelled: replaced by task 106`; `None` if
/// none was.
pub(crate) fn made_way(new: u64, replaced: &[u64]) -> Option<String> {
    let named = replaced.iter().take(NAMED).map(|id| format!("task {id}"));
    let named: Vec<_> = named.collect();
    let (were, more) = match (replaced.len(), replaced.len() - named.len()) {
        (0, _) => return None,
        (1, _) => ("was", String::new()),
        (_, 0) => ("were", String::new()),
        (_, more) => ("were", format!(" and {more} more")),
    };
    let named = named.join(", ");
    Some(format!(
        "{named}{more} {were} cancelled: replaced by task {new}"
    ))
}

/// Submits once.
///
/// # Errors
/// The daemon's. If it went away and did not come back, nobody knows whether
/// the task was stored: the hint says how to find out without doing it twice.
async fn submit(client: &Client, request: v1::SubmitRequest) -> Result<v1::SubmitResponse, Error> {
    let id = request.request_id.clone();
    client.submit(request).await.map_err(|error| {
        if error.is_unanswered() {
            error.hint(format!(
                "the task may have been stored: the same with --request-id {id} cannot make two"
            ))
        } else {
            error
        }
    })
}

/// The answer to a submit or rerun lacks the task.
pub(crate) fn no_task() -> Error {
    Error::new(Kind::Other, "agentd's answer holds no task")
        .hint("compare the versions with agentctl version")
}
