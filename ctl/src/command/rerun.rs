//! `agentctl rerun`.

use agentd_proto::v1;
use clap::{Args, ValueEnum};

use super::{
    budget::BudgetArgs,
    bulk::BulkArgs,
    filter::{FilterArgs, UnsuccessfulArgs},
    given,
    later::LaterArgs,
    random_request_id,
    submit::no_task,
    task::{BusyArgs, check_prompt},
};
use crate::{
    cli::Context,
    client::Client,
    error::Error,
    id::{TaskSet, resolve_all},
};

/// Run ended tasks again, each as a new task.
///
/// With --replace one that has not ended is cancelled first. Takes over agent,
/// repository, issue, prompt, labels and limits, and prints the new ids. What the
/// first task waited for (--after, --not-before) does not count again. --failed and --unsuccessful run every task again that matches,
/// unless another one has taken its place since; to give such a command a
/// second time does no harm.
#[derive(Debug, Args)]
pub(crate) struct Rerun {
    /// The tasks: 42, 40-44, @last, @last-failed.
    #[arg(value_name = "ID")]
    #[arg(conflicts_with_all = ["which", "FilterArgs"])]
    ids: Vec<TaskSet>,

    /// Use another model.
    #[arg(long, value_name = "NAME", value_parser = given)]
    model: Option<String>,

    /// Use another prompt.
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,

    /// Add this to the prompt.
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt")]
    append_prompt: Option<String>,

    /// Begin a new conversation instead of going on in the earlier one.
    #[arg(long)]
    fresh: bool,

    /// What becomes of what is in the task's worktree: go on with it, take
    /// away what is not committed, or also begin its branch anew. What is
    /// taken away is recorded: agentctl workspace restore [default: keep].
    #[arg(long, value_enum, value_name = "HOW")]
    workspace: Option<Reuse>,

    /// Also run tasks again that succeeded.
    #[arg(long, conflicts_with = "which")]
    force: bool,

    #[command(flatten)]
    busy: BusyArgs,

    #[command(flatten)]
    budget: BudgetArgs,

    /// What the task and its reruns have spent by now does not count any more:
    /// they may spend their budgets once more. It is recorded who said so.
    #[arg(long = "override")]
    override_budget: bool,

    #[command(flatten)]
    later: LaterArgs,

    #[command(flatten, next_help_heading = "Instead of ids")]
    unsuccessful: UnsuccessfulArgs,

    #[command(flatten, next_help_heading = "Instead of ids")]
    filter: FilterArgs,

    #[command(flatten, next_help_heading = "Instead of ids")]
    bulk: BulkArgs,
}

/// What becomes of what is in a worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reuse {
    /// Go on with it.
    Keep,
    /// Take away what is not committed; ignored files stay.
    Reset,
    /// Also put the branch back to where a new one would begin.
    Fresh,
}

impl From<Reuse> for v1::WorkspaceReuse {
    fn from(reuse: Reuse) -> Self {
        match reuse {
            Reuse::Keep => Self::Keep,
            Reuse::Reset => Self::Reset,
            Reuse::Fresh => Self::Fresh,
        }
    }
}

impl Rerun {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let (not_before, delay) = self.later.times(cx.out.now, &cx.out.zone())?;
        let changes = v1::RerunRequest {
            not_before,
            delay,
            force: self.force,
            fresh: self.fresh,
            on_busy: self.busy.on_busy().into(),
            limits: Some(self.budget.limits()).filter(|limits| *limits != v1::Limits::default()),
            override_budget: self.override_budget,
            workspace_reuse: self
                .workspace
                .map_or(v1::WorkspaceReuse::Unspecified, Into::into)
                .into(),
            model: self.model.unwrap_or_default(),
            prompt: self
                .prompt
                .map(check_prompt)
                .transpose()?
                .unwrap_or_default(),
            append_prompt: self
                .append_prompt
                .map(check_prompt)
                .transpose()?
                .unwrap_or_default(),
            ..v1::RerunRequest::default()
        };
        if let Some(states) = self.unsuccessful.states() {
            if self.busy.on_busy() != v1::OnBusy::Unspecified {
                // One command should not cancel, or queue up behind, many.
                return Err(Error::usage(
                    "--queue and --replace are for tasks that are named by their ids",
                )
                .hint("a task whose work is active is skipped"));
            }
            let filter = self.filter.into_filter(states, &mut cx.out)?;
            return self.bulk.run(cx, filter, changes).await;
        }
        if self.ids.is_empty() {
            return Err(Error::usage("no task is named").hint(
                "agentctl rerun ID, agentctl rerun @last-failed, or agentctl rerun --failed for \
                 all that failed",
            ));
        }
        let client = cx.client().await?;
        let ids = resolve_all(&client, &self.ids).await?;
        self.bulk.run_named(cx, &client, ids, changes).await
    }
}

/// Runs one task again, once however often the request has to be sent; the new
/// task, and those that were cancelled for it.
///
/// # Errors
/// The daemon's.
pub(crate) async fn rerun_one(
    client: &Client,
    id: u64,
    changes: v1::RerunRequest,
) -> Result<(v1::Task, Vec<u64>), Error> {
    let request = v1::RerunRequest {
        id,
        request_id: random_request_id()?,
        ..changes
    };
    let answer = client.rerun(request).await?;
    Ok((answer.task.ok_or_else(no_task)?, answer.replaced))
}

/// `task 43 runs task 42 again`.
pub(crate) fn runs_again(new: u64, old: u64) -> String {
    format!("task {new} runs task {old} again")
}
