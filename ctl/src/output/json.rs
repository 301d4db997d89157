//! JSON and YAML for scripts: every document names its schema, every list is one
//! object. `docs/schema` describes them.

use serde::Serialize;

use crate::view::TaskView;

/// Something with the name of its schema in front.
#[derive(Debug, Serialize)]
pub(crate) struct Document<T> {
    schema: &'static str,
    #[serde(flatten)]
    body: T,
}

impl<T> Document<T> {
    /// `schema` is `agentctl.<what>/v<number>`; the number changes when a key
    /// is renamed or removed, not when one is added.
    pub(crate) fn new(schema: &'static str, body: T) -> Self {
        Self { schema, body }
    }
}

/// What scripts read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// On one line.
    Json,
    /// The same keys.
    Yaml,
}

/// One task.
pub(crate) const TASK: &str = "agentctl.task/v1";
/// A list of tasks.
pub(crate) const TASKS: &str = "agentctl.tasks/v1";
/// One attempt.
pub(crate) const ATTEMPT: &str = "agentctl.attempt/v1";
/// One event.
pub(crate) const EVENT: &str = "agentctl.event/v1";
/// The story of a task.
pub(crate) const EXPLANATION: &str = "agentctl.explanation/v1";
/// What is scheduled.
pub(crate) const SCHEDULES: &str = "agentctl.schedules/v1";
/// One schedule.
pub(crate) const SCHEDULE: &str = "agentctl.schedule/v1";
/// One session.
pub(crate) const SESSION: &str = "agentctl.session/v1";
/// A list of sessions.
pub(crate) const SESSIONS: &str = "agentctl.sessions/v1";
/// The daemon.
pub(crate) const STATUS: &str = "agentctl.status/v1";
/// The agents.
pub(crate) const AGENTS: &str = "agentctl.agents/v1";
/// One agent.
pub(crate) const AGENT: &str = "agentctl.agent/v1";
/// A task that was handed over.
pub(crate) const SUBMITTED: &str = "agentctl.submitted/v1";
/// What became of the tasks that a verb was given.
pub(crate) const ACTED: &str = "agentctl.acted/v1";
/// What became of one of them.
pub(crate) const ACTED_TASK: &str = "agentctl.acted_task/v1";
/// What became of running many tasks again.
pub(crate) const RERUNS: &str = "agentctl.reruns/v1";
/// What became of running one task again.
pub(crate) const RERUN: &str = "agentctl.rerun/v1";
/// Accounts, and which of them wait.
pub(crate) const QUOTA: &str = "agentctl.quota/v1";
/// One account.
pub(crate) const ACCOUNT: &str = "agentctl.account/v1";
/// What attempts have used.
pub(crate) const USAGE: &str = "agentctl.usage/v1";
/// One row of usage.
pub(crate) const USAGE_ROW: &str = "agentctl.usage_row/v1";
/// The worktrees there are.
pub(crate) const WORKSPACES: &str = "agentctl.workspaces/v1";
/// One worktree.
pub(crate) const WORKSPACE: &str = "agentctl.workspace/v1";
/// One thing that was looked at for its age.
pub(crate) const PRUNED_ITEM: &str = "agentctl.pruned_item/v1";
/// What was removed for its age.
pub(crate) const PRUNED: &str = "agentctl.pruned/v1";
/// What is wrong.
pub(crate) const DOCTOR: &str = "agentctl.doctor/v1";
/// The daemon as a service of its user.
pub(crate) const SERVICE: &str = "agentctl.service/v1";
/// The versions.
pub(crate) const VERSION: &str = "agentctl.version/v1";

/// A list of tasks, and how many it leaves out.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Tasks {
    /// In the order asked for.
    pub(crate) tasks: Vec<TaskView>,
    /// How many more match.
    pub(crate) more: u64,
    /// There are at least so many.
    pub(crate) more_is_bound: bool,
}
