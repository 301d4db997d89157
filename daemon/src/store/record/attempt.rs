//! The stored form of an attempt.

use prost::Message;

use super::{
    EndingRecord, RecordError,
    code::Code,
    ending, ending_record,
    observed::{ObservedRecord, observed, observed_record},
    path_text,
    session::{GivenRecord, given, given_record},
    spend::{SpendRecord, spend, spend_record},
};
use crate::task::{
    attempt::{Attempt, Changes, Exit, Phase, ProcessIdentity, Status, Workspace},
    id::{AttemptId, Incarnation, Nonce, Timestamp},
    moment::{Boot, Moment, Steady},
};

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
    #[prost(message, optional, tag = "70")]
    observed: Option<ObservedRecord>,
    #[prost(message, optional, tag = "71")]
    reported: Option<ObservedRecord>,
    #[prost(string, tag = "120")]
    account: String,
    #[prost(message, optional, tag = "121")]
    before: Option<SpendRecord>,
    #[prost(uint64, tag = "122")]
    ran: u64,
    #[prost(message, optional, tag = "100")]
    given: Option<GivenRecord>,
    #[prost(uint32, tag = "72")]
    news: u32,
    #[prost(message, optional, tag = "90")]
    changes: Option<ChangesRecord>,
    /// The commit that it found.
    #[prost(string, optional, tag = "91")]
    head: Option<String>,
    /// The commit of what it found uncommitted.
    #[prost(string, optional, tag = "92")]
    found: Option<String>,
    #[prost(int64, optional, tag = "140")]
    pruned_at: Option<i64>,
    #[prost(int64, optional, tag = "160")]
    prepared_at: Option<i64>,
    /// Of the attempt's boot.
    #[prost(uint64, optional, tag = "161")]
    prepared_steady: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct ChangesRecord {
    #[prost(string, optional, tag = "1")]
    head: Option<String>,
    #[prost(uint32, tag = "2")]
    commits: u32,
    #[prost(uint32, tag = "3")]
    files: u32,
    #[prost(uint32, tag = "4")]
    uncommitted: u32,
    #[prost(uint32, optional, tag = "5")]
    unpushed: Option<u32>,
    #[prost(uint32, tag = "6")]
    conflicts: u32,
    #[prost(string, optional, tag = "7")]
    recorded: Option<String>,
    #[prost(string, tag = "8")]
    left_out: String,
}

fn changes_record(changes: &Changes) -> ChangesRecord {
    ChangesRecord {
        head: changes.head.clone(),
        commits: changes.commits,
        files: changes.files,
        uncommitted: changes.uncommitted,
        unpushed: changes.unpushed,
        conflicts: changes.conflicts,
        recorded: changes.recorded.clone(),
        left_out: changes.left_out.clone(),
    }
}

fn changes(record: ChangesRecord) -> Changes {
    Changes {
        head: record.head,
        commits: record.commits,
        files: record.files,
        uncommitted: record.uncommitted,
        unpushed: record.unpushed,
        conflicts: record.conflicts,
        recorded: record.recorded,
        left_out: record.left_out,
    }
}

pub(in crate::store) fn encode_attempt(attempt: &Attempt) -> Vec<u8> {
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
        observed: observed_record(&attempt.observed),
        reported: observed_record(&attempt.reported),
        account: attempt.account.clone(),
        before: spend_record(attempt.before),
        ran: attempt.ran,
        given: given_record(&attempt.given),
        changes: attempt.changes.as_ref().map(changes_record),
        head: workspace.and_then(|w| w.head.clone()),
        found: workspace.and_then(|w| w.found.clone()),
        news: attempt.news,
        pruned_at: attempt.pruned_at.map(|at| at.0),
        prepared_at: attempt.prepared_at.map(|at| at.wall.0),
        prepared_steady: attempt.prepared_at.and_then(steady),
    }
    .encode_to_vec()
}

pub(in crate::store) fn decode_attempt(
    id: AttemptId,
    bytes: &[u8],
) -> Result<Attempt, RecordError> {
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
    let (branch, head, found) = (record.branch, record.head, record.found);
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
            head,
            found,
        }),
        runner: record.runner.map(process),
        agent: record.agent.map(process),
        claimed_at: moment(record.claimed_at, record.claimed_steady),
        prepared_at: record
            .prepared_at
            .map(|at| moment(at, record.prepared_steady)),
        started_at: record
            .started_at
            .map(|at| moment(at, record.started_steady)),
        exit: record.exit.map(exit),
        ending: record.ending.map(ending).transpose()?,
        observed: observed(record.observed)?,
        reported: observed(record.reported)?,
        account: record.account,
        before: spend(record.before),
        ran: record.ran,
        given: given(record.given)?,
        changes: record.changes.map(changes),
        news: record.news,
        pruned_at: record.pruned_at.map(Timestamp),
        boot_id,
    })
}
