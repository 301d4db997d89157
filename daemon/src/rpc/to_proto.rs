//! Domain to wire.

mod hold;

use agentd_proto::v1;

pub(super) use self::hold::ShownHold;

use crate::{
    dispatcher::{Overview, RecoveryCounts},
    store::JournalEntry,
    supervisor::{ToRunner, Vitals},
    task::{
        attempt::{Attempt, Changes, Exit, Status},
        budget::Spend,
        dependency::{After, Condition},
        id::{TaskId, Timestamp},
        limits::Limits,
        reason::Reasons,
        retry::Policy,
        session::Session,
        spec::{Payload, Trigger, WorkspaceMode, WorkspaceReuse},
        state::{State, StateKind, Task},
        usage::Usage,
    },
    transcript::{Record, Stream},
};

pub(super) fn state(kind: StateKind) -> v1::State {
    match kind {
        StateKind::Queued => v1::State::Queued,
        StateKind::Starting => v1::State::Starting,
        StateKind::Running => v1::State::Running,
        StateKind::Stopping => v1::State::Stopping,
        StateKind::Succeeded => v1::State::Succeeded,
        StateKind::Failed => v1::State::Failed,
        StateKind::Cancelled => v1::State::Cancelled,
        StateKind::Interrupted => v1::State::Interrupted,
        StateKind::Aborted => v1::State::Aborted,
    }
}

fn trigger(trigger: Trigger) -> v1::Trigger {
    match trigger {
        Trigger::Manual => v1::Trigger::Manual,
        Trigger::Rerun => v1::Trigger::Rerun,
        Trigger::Webhook => v1::Trigger::Webhook,
        Trigger::Schedule => v1::Trigger::Schedule,
    }
}

fn workspace_mode(mode: WorkspaceMode) -> v1::WorkspaceMode {
    match mode {
        WorkspaceMode::Worktree => v1::WorkspaceMode::Worktree,
        WorkspaceMode::InPlace => v1::WorkspaceMode::InPlace,
        WorkspaceMode::None => v1::WorkspaceMode::None,
    }
}

fn workspace_reuse(reuse: WorkspaceReuse) -> v1::WorkspaceReuse {
    match reuse {
        WorkspaceReuse::Keep => v1::WorkspaceReuse::Keep,
        WorkspaceReuse::Reset => v1::WorkspaceReuse::Reset,
        WorkspaceReuse::Fresh => v1::WorkspaceReuse::Fresh,
    }
}

pub(super) fn limits(limits: Limits) -> v1::Limits {
    v1::Limits {
        start_timeout: limits.start_timeout,
        timeout: limits.timeout,
        kill_grace: limits.kill_grace,
        max_attempts: limits.max_attempts,
        queue_ttl: limits.queue_ttl,
        idle_timeout: limits.idle_timeout,
        memory: limits.memory,
        pids: limits.pids,
        cpu: limits.cpu,
        max_cost: limits.max_cost,
        max_tokens: limits.max_tokens,
        max_wall: limits.max_wall,
        max_lineage_attempts: limits.max_lineage_attempts,
    }
}

pub(super) fn policy(policy: Policy) -> v1::RetryPolicy {
    let words = |reasons: Reasons| v1::Reasons {
        reasons: reasons.iter().map(|r| r.as_str().to_owned()).collect(),
    };
    v1::RetryPolicy {
        initial_interval: policy.initial_interval,
        backoff_coefficient: policy.backoff_coefficient,
        maximum_interval: policy.maximum_interval,
        retry_on: policy.retry_on.map(words),
        non_retryable: policy.non_retryable.map(words),
    }
}

pub(super) fn spend(spend: Spend) -> v1::Spend {
    v1::Spend {
        cost: spend.cost,
        tokens: spend.tokens,
        wall: spend.wall,
        attempts: spend.attempts,
    }
}

fn time(at: Option<Timestamp>) -> i64 {
    at.map_or(0, |at| at.0)
}

fn text(text: Option<&String>) -> String {
    text.cloned().unwrap_or_default()
}

