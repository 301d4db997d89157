//! What a script sees: the shapes of JSON output, with keys that stay.
//!
//! States and modes are lowercase words, times RFC 3339 strings (`null` for
//! "not yet"), durations milliseconds, and what is not set is `null`.

mod attempt;
mod changes;
mod relative;
mod spending;
mod words;

use std::collections::{BTreeMap, HashMap};

use agentd_proto::v1;
use serde::Serialize;

pub(crate) use self::{
    attempt::AttemptView,
    relative::RelativeView,
    words::{
        ACTIVE_STATES, FAILED_STATES, UNSUCCESSFUL_STATES, condition_word, is_final, state_word,
        trigger_word, workspace_word,
    },
};
use self::{
    spending::{RetryView, SpendView},
    words::reuse_word,
};
use crate::when::rfc3339;

/// `None` for what is empty.
fn text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn nonzero<N: Default + PartialEq>(number: N) -> Option<N> {
    (number != N::default()).then_some(number)
}

fn sorted(labels: HashMap<String, String>) -> BTreeMap<String, String> {
    labels.into_iter().collect()
}

/// A task.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TaskView {
    id: u64,
    state: &'static str,
    hold: Option<HoldView>,
    stop_reason: Option<String>,
    failure_reason: Option<String>,
    message: Option<String>,
    agent: Option<String>,
    agent_type: Option<String>,
    model: Option<String>,
    title: Option<String>,
    repo: Option<String>,
    issue: Option<String>,
    key: Option<String>,
    user: Option<String>,
    labels: BTreeMap<String, String>,
    priority: i32,
    trigger: &'static str,
    rerun_of: Option<u64>,
    fresh: bool,
    lineage: Option<u64>,
    request_id: Option<String>,
    workspace_mode: Option<&'static str>,
    /// What a rerun did with what was in its worktree.
    workspace_reuse: Option<&'static str>,
    limits: LimitsView,
    retry: RetryView,
    /// Of the task and its reruns; `null` in lists.
    lineage_spent: Option<SpendView>,
    /// What of that does not count: a budget was overridden.
    budget_forgiven: Option<SpendView>,
    not_before: Option<String>,
    /// The tasks that had to end first, and those that have not yet.
    after: Vec<AfterView>,
    waits_for: Vec<AfterView>,
    created_at: Option<String>,
    finished_at: Option<String>,
    attempt_count: u32,
    /// The newest.
    attempt: Option<AttemptView>,
    revision: u64,
}

/// Why a queued task is not running.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct HoldView {
    kind: String,
    until: Option<String>,
    task: Option<u64>,
    account: Option<String>,
    /// How many other tasks have to end as well.
    others: Option<u32>,
    by: Option<String>,
}

/// A task that another one waits for.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct AfterView {
    task: u64,
    condition: &'static str,
}

/// What bounds a task; `null` is the default of agent or daemon.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct LimitsView {
    start_timeout_ms: Option<u64>,
    timeout_ms: Option<u64>,
    kill_grace_ms: Option<u64>,
    max_attempts: Option<u32>,
    queue_ttl_ms: Option<u64>,
    /// 0: none.
    idle_timeout_ms: Option<u64>,
    memory_bytes: Option<u64>,
    pids: Option<u32>,
    /// Thousandths of one CPU.
    cpu_thousandths: Option<u32>,
    /// Of the task and its reruns together, as the three below; millionths of
    /// a US dollar.
    max_cost_micro_usd: Option<u64>,
    max_tokens: Option<u64>,
    max_wall_time_ms: Option<u64>,
    max_lineage_attempts: Option<u32>,
}

/// A task with all that only `show` asks for.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TaskDetail {
    #[serde(flatten)]
    task: TaskView,
    prompt: Option<String>,
    command: Option<Vec<String>>,
    /// Oldest first.
    attempts: Vec<AttemptView>,
    /// The tasks of its lineage that came after it; the newest 10.
    reruns: Vec<RelativeView>,
}

/// A task that was handed over.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SubmittedView {
    #[serde(flatten)]
    task: TaskView,
    /// The same request was sent before: this is the task that it made.
    existing: bool,
    /// The tasks that were cancelled for it; `null`: nobody knows any more.
    replaced: Option<Vec<u64>>,
}

