//! One execution of a task, and what is known of its processes.

use agentd_proto::v1;
use serde::Serialize;

use super::{changes::ChangesView, nonzero, text};
use crate::when::{between, rfc3339};

/// One execution.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AttemptView {
    task: u64,
    number: u32,
    phase: String,
    outcome: Option<String>,
    failure_reason: Option<String>,
    message: Option<String>,
    exit: Option<ExitView>,
    /// What the agent said of its work in the end; `null` if it said nothing.
    claim: Option<ClaimView>,
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
    /// When its transcript was removed, for its age.
    transcript_pruned_at: Option<String>,
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct UsageView {
    input_tokens: u64,
    output_tokens: u64,
    /// Tokens that came from its provider's cache.
    cached_tokens: u64,
    turns: u64,
    /// Millionths of a US dollar; `null` if it does not say.
    cost_micro_usd: Option<u64>,
}

/// What an agent says of its own work.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ClaimView {
    done: bool,
    /// Its last words.
    message: Option<String>,
}

/// What the agent's processes used at the last heartbeat.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ExitView {
    code: Option<i32>,
    signal: Option<i32>,
    core_dumped: bool,
    user_cpu_ms: u64,
    system_cpu_ms: u64,
    peak_memory_bytes: u64,
    oom_killed: bool,
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
            claim: attempt.claim.map(ClaimView::from),
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
            transcript_pruned_at: rfc3339(attempt.pruned_at),
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

impl From<v1::Claim> for ClaimView {
    fn from(claim: v1::Claim) -> Self {
        Self {
            done: claim.done,
            message: text(claim.message),
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
