//! The stored form of a task, without its newest attempt.

use std::{collections::BTreeMap, path::PathBuf};

use prost::Message;

use super::{
    EndingRecord, RecordError, SteadyRecord,
    code::{Code, state_kind},
    ending, ending_record, path_text,
    retry::{PolicyRecord, policy, policy_record},
    spend::{BudgetsRecord, SpendRecord, budgets_record, spend, spend_record, with_budgets},
    steady, steady_record,
    wait::{AfterRecord, MomentRecord, after, after_records, moment, moment_record},
};
use crate::task::{
    id::{Revision, TaskId, Timestamp},
    limits::Limits,
    moment::Moment,
    spec::{AgentType, TaskSpec, Trigger, WorkspaceMode, WorkspaceReuse},
    state::{Hold, State, StateKind, StopReason, Task},
};

#[derive(Clone, PartialEq, Message)]
struct TaskRecord {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(uint32, tag = "2")]
    trigger: u32,
    #[prost(uint64, tag = "3")]
    rerun_of: u64,
    #[prost(uint64, tag = "4")]
    lineage: u64,
    #[prost(string, optional, tag = "5")]
    request_id: Option<String>,
    #[prost(string, tag = "6")]
    agent: String,
    #[prost(uint32, tag = "7")]
    agent_type: u32,
    #[prost(string, optional, tag = "8")]
    model: Option<String>,
    #[prost(string, tag = "9")]
    title: String,
    #[prost(string, optional, tag = "10")]
    repo: Option<String>,
    #[prost(string, optional, tag = "11")]
    issue: Option<String>,
    #[prost(string, tag = "12")]
    user: String,
    #[prost(btree_map = "string, string", tag = "13")]
    labels: BTreeMap<String, String>,
    #[prost(sint32, tag = "14")]
    priority: i32,
    #[prost(uint64, optional, tag = "15")]
    start_timeout: Option<u64>,
    #[prost(uint64, optional, tag = "16")]
    timeout: Option<u64>,
    #[prost(uint64, optional, tag = "17")]
    kill_grace: Option<u64>,
    #[prost(uint32, optional, tag = "18")]
    max_attempts: Option<u32>,
    #[prost(uint32, tag = "19")]
    workspace_mode: u32,
    #[prost(int64, tag = "20")]
    created_at: i64,
    #[prost(uint32, tag = "21")]
    state: u32,
    #[prost(int64, optional, tag = "22")]
    backoff_until: Option<i64>,
    #[prost(uint32, tag = "23")]
    stop_reason: u32,
    #[prost(bool, tag = "24")]
    stop_forced: bool,
    #[prost(message, optional, tag = "25")]
    ending: Option<EndingRecord>,
    #[prost(uint32, tag = "26")]
    attempts: u32,
    #[prost(uint32, tag = "27")]
    spent: u32,
    #[prost(uint32, tag = "28")]
    lost_streak: u32,
    #[prost(message, optional, tag = "40")]
    created_steady: Option<SteadyRecord>,
    #[prost(message, optional, tag = "41")]
    backoff_steady: Option<SteadyRecord>,
    #[prost(bool, tag = "42")]
    started: bool,
    #[prost(uint64, optional, tag = "43")]
    queue_ttl: Option<u64>,
    #[prost(uint64, optional, tag = "44")]
    idle_timeout: Option<u64>,
    #[prost(uint64, optional, tag = "60")]
    memory: Option<u64>,
    #[prost(uint32, optional, tag = "61")]
    pids: Option<u32>,
    #[prost(uint32, optional, tag = "62")]
    cpu: Option<u32>,
    #[prost(message, optional, tag = "70")]
    retry: Option<PolicyRecord>,
    #[prost(uint32, tag = "71")]
    session_failures: u32,
    #[prost(message, optional, tag = "120")]
    budgets: Option<BudgetsRecord>,
    #[prost(message, optional, tag = "121")]
    forgiven: Option<SpendRecord>,
    #[prost(bool, tag = "100")]
    fresh: bool,
    /// 0: kept.
    #[prost(uint32, tag = "90")]
    workspace_reuse: u32,
    /// With the state `queued`: who holds it.
    #[prost(string, optional, tag = "140")]
    held_by: Option<String>,
    /// With the state `queued`: the time that it was submitted for.
    #[prost(message, optional, tag = "141")]
    scheduled: Option<MomentRecord>,
    #[prost(message, optional, tag = "142")]
    not_before: Option<MomentRecord>,
    #[prost(message, repeated, tag = "143")]
    after: Vec<AfterRecord>,
    #[prost(message, repeated, tag = "144")]
    waits_for: Vec<AfterRecord>,
    #[prost(message, optional, tag = "145")]
    queued_since: Option<MomentRecord>,
    /// 0: none.
    #[prost(uint64, tag = "146")]
    superseded_by: u64,
}

