//! Tasks that are named by their ids.

use agentd_proto::v1::{self, State};

use super::{
    BulkArgs,
    report::{Entry, Outcome, Report},
};
use crate::{
    cli::Context,
    client::Client,
    command::{
        Tally,
        rerun::{rerun_one, runs_again},
        submit::made_way,
    },
    error::{Error, Kind},
    output::tasks::result_line,
    view::is_final,
};

impl BulkArgs {
    /// Runs these tasks again, or says which would be.
    ///
    /// # Errors
    /// One that every further task would meet as well.
    pub(crate) async fn run_named(
        self,
        cx: &mut Context,
        client: &Client,
        ids: Vec<u64>,
        changes: v1::RerunRequest,
    ) -> Result<u8, Error> {
        let mut tally = Tally::default();
        let format = self.tell.format();
        let mut report = Report::new(format, self.dry_run);
        let mut went = Ok(());
        for id in ids {
            let changes = changes.clone();
            let done = match self.dry_run {
                true => would_run(client, id, &changes).await,
                false => match rerun_one(client, id, changes).await {
                    Ok((new, replaced)) if format.is_none() => {
                        say(cx, id, new.id, &replaced)?;
                        continue;
                    }
                    Ok((new, _)) => Ok(Entry::new(id, Outcome::Accepted).new_task(new.id)),
                    Err(error) => Err(error),
                },
            };
            match done {
                Ok(entry) => report.add(&mut cx.out, entry)?,
                Err(error) => {
                    let entry = Entry::new(id, Outcome::Refused).because(error.to_string());
                    if let Err(error) = tally.add(&mut cx.out, Err(error)) {
                        went = Err(error);
                        break;
                    }
                    report.add(&mut cx.out, entry)?;
                }
            }
        }
        // Also what was done before an error that ends it.
        if format.is_some() {
            report.finish(&mut cx.out, false)?;
        }
        went.map(|()| tally.code())
    }
}

fn say(cx: &mut Context, old: u64, new: u64, replaced: &[u64]) -> Result<(), Error> {
    cx.out.line(&new.to_string())?;
    if let Some(text) = made_way(new, replaced) {
        cx.out.note(&text);
    }
    cx.out.note(&runs_again(new, old));
    Ok(())
}

/// Whether the daemon would take it, so far as its state tells.
async fn would_run(client: &Client, id: u64, changes: &v1::RerunRequest) -> Result<Entry, Error> {
    let task = client.get(id).await?.task.unwrap_or_default();
    let replaces = changes.on_busy == i32::from(v1::OnBusy::Replace);
    let refused = |why: &str, hint: &str| {
        Err(Error::new(Kind::Conflict, format!("task {id} {why}")).hint(hint))
    };
    if task.state() == State::Succeeded && !changes.force {
        return refused("has succeeded", "--force runs it again all the same");
    }
    if !is_final(task.state()) && !replaces {
        let hint = format!("agentctl cancel {id}, or agentctl rerun {id} --replace");
        return refused("has not ended", &hint);
    }
    Ok(Entry::new(id, Outcome::WouldRun).because(result_line(&task)))
}