impl SubmittedView {
    pub(crate) fn new(task: v1::Task, existing: bool, replaced: Vec<u64>) -> Self {
        Self {
            task: TaskView::from(task),
            existing,
            replaced: Some(replaced).filter(|ids| !existing || !ids.is_empty()),
        }
    }
}

/// One change of a task.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct EventView {
    revision: u64,
    at: Option<String>,
    task: u64,
    attempt: Option<u32>,
    what: String,
    why: Option<String>,
    state: &'static str,
}

impl From<v1::Task> for TaskView {
    fn from(task: v1::Task) -> Self {
        Self {
            id: task.id,
            state: state_word(task.state()),
            trigger: trigger_word(task.trigger()),
            workspace_mode: workspace_word(task.workspace_mode()),
            workspace_reuse: reuse_word(task.workspace_reuse()),
            hold: task.hold.map(HoldView::from),
            stop_reason: text(task.stop_reason),
            failure_reason: text(task.failure_reason),
            message: text(task.message),
            agent: text(task.agent),
            agent_type: text(task.agent_type),
            model: text(task.model),
            title: text(task.title),
            repo: text(task.repo),
            issue: text(task.issue),
            key: text(task.key),
            user: text(task.user),
            labels: sorted(task.labels),
            priority: task.priority,
            rerun_of: nonzero(task.rerun_of),
            fresh: task.fresh,
            lineage: nonzero(task.lineage),
            request_id: text(task.request_id),
            limits: LimitsView::from(task.limits.unwrap_or_default()),
            retry: RetryView::from(task.retry.unwrap_or_default()),
            lineage_spent: task.spent.map(SpendView::from),
            budget_forgiven: task.forgiven.map(SpendView::from),
            not_before: rfc3339(task.not_before),
            after: task.after.into_iter().map(AfterView::from).collect(),
            waits_for: task.waits_for.into_iter().map(AfterView::from).collect(),
            created_at: rfc3339(task.created_at),
            finished_at: rfc3339(task.finished_at),
            attempt_count: task.attempts,
            attempt: task.attempt.map(AttemptView::from),
            revision: task.revision,
        }
    }
}

impl From<v1::GetResponse> for TaskDetail {
    fn from(got: v1::GetResponse) -> Self {
        let mut task = got.task.unwrap_or_default();
        let prompt = text(std::mem::take(&mut task.prompt));
        let command = std::mem::take(&mut task.command);
        Self {
            task: TaskView::from(task),
            prompt,
            command: (!command.is_empty()).then_some(command),
            attempts: got.attempts.into_iter().map(AttemptView::from).collect(),
            reruns: got.reruns.into_iter().map(RelativeView::from).collect(),
        }
    }
}

impl From<v1::Hold> for HoldView {
    fn from(hold: v1::Hold) -> Self {
        Self {
            kind: hold.kind,
            until: rfc3339(hold.until),
            task: nonzero(hold.task),
            account: text(hold.account),
            others: nonzero(hold.others),
            by: text(hold.by),
        }
    }
}

impl From<v1::After> for AfterView {
    fn from(after: v1::After) -> Self {
        Self {
            task: after.task,
            condition: condition_word(after.condition()),
        }
    }
}

impl From<v1::Limits> for LimitsView {
    fn from(limits: v1::Limits) -> Self {
        Self {
            start_timeout_ms: limits.start_timeout.and_then(nonzero),
            timeout_ms: limits.timeout.and_then(nonzero),
            kill_grace_ms: limits.kill_grace.and_then(nonzero),
            max_attempts: limits.max_attempts.and_then(nonzero),
            queue_ttl_ms: limits.queue_ttl.and_then(nonzero),
            idle_timeout_ms: limits.idle_timeout,
            memory_bytes: limits.memory.and_then(nonzero),
            pids: limits.pids.and_then(nonzero),
            cpu_thousandths: limits.cpu.and_then(nonzero),
            max_cost_micro_usd: limits.max_cost,
            max_tokens: limits.max_tokens,
            max_wall_time_ms: limits.max_wall,
            max_lineage_attempts: limits.max_lineage_attempts,
        }
    }
}

impl From<v1::Event> for EventView {
    fn from(event: v1::Event) -> Self {
        Self {
            revision: event.revision,
            at: rfc3339(event.at),
            task: event.task,
            attempt: nonzero(event.attempt),
            state: state_word(event.state()),
            what: event.what,
            why: text(event.why),
        }
    }
}
