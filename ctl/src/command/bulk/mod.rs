//! The bulk form of `rerun`: every task that matches, one by one.
//!
//! It may be interrupted and given again: the request id of a rerun is made
//! from the task's number, so a task is run again by it once, whoever asks
//! and however often; from then on its rerun is the one that may match.

mod named;
mod plan;
pub(crate) mod report;

use std::io::{self, IsTerminal as _};

use agentd_proto::{reason, v1};
use clap::Args;
use tokio::signal::unix::Signal;

use self::{
    plan::{Plan, Planned},
    report::{Entry, Outcome, Report},
};
use super::{Tally, run::interrupts, submit::no_task};
use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, Error},
    output::list::TellArgs,
};

/// So many tasks are shown before the question.
const SHOWN: usize = 20;

/// How to go about many tasks.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct BulkArgs {
    /// Do not ask first; needed where there is no terminal to ask on.
    #[arg(short, long, requires = "which")]
    yes: bool,

    /// Only show what would be done.
    #[arg(long, help_heading = None::<&'static str>, conflicts_with = "quiet")]
    dry_run: bool,

    #[command(flatten)]
    tell: TellArgs,
}

impl BulkArgs {
    /// Runs every task again that matches and that nothing has taken the place
    /// of; `changes` are those of each rerun.
    ///
    /// # Errors
    /// Nobody may be asked, or one that every further task would meet as well.
    pub(crate) async fn run(
        self,
        cx: &mut Context,
        filter: v1::Filter,
        changes: v1::RerunRequest,
    ) -> Result<u8, Error> {
        let asks = !self.yes && !self.dry_run;
        if asks && !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Error::usage("there is no terminal to ask on")
                .hint("--yes does not ask, --dry-run shows what would be done"));
        }
        let client = cx.client().await?;
        let planned = plan(&client, filter).await?;
        let mut report = Report::new(self.tell.format(), self.dry_run);
        if self.dry_run {
            for planned in planned {
                report.add(&mut cx.out, dry(planned))?;
            }
            report.finish(&mut cx.out, false)?;
            return Ok(EXIT_OK);
        }
        if asks && !confirmed(cx, &planned)? {
            cx.out.message("nothing was done");
            return Ok(EXIT_FAILED);
        }
        // Until here a Ctrl-C simply ends the program.
        let interrupts = interrupts()?;
        let mut round = Round {
            client: &client,
            changes: &changes,
            interrupts,
            interrupted: false,
            tally: Tally::default(),
        };
        let went = round.all(cx, &mut report, planned).await;
        let cut_short = round.interrupted && report.left_out() > 0;
        report.finish(&mut cx.out, cut_short)?;
        went?;
        Ok(if cut_short {
            EXIT_INTERRUPTED
        } else {
            round.tally.code()
        })
    }
}

/// Finds what matches, then what is newer of the same work. In this order: a
/// task that is run again in between is seen.
async fn plan(client: &Client, filter: v1::Filter) -> Result<Vec<Planned>, Error> {
    // These a rerun has from its task. Not so its state and times, and labels
    // may differ in another task of the same work.
    let wider = v1::Filter {
        agent: filter.agent.clone(),
        repo: filter.repo.clone(),
        issue: filter.issue.clone(),
        ..v1::Filter::default()
    };
    let stream = async |filter| {
        let request = v1::ListRequest {
            filter: Some(filter),
            ..v1::ListRequest::default()
        };
        client.list_stream(request).await
    };
    let mut plan = Plan::default();
    let mut matching = stream(filter).await?;
    while let Some(task) = matching.message().await? {
        plan.candidate(&task);
    }
    let Some(oldest) = plan.oldest() else {
        return Ok(Vec::new());
    };
    let mut newer = stream(wider).await?;
    // Newest first.
    while let Some(task) = newer.message().await?
        && task.id > oldest
    {
        plan.seen(&task);
    }
    Ok(plan.finish())
}

fn dry(planned: Planned) -> Entry {
    let outcome = match &planned.skip {
        None => Outcome::WouldRun,
        Some(_) => Outcome::Skipped,
    };
    // What there is to know about one that would run is what it is.
    let reason = planned.skip.unwrap_or(planned.about);
    Entry::new(planned.id, outcome).because(reason)
}

