//! What a script sees: the shapes of JSON output, with keys that stay.
//!
//! States and modes are lowercase words, times RFC 3339 strings (`null` for
//! "not yet"), durations milliseconds, and what is not set is `null`.

mod changes;
mod spending;

use std::collections::{BTreeMap, HashMap};

use agentd_proto::v1::{self, State};
use serde::Serialize;

use self::changes::ChangesView;
use self::spending::{RetryView, SpendView};
use crate::when::{between, rfc3339};

/// The states that `--failed` means.
pub(crate) const FAILED_STATES: [State; 3] = [State::Failed, State::Interrupted, State::Aborted];

/// The states that `--unsuccessful` means.
pub(crate) const UNSUCCESSFUL_STATES: [State; 4] = [
    State::Failed,
    State::Interrupted,
    State::Aborted,
    State::Cancelled,
];

/// The states that `--active` means.
pub(crate) const ACTIVE_STATES: [State; 4] = [
    State::Queued,
    State::Starting,
    State::Running,
    State::Stopping,
];

/// The word for a state.
pub(crate) fn state_word(state: State) -> &'static str {
    match state {
        // Of a daemon that knows more states than this program.
        State::Unspecified => "unknown",
        State::Queued => "queued",
        State::Starting => "starting",
        State::Running => "running",
        State::Stopping => "stopping",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
        State::Interrupted => "interrupted",
        State::Aborted => "aborted",
    }
}

/// Whether a task in it has ended.
pub(crate) fn is_final(state: State) -> bool {
    match state {
        State::Unspecified | State::Queued | State::Starting | State::Running | State::Stopping => {
            false
        }
        State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::Interrupted
        | State::Aborted => true,
    }
}

/// The word for what made a task.
pub(crate) fn trigger_word(trigger: v1::Trigger) -> &'static str {
    match trigger {
        v1::Trigger::Unspecified => "unknown",
        v1::Trigger::Manual => "manual",
        v1::Trigger::Rerun => "rerun",
        v1::Trigger::Webhook => "webhook",
        v1::Trigger::Schedule => "schedule",
    }
}

/// The word for where the agent works.
pub(crate) fn workspace_word(mode: v1::WorkspaceMode) -> Option<&'static str> {
    match mode {
        v1::WorkspaceMode::Unspecified => None,
        v1::WorkspaceMode::Worktree => Some("worktree"),
        v1::WorkspaceMode::InPlace => Some("in-place"),
        v1::WorkspaceMode::None => Some("none"),
    }
}

/// The word for what becomes of what is in a worktree.
pub(crate) fn reuse_word(reuse: v1::WorkspaceReuse) -> Option<&'static str> {
    match reuse {
        v1::WorkspaceReuse::Unspecified => None,
        v1::WorkspaceReuse::Keep => Some("keep"),
        v1::WorkspaceReuse::Reset => Some("reset"),
        v1::WorkspaceReuse::Fresh => Some("fresh"),
    }
}

/// The word for what has to become of a task that is waited for.
pub(crate) fn condition_word(condition: v1::after::Condition) -> &'static str {
    match condition {
        v1::after::Condition::Unspecified => "ok",
        v1::after::Condition::Any => "any",
    }
}

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
struct AfterView {
    task: u64,
    condition: &'static str,
}

/// What bounds a task; `null` is the default of agent or daemon.
#[derive(Debug, Serialize)]
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
pub(crate) struct TaskDetail {
    #[serde(flatten)]
    task: TaskView,
    prompt: Option<String>,
    command: Option<Vec<String>>,
    /// Oldest first.
    attempts: Vec<AttemptView>,
}

/// One execution.
#[derive(Debug, Serialize)]
pub(crate) struct AttemptView {
    task: u64,
    number: u32,
    phase: String,
    outcome: Option<String>,
    failure_reason: Option<String>,
    message: Option<String>,
    exit: Option<ExitView>,
    /// What it was given to begin with, and why.
    session_given: Option<String>,
    session_way: Option<String>,
    session_why: Option<String>,
    /// What it was to resume and did not know.
    session_gone: Option<String>,
    workspace: Option<String>,
    branch: Option<String>,
    /// The commit that it found checked out.
    head_before: Option<String>,
    /// `null` until its end was looked at, and without a repository.
    changes: Option<ChangesView>,
    runner_pid: Option<u32>,
    agent_pid: Option<u32>,
    account: Option<String>,
    claimed_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    /// From the start to the end; `null` before it.
    duration_ms: Option<u64>,
    epoch: u64,
    /// The session that the agent named.
    session: Option<String>,
    /// The model that answers, as the agent says.
    model: Option<String>,
    /// What the agent says that it is doing.
    progress: Option<String>,
    /// What it says that it has used; `null` if it says nothing.
    usage: Option<UsageView>,
    /// The runner's last sign of life; `null` unless it is under way.
    last_heartbeat_at: Option<String>,
    /// It has given none for longer than it should; `null` unless it is under
    /// way.
    suspect: Option<bool>,
    /// What a look at a suspect runner found.
    probe: Option<String>,
    /// Of its last heartbeat.
    figures: Option<FiguresView>,
}

