//! The stored form of tasks, attempts, events and payloads.
//!
//! Rows are protobuf messages of this module's own: fields are found by their
//! number, so that one can be added without rewriting every row, and a row of
//! before it reads as if it were empty. A number is never used again. The test
//! of this module holds the bytes of format 1.

mod code;

use std::{collections::BTreeMap, path::PathBuf};

use prost::Message;

use self::code::{Code, state_kind};
use crate::task::{
    attempt::{Attempt, Ending, Exit, Phase, ProcessIdentity, Status, Workspace},
    event::What,
    id::{AttemptId, Incarnation, Nonce, Revision, TaskId, Timestamp},
    limits::Limits,
    moment::{Boot, Moment, Steady},
    reason::{FailureReason, Outcome},
    spec::{AgentType, Payload, TaskSpec, Trigger, WorkspaceMode},
    state::{Hold, State, StateKind, StopReason, Task},
};

/// A row that cannot be understood: the store is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is no such message.
    #[error("damaged row")]
    Decode(#[from] prost::DecodeError),
    /// A field holds what no version of this program writes.
    #[error("damaged row: impossible {0}")]
    Field(&'static str),
}

/// One row of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The change.
    pub revision: Revision,
    /// Of which task.
    pub task: TaskId,
    /// Of which attempt; 0 for none.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
    /// Why; may be empty.
    pub why: String,
    /// The state after it.
    pub state: StateKind,
}

#[derive(Clone, PartialEq, Message)]
struct EndingRecord {
    #[prost(uint32, tag = "1")]
    outcome: u32,
    #[prost(uint32, optional, tag = "2")]
    reason: Option<u32>,
    #[prost(string, tag = "3")]
    message: String,
    #[prost(int64, tag = "4")]
    at: i64,
}

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
}