/// Shows what is to be done and asks. If there is nothing to do, there is
/// nothing to ask either.
fn confirmed(cx: &mut Context, planned: &[Planned]) -> Result<bool, Error> {
    let runs: Vec<_> = planned.iter().filter(|it| it.skip.is_none()).collect();
    let (count, skipped) = (runs.len(), planned.len() - runs.len());
    if count == 0 {
        return Ok(true);
    }
    for planned in runs.iter().take(SHOWN) {
        cx.out.message(&planned.about);
    }
    if let Some(more @ 1..) = count.checked_sub(SHOWN) {
        cx.out
            .note(&format!("and {more} more: --dry-run shows all"));
    }
    if skipped > 0 {
        cx.out.note(&format!(
            "{skipped} more will be skipped: --dry-run shows why"
        ));
    }
    let what = match count {
        1 => "this task".to_owned(),
        many => format!("these {many} tasks"),
    };
    cx.out.ask(&format!("Run {what} again? [y/N]"));
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Error::usage("cannot read the answer").because(error))?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// One pass over all that is planned.
struct Round<'a> {
    client: &'a Client,
    changes: &'a v1::RerunRequest,
    interrupts: Signal,
    interrupted: bool,
    tally: Tally,
}

impl Round<'_> {
    async fn all(
        &mut self,
        cx: &mut Context,
        report: &mut Report,
        planned: Vec<Planned>,
    ) -> Result<(), Error> {
        let mut went = Ok(());
        for planned in planned {
            let entry = if let Some(reason) = planned.skip {
                Entry::new(planned.id, Outcome::Skipped).because(reason)
            } else if self.interrupted || went.is_err() {
                Entry::new(planned.id, Outcome::Left)
            } else {
                match self.one(cx, planned.id).await {
                    Ok(entry) => entry,
                    Err(error) => {
                        let outcome = if error.is_unanswered() {
                            Outcome::Unknown
                        } else {
                            Outcome::Left
                        };
                        went = Err(error);
                        Entry::new(planned.id, outcome)
                    }
                }
            };
            // Whoever reads the ids has gone: the others are left.
            went = went.and(report.add(&mut cx.out, entry));
        }
        went
    }

    async fn one(&mut self, cx: &mut Context, id: u64) -> Result<Entry, Error> {
        let request = v1::RerunRequest {
            id,
            request_id: request_id(id),
            ..self.changes.clone()
        };
        let mut call = std::pin::pin!(self.client.rerun(request));
        let answer = loop {
            tokio::select! {
                biased;
                Some(()) = self.interrupts.recv() => {
                    if self.interrupted {
                        return Ok(Entry::new(id, Outcome::Unknown));
                    }
                    self.interrupted = true;
                    cx.out.note(&format!(
                        "\nstopping after task {id} (Ctrl-C again does not wait for it)"
                    ));
                }
                answer = &mut call => break answer,
            }
        };
        match answer {
            Ok(answer) => {
                let new = answer.task.ok_or_else(no_task)?.id;
                Ok(Entry::new(id, Outcome::Accepted).new_task(new))
            }
            Err(error) => match taken(&error) {
                Some(reason) => Ok(Entry::new(id, Outcome::Skipped).because(reason)),
                None => {
                    let reason = error.to_string();
                    let error = error.about(&format!("task {id}"));
                    self.tally.add(&mut cx.out, Err(error))?;
                    Ok(Entry::new(id, Outcome::Refused).because(reason))
                }
            },
        }
    }
}

/// One rerun of a task by this command, in all invocations.
fn request_id(id: u64) -> String {
    format!("agentctl-rerun-of-{id}")
}

/// That somebody else was faster is no failure.
fn taken(error: &Error) -> Option<String> {
    match (error.reason(), error.task()) {
        (reason::KEY_BUSY, Some(task)) => {
            Some(format!("task {task} of the same work is active already"))
        }
        // The same task with other changes, in this very moment.
        (reason::KEY_BUSY | reason::REQUEST_ID_REUSED, _) => {
            Some("another command has just run it again".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y\n", "Y", " yes \n", "YES"] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "yy", "no", "ja", "1"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }
}