/// What an agent says that it has used.
#[derive(Debug, Serialize)]
struct UsageView {
    input_tokens: u64,
    output_tokens: u64,
    /// Tokens that came from its provider's cache.
    cached_tokens: u64,
    turns: u64,
    /// Millionths of a US dollar; `null` if it does not say.
    cost_micro_usd: Option<u64>,
}

/// What the agent's processes used at the last heartbeat.
#[derive(Debug, Serialize)]
struct FiguresView {
    output_bytes: u64,
    cpu_ms: u64,
    memory_bytes: u64,
    processes: u32,
    /// Without output, CPU time, or a process that came or went.
    idle_ms: u64,
}

/// What the kernel said of the agent's process.
#[derive(Debug, Serialize)]
struct ExitView {
    code: Option<i32>,
    signal: Option<i32>,
    core_dumped: bool,
    user_cpu_ms: u64,
    system_cpu_ms: u64,
    peak_memory_bytes: u64,
    oom_killed: bool,
}

/// One change of a task.
#[derive(Debug, Serialize)]
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

impl From<v1::Attempt> for AttemptView {
    fn from(attempt: v1::Attempt) -> Self {
        let vitals = attempt.vitals;
        Self {
            task: attempt.task,
            number: attempt.number,
            phase: attempt.phase,
            outcome: text(attempt.outcome),
            failure_reason: text(attempt.failure_reason),
            message: text(attempt.message),
            exit: attempt.exit.map(ExitView::from),
            session_given: text(attempt.session_given),
            session_way: text(attempt.session_way),
            session_why: text(attempt.session_why),
            session_gone: text(attempt.session_gone),
            workspace: text(attempt.workspace),
            branch: text(attempt.branch),
            head_before: text(attempt.head_before),
            changes: attempt.changes.map(ChangesView::from),
            runner_pid: nonzero(attempt.runner_pid),
            agent_pid: nonzero(attempt.agent_pid),
            account: text(attempt.account),
            claimed_at: rfc3339(attempt.claimed_at),
            started_at: rfc3339(attempt.started_at),
            ended_at: rfc3339(attempt.ended_at),
            duration_ms: between(attempt.started_at, attempt.ended_at)
                .and_then(|took| u64::try_from(took.as_millis()).ok()),
            epoch: attempt.epoch,
            session: text(attempt.session),
            model: text(attempt.model),
            progress: text(attempt.progress),
            usage: attempt.usage.map(UsageView::from),
            last_heartbeat_at: vitals.as_ref().and_then(|v| rfc3339(v.last_heartbeat_at)),
            suspect: vitals.as_ref().map(|v| v.suspect),
            probe: vitals.as_ref().and_then(|v| text(v.probe.clone())),
            figures: vitals.filter(|v| v.processes > 0).map(FiguresView::from),
        }
    }
}

impl From<v1::Usage> for UsageView {
    fn from(usage: v1::Usage) -> Self {
        Self {
            input_tokens: usage.input,
            output_tokens: usage.output,
            cached_tokens: usage.cached,
            turns: usage.turns,
            cost_micro_usd: usage.cost,
        }
    }
}

impl From<v1::Vitals> for FiguresView {
    fn from(vitals: v1::Vitals) -> Self {
        Self {
            output_bytes: vitals.output,
            cpu_ms: vitals.cpu,
            memory_bytes: vitals.memory,
            processes: vitals.processes,
            idle_ms: vitals.idle,
        }
    }
}

impl From<v1::Exit> for ExitView {
    fn from(exit: v1::Exit) -> Self {
        Self {
            code: exit.code,
            signal: exit.signal,
            core_dumped: exit.core_dumped,
            user_cpu_ms: exit.user_cpu,
            system_cpu_ms: exit.system_cpu,
            peak_memory_bytes: exit.peak_memory,
            oom_killed: exit.oom_killed,
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