/// A task as a row of a list. `hold` is shown if it is queued.
pub(super) fn task(task: &Task, hold: ShownHold) -> v1::Task {
    let spec = &task.spec;
    let ending = match &task.state {
        State::Finished(ending) => Some(ending),
        State::Queued(_) | State::Starting | State::Running | State::Stopping { .. } => None,
    };
    let stop_reason = match &task.state {
        State::Stopping { reason, .. } => reason.as_str(),
        State::Queued(_) | State::Starting | State::Running | State::Finished(_) => "",
    };
    let reason = ending.and_then(|ending| ending.reason);
    v1::Task {
        id: task.id.get(),
        revision: task.revision.0,
        trigger: trigger(spec.trigger).into(),
        rerun_of: spec.rerun_of.map_or(0, TaskId::get),
        lineage: spec.lineage.unwrap_or(task.id).get(),
        request_id: text(spec.request_id.as_ref()),
        agent: spec.agent.clone(),
        agent_type: spec.agent_type.as_str().to_owned(),
        model: text(spec.model.as_ref()),
        title: spec.title.clone(),
        repo: spec
            .repo
            .as_ref()
            .map_or_else(String::new, |path| path.to_string_lossy().into_owned()),
        issue: text(spec.issue.as_ref()),
        user: spec.user.clone(),
        labels: spec.labels.clone().into_iter().collect(),
        priority: spec.priority,
        limits: Some(limits(spec.limits)),
        workspace_mode: workspace_mode(spec.workspace_mode).into(),
        key: spec.key().map_or_else(String::new, |key| key.to_string()),
        created_at: spec.created_at.0,
        finished_at: time(ending.map(|ending| ending.at)),
        state: state(task.state.kind()).into(),
        hold: matches!(task.state, State::Queued(_)).then(|| hold.into()),
        stop_reason: stop_reason.to_owned(),
        failure_reason: reason.map_or("", |reason| reason.as_str()).to_owned(),
        message: ending.map_or_else(String::new, |ending| ending.message.clone()),
        attempts: task.attempts,
        attempt: task.attempt.as_ref().map(attempt),
        prompt: String::new(),
        command: Vec::new(),
        retry: (spec.retry != Policy::default()).then(|| policy(spec.retry)),
        spent: None,
        forgiven: (spec.forgiven != Spend::default()).then(|| spend(spec.forgiven)),
        fresh: spec.fresh,
        workspace_reuse: workspace_reuse(spec.workspace_reuse).into(),
        not_before: time(spec.not_before.map(|at| at.wall)),
        after: spec.after.iter().map(after).collect(),
        waits_for: task.waits_for.iter().map(after).collect(),
    }
}

fn after(after: &After) -> v1::After {
    let condition = match after.condition {
        Condition::Success => v1::after::Condition::Unspecified,
        Condition::End => v1::after::Condition::Any,
    };
    v1::After {
        task: after.task.get(),
        condition: condition.into(),
    }
}

/// A task with what it was asked to do, and what its lineage has spent.
pub(super) fn whole_task(
    shown: &Task,
    hold: ShownHold,
    payload: Payload,
    spent: Spend,
) -> v1::Task {
    v1::Task {
        spent: Some(spend(spent)),
        prompt: payload.prompt,
        command: payload.command,
        ..task(shown, hold)
    }
}

pub(super) fn attempt(attempt: &Attempt) -> v1::Attempt {
    let ending = attempt.ending.as_ref();
    let workspace = attempt.workspace.as_ref();
    let reason = ending.and_then(|ending| ending.reason);
    let known = attempt.known();
    v1::Attempt {
        task: attempt.id.task.get(),
        number: attempt.id.number,
        epoch: attempt.epoch.0,
        phase: attempt.phase.as_str().to_owned(),
        workspace: workspace.map_or_else(String::new, |w| w.path.to_string_lossy().into_owned()),
        branch: text(workspace.and_then(|w| w.branch.as_ref())),
        runner_pid: attempt.runner.as_ref().map_or(0, |p| p.pid),
        agent_pid: attempt.agent.as_ref().map_or(0, |p| p.pid),
        claimed_at: attempt.claimed_at.wall.0,
        started_at: time(attempt.started_at.map(|at| at.wall)),
        ended_at: time(ending.map(|ending| ending.at)),
        exit: attempt.exit.as_ref().map(exit),
        outcome: ending.map_or("", |e| e.outcome.as_str()).to_owned(),
        failure_reason: reason.map_or("", |reason| reason.as_str()).to_owned(),
        message: ending.map_or_else(String::new, |e| e.message.clone()),
        vitals: None,
        session: text(known.session.as_ref()),
        usage: known.usage.as_ref().map(usage),
        model: text(known.model.as_ref()),
        progress: text(known.progress.as_ref()),
        account: attempt.account.clone(),
        spent_before: (attempt.before != Spend::default()).then(|| spend(attempt.before)),
        session_given: text(attempt.given.session.as_ref()),
        session_way: attempt.given.way.as_str().to_owned(),
        session_why: attempt.given.why.clone(),
        session_gone: text(known.session_gone.as_ref()),
        pruned_at: time(attempt.pruned_at),
        claim: known.claim.map(|claim| v1::Claim {
            done: claim.done,
            message: claim.message,
        }),
        changes: attempt
            .changes
            .as_ref()
            .map(|left| changes(left, attempt.changed_nothing())),
        head_before: text(workspace.and_then(|w| w.head.as_ref())),
    }
}

