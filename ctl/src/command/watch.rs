//! `agentctl watch`.

use agentd_proto::v1;
use clap::{Args, ValueEnum};
use tonic::Status;

use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error, is_lost},
    id::{TaskRef, resolve},
    output::{
        Output,
        json::{Document, EVENT},
        style::{DIM, of_state, paint},
        table::one_line,
        tasks::result_line,
    },
    reconnect::{FOLLOWING, Patience},
    view::{EventView, is_final, state_word},
    when::local,
};

/// Print what happens to tasks, as it happens.
///
/// Goes on over restarts of the daemon and leaves out nothing. With a task it
/// ends when the task does.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Only this task: 42, @last, @last-failed.
    #[arg(value_name = "ID")]
    id: Option<TaskRef>,

    /// Begin with the oldest event there is, instead of now.
    #[arg(long)]
    since_start: bool,

    /// How to print events.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// How to print events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// A line for people.
    #[default]
    #[value(alias = "table")]
    Text,
    /// One JSON object a line.
    #[value(alias = "json")]
    Jsonl,
}

impl Watch {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?.patient(FOLLOWING);
        let task = match self.id {
            Some(id) => Some(resolve(&client, id).await?),
            None => None,
        };
        if let (Some(id), Format::Text, false) = (task, self.output, self.since_start) {
            say_if_ended(cx, &client, id).await?;
        }
        // The place to begin is fixed now: what happens before a lost
        // connection is back is not "before now".
        let mut place = if self.since_start {
            0
        } else {
            client.status().await?.revision
        };
        let mut patience = Patience::new(&client);
        loop {
            let how = stream(cx, &client, task, &mut place, &mut patience, self.output).await?;
            match (how, task) {
                (Some(how), _) => patience.lost(&mut cx.out, how).await?,
                (None, Some(id)) if has_ended(&client, id).await? => return Ok(EXIT_OK),
                (None, _) => patience.ended(&mut cx.out).await?,
            }
        }
    }
}

/// Of one that has ended nothing is to come.
async fn say_if_ended(cx: &mut Context, client: &Client, id: u64) -> Result<(), Error> {
    let task = client.get(id).await?.task.unwrap_or_default();
    if is_final(task.state()) {
        cx.out.note(&format!(
            "{}; agentctl explain {id} tells what happened",
            result_line(&task)
        ));
    }
    Ok(())
}

async fn has_ended(client: &Client, id: u64) -> Result<bool, Error> {
    let task = client.get(id).await?.task.unwrap_or_default();
    Ok(is_final(task.state()))
}

/// Prints events behind `place` and moves it. `None`: the daemon ended the
/// stream; else how it was lost.
async fn stream(
    cx: &mut Context,
    client: &Client,
    task: Option<u64>,
    place: &mut u64,
    patience: &mut Patience,
    format: Format,
) -> Result<Option<Status>, Error> {
    let request = v1::WatchRequest {
        after_revision: *place,
        from_start: *place == 0,
        task: task.unwrap_or(0),
    };
    let mut events = match client.watch(request).await {
        Ok(events) => events,
        Err(status) if is_lost(&status) => return Ok(Some(status)),
        Err(status) => return Err(status.into()),
    };
    patience.taken(&mut cx.out);
    loop {
        match events.message().await {
            Ok(Some(event)) => {
                let revision = event.revision;
                print(&mut cx.out, event, format)?;
                *place = revision;
                patience.back();
            }
            Ok(None) => return Ok(None),
            Err(status) if is_lost(&status) => return Ok(Some(status)),
            Err(status) => return Err(status.into()),
        }
    }
}

fn print(out: &mut Output, event: v1::Event, format: Format) -> Result<(), Error> {
    match format {
        Format::Jsonl => out.json(&Document::new(EVENT, EventView::from(event)))?,
        Format::Text => {
            let zone = out.zone();
            let line = event_line(&event, &zone, out.color);
            out.line(&line)?;
        }
    }
    out.flush()
}

fn event_line(event: &v1::Event, zone: &jiff::tz::TimeZone, color: bool) -> String {
    let at = paint(DIM, &local(event.at, zone).unwrap_or_default(), color);
    let who = match event.attempt {
        0 => event.task.to_string(),
        attempt => format!("{}.{attempt}", event.task),
    };
    let state = format!("{:<11}", state_word(event.state()));
    let state = paint(of_state(event.state()), &state, color);
    let mut line = format!("{at}  {who:<8}  {state}  {}", one_line(&event.what));
    if !event.why.is_empty() {
        line.push_str(": ");
        line.push_str(&one_line(&event.why));
    }
    line
}

#[cfg(test)]
mod tests {
    use agentd_proto::v1::State;

    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let event = v1::Event {
            revision: 7,
            task: 42,
            attempt: 1,
            at: 1_772_366_400_000,
            what: "finished".to_owned(),
            why: "exit code 3".to_owned(),
            state: State::Failed.into(),
        };
        insta::assert_snapshot!(
            event_line(&event, &jiff::tz::TimeZone::UTC, false),
            @"2026-03-01 12:00:00  42.1      failed       finished: exit code 3"
        );
    }
}