/// Where the clock for waiting stood, beside the wall clock's time.
#[derive(Clone, Copy, PartialEq, Message)]
struct SteadyRecord {
    #[prost(fixed64, tag = "1")]
    boot: u64,
    #[prost(uint64, tag = "2")]
    millis: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ProcessRecord {
    #[prost(uint32, tag = "1")]
    pid: u32,
    #[prost(uint64, tag = "2")]
    start_ticks: u64,
    /// Empty: the attempt's own.
    #[prost(string, tag = "3")]
    boot_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct ExitRecord {
    #[prost(sint32, optional, tag = "1")]
    code: Option<i32>,
    #[prost(sint32, tag = "2")]
    signal: i32,
    #[prost(bool, tag = "3")]
    core: bool,
    #[prost(uint64, tag = "4")]
    user_cpu: u64,
    #[prost(uint64, tag = "5")]
    system_cpu: u64,
    #[prost(uint64, tag = "6")]
    peak_memory: u64,
    #[prost(bool, tag = "30")]
    oom_killed: bool,
}

#[derive(Clone, PartialEq, Message)]
struct AttemptRecord {
    #[prost(uint64, tag = "1")]
    epoch: u64,
    #[prost(bytes = "vec", tag = "2")]
    nonce: Vec<u8>,
    #[prost(string, tag = "3")]
    boot_id: String,
    #[prost(uint32, tag = "4")]
    phase: u32,
    #[prost(string, optional, tag = "5")]
    workspace: Option<String>,
    #[prost(string, optional, tag = "6")]
    branch: Option<String>,
    #[prost(message, optional, tag = "7")]
    runner: Option<ProcessRecord>,
    #[prost(message, optional, tag = "8")]
    agent: Option<ProcessRecord>,
    #[prost(int64, tag = "9")]
    claimed_at: i64,
    #[prost(int64, optional, tag = "10")]
    started_at: Option<i64>,
    #[prost(message, optional, tag = "11")]
    exit: Option<ExitRecord>,
    #[prost(message, optional, tag = "12")]
    ending: Option<EndingRecord>,
    /// Of the attempt's boot.
    #[prost(uint64, optional, tag = "40")]
    claimed_steady: Option<u64>,
    /// Of the attempt's boot.
    #[prost(uint64, optional, tag = "41")]
    started_steady: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct EventRecord {
    #[prost(uint64, tag = "1")]
    task: u64,
    #[prost(uint32, tag = "2")]
    attempt: u32,
    #[prost(int64, tag = "3")]
    at: i64,
    #[prost(uint32, tag = "4")]
    what: u32,
    #[prost(string, tag = "5")]
    why: String,
    #[prost(uint32, tag = "6")]
    state: u32,
}

#[derive(Clone, PartialEq, Message)]
struct PayloadRecord {
    #[prost(string, tag = "1")]
    prompt: String,
    #[prost(string, repeated, tag = "2")]
    command: Vec<String>,
}

fn ending_record(ending: &Ending) -> EndingRecord {
    EndingRecord {
        outcome: ending.outcome.code(),
        reason: ending.reason.map(Code::code),
        message: ending.message.clone(),
        at: ending.at.0,
    }
}

fn ending(record: EndingRecord) -> Result<Ending, RecordError> {
    Ok(Ending {
        outcome: Outcome::from_code(record.outcome)?,
        reason: record.reason.map(FailureReason::from_code).transpose()?,
        message: record.message,
        at: Timestamp(record.at),
    })
}

fn steady_record(steady: Option<Steady>) -> Option<SteadyRecord> {
    steady.map(|Steady { boot, millis }| SteadyRecord {
        boot: boot.0,
        millis,
    })
}

fn steady(record: Option<SteadyRecord>) -> Option<Steady> {
    record.map(|record| Steady {
        boot: Boot(record.boot),
        millis: record.millis,
    })
}

/// A path as stored. Paths that are not UTF-8 are refused at submit.
fn path_text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(super) fn encode_task(task: &Task) -> Vec<u8> {
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
        created_at: spec.created_at.0,
        state: u32::from(task.state.kind() as u8),
        attempts: task.attempts,
        spent: task.spent,
        lost_streak: task.lost_streak,
        created_steady: steady_record(spec.created_steady),
        started: task.started,
        queue_ttl: spec.limits.queue_ttl,
        idle_timeout: spec.limits.idle_timeout,
        ..TaskRecord::default()
    };
    match &task.state {
        State::Queued(Hold::Backoff { until }) => {
            record.backoff_until = Some(until.wall.0);
            record.backoff_steady = steady_record(until.steady);
        }
        State::Queued(Hold::None) | State::Starting | State::Running => {}
        State::Stopping { reason, forced } => {
            record.stop_reason = reason.code();
            record.stop_forced = *forced;
        }
        State::Finished(ending) => record.ending = Some(ending_record(ending)),
    }
    record.encode_to_vec()
}

/// The task of a row, without its newest attempt.
pub(super) fn decode_task(id: TaskId, bytes: &[u8]) -> Result<Task, RecordError> {
    let record = TaskRecord::decode(bytes)?;
    let kind = u8::try_from(record.state).map_err(|_| RecordError::Field("state"))?;
    let state = match state_kind(kind)? {
        StateKind::Queued => State::Queued(match record.backoff_until {
            Some(until) => Hold::Backoff {
                until: Moment {
                    wall: Timestamp(until),
                    steady: steady(record.backoff_steady),
                },
            },
            None => Hold::None,
        }),
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
        limits: Limits {
            start_timeout: record.start_timeout,
            timeout: record.timeout,
            kill_grace: record.kill_grace,
            max_attempts: record.max_attempts,
            queue_ttl: record.queue_ttl,
            idle_timeout: record.idle_timeout,
            memory: record.memory,
            pids: record.pids,
            cpu: record.cpu,
        },
        workspace_mode: WorkspaceMode::from_code(record.workspace_mode)?,
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
        started: record.started,
        revision: Revision(record.revision),
        attempt: None,
    })
}

pub(super) fn encode_attempt(attempt: &Attempt) -> Vec<u8> {
    let process = |p: &ProcessIdentity| ProcessRecord {
        pid: p.pid,
        start_ticks: p.start_ticks,
        boot_id: match p.boot_id == attempt.boot_id {
            true => String::new(),
            false => p.boot_id.clone(),
        },
    };
    let exit = |exit: &Exit| {
        let (code, signal, core) = match exit.status {
            Status::Code(code) => (Some(code), 0, false),
            Status::Signal { number, core } => (None, number, core),
        };
        ExitRecord {
            code,
            signal,
            core,
            user_cpu: exit.user_cpu,
            system_cpu: exit.system_cpu,
            peak_memory: exit.peak_memory,
            oom_killed: exit.oom_killed,
        }
    };
    let workspace = attempt.workspace.as_ref();
    let steady = |at: Moment| at.steady.map(|steady| steady.millis);
    AttemptRecord {
        epoch: attempt.epoch.0,
        nonce: attempt.nonce.0.to_vec(),
        boot_id: attempt.boot_id.clone(),
        phase: attempt.phase.code(),
        workspace: workspace.map(|w| path_text(&w.path)),
        branch: workspace.and_then(|w| w.branch.clone()),
        runner: attempt.runner.as_ref().map(process),
        agent: attempt.agent.as_ref().map(process),
        claimed_at: attempt.claimed_at.wall.0,
        claimed_steady: steady(attempt.claimed_at),
        started_at: attempt.started_at.map(|at| at.wall.0),
        started_steady: attempt.started_at.and_then(steady),
        exit: attempt.exit.as_ref().map(exit),
        ending: attempt.ending.as_ref().map(ending_record),
    }
    .encode_to_vec()
}

pub(super) fn decode_attempt(id: AttemptId, bytes: &[u8]) -> Result<Attempt, RecordError> {
    let record = AttemptRecord::decode(bytes)?;
    let boot_id = record.boot_id;
    let process = |p: ProcessRecord| ProcessIdentity {
        pid: p.pid,
        start_ticks: p.start_ticks,
        boot_id: match p.boot_id.is_empty() {
            true => boot_id.clone(),
            false => p.boot_id,
        },
    };
    let exit = |exit: ExitRecord| Exit {
        status: match exit.code {
            Some(code) => Status::Code(code),
            None => Status::Signal {
                number: exit.signal,
                core: exit.core,
            },
        },
        user_cpu: exit.user_cpu,
        system_cpu: exit.system_cpu,
        peak_memory: exit.peak_memory,
        oom_killed: exit.oom_killed,
    };
    let nonce = <[u8; 16]>::try_from(record.nonce).map_err(|_| RecordError::Field("nonce"))?;
    let branch = record.branch;
    let boot = Boot::of(&boot_id);
    let moment = |wall, steady: Option<u64>| Moment {
        wall: Timestamp(wall),
        steady: steady.map(|millis| Steady { boot, millis }),
    };
    Ok(Attempt {
        id,
        epoch: Incarnation(record.epoch),
        nonce: Nonce(nonce),
        phase: Phase::from_code(record.phase)?,
        workspace: record.workspace.map(|path| Workspace {
            path: path.into(),
            branch,
        }),
        runner: record.runner.map(process),
        agent: record.agent.map(process),
        claimed_at: moment(record.claimed_at, record.claimed_steady),
        started_at: record
            .started_at
            .map(|at| moment(at, record.started_steady)),
        exit: record.exit.map(exit),
        ending: record.ending.map(ending).transpose()?,
        boot_id,
    })
}

pub(super) fn encode_event(entry: &JournalEntry) -> Vec<u8> {
    EventRecord {
        task: entry.task.get(),
        attempt: entry.attempt,
        at: entry.at.0,
        what: entry.what.code(),
        why: entry.why.clone(),
        state: u32::from(entry.state as u8),
    }
    .encode_to_vec()
}

pub(super) fn decode_event(revision: u64, bytes: &[u8]) -> Result<JournalEntry, RecordError> {
    let record = EventRecord::decode(bytes)?;
    let state = u8::try_from(record.state).map_err(|_| RecordError::Field("state"))?;
    Ok(JournalEntry {
        revision: Revision(revision),
        task: TaskId::new(record.task).ok_or(RecordError::Field("task"))?,
        attempt: record.attempt,
        at: Timestamp(record.at),
        what: What::from_code(record.what)?,
        why: record.why,
        state: state_kind(state)?,
    })
}

pub(super) fn encode_payload(payload: &Payload) -> Vec<u8> {
    PayloadRecord {
        prompt: payload.prompt.clone(),
        command: payload.command.clone(),
    }
    .encode_to_vec()
}

pub(super) fn decode_payload(bytes: &[u8]) -> Result<Payload, RecordError> {
    let record = PayloadRecord::decode(bytes)?;
    Ok(Payload {
        prompt: record.prompt,
        command: record.command,
    })
}

#[cfg(test)]
mod tests;