pub(super) fn session(session: &Session) -> v1::Session {
    let user = session.user;
    v1::Session {
        id: session.id.clone(),
        agent: session.agent.clone(),
        agent_type: session.agent_type.as_str().to_owned(),
        model: text(session.model.as_ref()),
        key: session.key.clone(),
        workspace: session.workspace.to_string_lossy().into_owned(),
        standing: session.standing.as_str().to_owned(),
        why: session.why.clone(),
        task: session.attempt.task.get(),
        attempt: session.attempt.number,
        user_task: user.map_or(0, |user| user.task.get()),
        user_attempt: user.map_or(0, |user| user.number),
        first_task: session.first.task.get(),
        first_attempt: session.first.number,
        made_at: session.made_at.0,
        changed_at: session.changed_at.0,
    }
}

fn changes(changes: &Changes, none: bool) -> v1::Changes {
    v1::Changes {
        head: text(changes.head.as_ref()),
        commits: changes.commits,
        files: changes.files,
        uncommitted: changes.uncommitted,
        unpushed: changes.unpushed,
        conflicts: changes.conflicts,
        recorded: text(changes.recorded.as_ref()),
        left_out: changes.left_out.clone(),
        none,
    }
}

pub(super) fn usage(usage: &Usage) -> v1::Usage {
    v1::Usage {
        input: usage.input,
        output: usage.output,
        cached: usage.cached,
        cost: usage.cost,
        turns: usage.turns,
    }
}

pub(super) fn vitals(vitals: Vitals) -> v1::Vitals {
    let beat = vitals.beat.unwrap_or_default();
    v1::Vitals {
        last_heartbeat_at: time(vitals.heard_at),
        suspect: vitals.suspect,
        probe: vitals.probe.map_or("", |life| life.as_str()).to_owned(),
        output: beat.output,
        cpu: beat.cpu,
        memory: beat.memory,
        processes: beat.processes,
        idle: beat.idle,
    }
}

fn exit(exit: &Exit) -> v1::Exit {
    let (code, signal, core_dumped) = match exit.status {
        Status::Code(code) => (Some(code), None, false),
        Status::Signal { number, core } => (None, Some(number), core),
    };
    v1::Exit {
        code,
        signal,
        core_dumped,
        user_cpu: exit.user_cpu,
        system_cpu: exit.system_cpu,
        peak_memory: exit.peak_memory,
        oom_killed: exit.oom_killed,
    }
}

pub(super) fn event(entry: &JournalEntry) -> v1::Event {
    v1::Event {
        revision: entry.revision.0,
        task: entry.task.get(),
        attempt: entry.attempt,
        at: entry.at.0,
        what: entry.what.as_str().to_owned(),
        why: entry.why.clone(),
        state: state(entry.state).into(),
    }
}

pub(super) fn log_line(record: Record) -> v1::LogLine {
    use v1::log_line::Stream as Wire;
    let stream = match record.stream {
        Stream::Output => Wire::Stdout,
        Stream::Errors => Wire::Stderr,
        Stream::Note => Wire::Note,
    };
    v1::LogLine {
        at: record.at.0,
        stream: stream.into(),
        partial: record.partial,
        data: record.data,
    }
}

pub(super) fn to_runner(message: ToRunner) -> v1::DaemonMessage {
    use v1::daemon_message::Message;
    let message = match message {
        ToRunner::Go => Message::Go(v1::Go {}),
        ToRunner::CarryOn => Message::CarryOn(v1::CarryOn {}),
        ToRunner::Stop { reason, grace } => Message::Stop(v1::Stop {
            reason: reason.to_owned(),
            grace,
        }),
        ToRunner::Fenced { why } => Message::Fenced(v1::Fenced {
            why: why.to_owned(),
        }),
        ToRunner::Ack => Message::Ack(v1::Ack {}),
    };
    v1::DaemonMessage {
        message: Some(message),
    }
}

fn recovery(counts: RecoveryCounts) -> v1::Recovery {
    v1::Recovery {
        total: counts.total,
        resolved: counts.resolved(),
        adopted: counts.adopted,
        finished: counts.finished,
        reaped: counts.reaped + counts.never_started,
        unknown: counts.unknown,
        never_started: counts.never_started,
        held: counts.held,
    }
}

/// The part of the status that the dispatcher knows.
pub(super) fn status(overview: &Overview) -> v1::StatusResponse {
    let count = |kind| overview.states.get(&kind).copied().unwrap_or(0);
    v1::StatusResponse {
        phase: overview.phase.as_str().to_owned(),
        queued: count(StateKind::Queued),
        starting: count(StateKind::Starting),
        running: count(StateKind::Running),
        stopping: count(StateKind::Stopping),
        paused: overview.paused,
        held: overview.held,
        revision: overview.revision.0,
        recovery: Some(recovery(overview.recovery)),
        ..v1::StatusResponse::default()
    }
}