pub(in crate::store) fn encode_task(task: &Task) -> Vec<u8> {
    let spec = &task.spec;
    let mut record = TaskRecord {
        revision: task.revision.0,
        trigger: spec.trigger.code(),
        rerun_of: spec.rerun_of.map_or(0, TaskId::get),
        lineage: spec.lineage.map_or(0, TaskId::get),
        request_id: spec.request_id.clone(),
        agent: spec.agent.clone(),
        agent_type: spec.agent_type.code(),
        model: spec.model.clone(),
        title: spec.title.clone(),
        repo: spec.repo.as_deref().map(path_text),
        issue: spec.issue.clone(),
        user: spec.user.clone(),
        labels: spec.labels.clone(),
        priority: spec.priority,
        start_timeout: spec.limits.start_timeout,
        timeout: spec.limits.timeout,
        kill_grace: spec.limits.kill_grace,
        max_attempts: spec.limits.max_attempts,
        memory: spec.limits.memory,
        pids: spec.limits.pids,
        cpu: spec.limits.cpu,
        workspace_mode: spec.workspace_mode.code(),
        workspace_reuse: spec.workspace_reuse.code(),
        created_at: spec.created_at.0,
        state: u32::from(task.state.kind() as u8),
        attempts: task.attempts,
        spent: task.spent,
        lost_streak: task.lost_streak,
        created_steady: steady_record(spec.created_steady),
        started: task.started,
        queue_ttl: spec.limits.queue_ttl,
        idle_timeout: spec.limits.idle_timeout,
        retry: policy_record(spec.retry),
        budgets: budgets_record(spec.limits),
        forgiven: spend_record(spec.forgiven),
        session_failures: task.session_failures,
        fresh: spec.fresh,
        not_before: spec.not_before.map(moment_record),
        after: after_records(&spec.after),
        waits_for: after_records(&task.waits_for),
        queued_since: task.queued_since.map(moment_record),
        superseded_by: task.superseded_by.map_or(0, TaskId::get),
        ..TaskRecord::default()
    };
    match &task.state {
        State::Queued(Hold::Backoff { until }) => {
            record.backoff_until = Some(until.wall.0);
            record.backoff_steady = steady_record(until.steady);
        }
        State::Queued(Hold::Scheduled { until }) => {
            record.scheduled = Some(moment_record(*until));
        }
        State::Queued(Hold::Held { by }) => record.held_by = Some(by.clone()),
        State::Queued(Hold::None) | State::Starting | State::Running => {}
        State::Stopping { reason, forced } => {
            record.stop_reason = reason.code();
            record.stop_forced = *forced;
        }
        State::Finished(ending) => record.ending = Some(ending_record(ending)),
    }
    record.encode_to_vec()
}

/// Why a queued task waits; a row has one reason at most.
fn hold(record: &TaskRecord) -> Hold {
    if let Some(by) = &record.held_by {
        return Hold::Held { by: by.clone() };
    }
    if let Some(until) = record.scheduled {
        return Hold::Scheduled {
            until: moment(until),
        };
    }
    match record.backoff_until {
        Some(until) => Hold::Backoff {
            until: Moment {
                wall: Timestamp(until),
                steady: steady(record.backoff_steady),
            },
        },
        None => Hold::None,
    }
}

/// The task of a row, without its newest attempt.
pub(in crate::store) fn decode_task(id: TaskId, bytes: &[u8]) -> Result<Task, RecordError> {
    let record = TaskRecord::decode(bytes)?;
    let kind = u8::try_from(record.state).map_err(|_| RecordError::Field("state"))?;
    let state = match state_kind(kind)? {
        StateKind::Queued => State::Queued(hold(&record)),
        StateKind::Starting => State::Starting,
        StateKind::Running => State::Running,
        StateKind::Stopping => State::Stopping {
            reason: StopReason::from_code(record.stop_reason)?,
            forced: record.stop_forced,
        },
        StateKind::Succeeded
        | StateKind::Failed
        | StateKind::Cancelled
        | StateKind::Interrupted
        | StateKind::Aborted => {
            let stored = record.ending.ok_or(RecordError::Field("ending"))?;
            State::Finished(ending(stored)?)
        }
    };
    let limits = Limits {
        start_timeout: record.start_timeout,
        timeout: record.timeout,
        kill_grace: record.kill_grace,
        max_attempts: record.max_attempts,
        queue_ttl: record.queue_ttl,
        idle_timeout: record.idle_timeout,
        memory: record.memory,
        pids: record.pids,
        cpu: record.cpu,
        ..Limits::default()
    };
    let limits = with_budgets(limits, record.budgets);
    let spec = TaskSpec {
        trigger: Trigger::from_code(record.trigger)?,
        rerun_of: TaskId::new(record.rerun_of),
        lineage: TaskId::new(record.lineage),
        request_id: record.request_id,
        agent: record.agent,
        agent_type: AgentType::from_code(record.agent_type)?,
        model: record.model,
        title: record.title,
        repo: record.repo.map(PathBuf::from),
        issue: record.issue,
        user: record.user,
        labels: record.labels,
        priority: record.priority,
        limits,
        retry: policy(record.retry)?,
        forgiven: spend(record.forgiven),
        workspace_mode: WorkspaceMode::from_code(record.workspace_mode)?,
        fresh: record.fresh,
        workspace_reuse: WorkspaceReuse::from_code(record.workspace_reuse)?,
        not_before: record.not_before.map(moment),
        after: after(&record.after)?,
        created_at: Timestamp(record.created_at),
        created_steady: steady(record.created_steady),
    };
    Ok(Task {
        id,
        spec,
        state,
        attempts: record.attempts,
        spent: record.spent,
        lost_streak: record.lost_streak,
        session_failures: record.session_failures,
        started: record.started,
        waits_for: after(&record.waits_for)?,
        queued_since: record.queued_since.map(moment),
        superseded_by: TaskId::new(record.superseded_by),
        revision: Revision(record.revision),
        attempt: None,
    })
}
