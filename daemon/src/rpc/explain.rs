//! The story of a task: everything that is known of it, of one moment.
//!
//! Nothing is concluded here: what was decided, and why, is told by the rules
//! that decided it ([`sequel`], [`deadline`]).

use agentd_proto::{MAX_MESSAGE, v1};
use prost::Message as _;

use super::{
    Shared,
    error::Failure,
    query::{Around, shown, spent},
    to_proto,
};
use crate::{
    dispatcher::Trouble,
    store::{JournalEntry, Reader, StoreError},
    task::{
        attempt::Attempt,
        deadline::{self, Ends},
        id::{Revision, TaskId},
        limits::{Limits, POISON_STREAK},
        moment::Moment,
        reason::FailureReason,
        sequel::{self, Follows, Sequel},
        session,
        spec::{Key, TaskSpec},
        state::{State, Task},
    },
};

/// Events of an answer, bytes: well below the limit of a message.
const EVENTS_SIZE: usize = MAX_MESSAGE / 4;
/// Tag and length of an event in its message, bytes at the most.
const OVERHEAD: usize = 8;
/// Events that are read at once.
const CHUNK: usize = 256;
/// Tasks that are followed back over reruns.
const ANCESTORS: usize = 20;
/// Newer tasks of a lineage that are told of.
const RERUNS: usize = 10;

/// The story of a task, and what is wrong around it.
pub(super) async fn explain(shared: &Shared, id: TaskId) -> Result<v1::ExplainResponse, Failure> {
    let trouble = shared.dispatcher.trouble();
    let phase = shared.dispatcher.phase();
    let around = shared.around();
    let told = shared
        .read(move |reader| story(reader, id, &around))
        .await?;
    let told = shared.known(id, told).await?;
    let (disk_free, disk_needed) = match trouble {
        Some(Trouble::Disk { free, needed }) => (free, needed),
        Some(Trouble::Store(_)) | None => (0, 0),
    };
    Ok(v1::ExplainResponse {
        phase: phase.as_str().to_owned(),
        trouble: trouble.map_or_else(String::new, |trouble| trouble.to_string()),
        disk_free,
        disk_needed,
        ..told
    })
}

/// What the store says; `None` if there is no such task.
fn story(
    reader: &Reader,
    id: TaskId,
    around: &Around,
) -> Result<Option<v1::ExplainResponse>, StoreError> {
    let Some(task) = reader.task(id)? else {
        return Ok(None);
    };
    let rules = task.spec.retry_rules();
    let attempts = reader.attempts(id)?;
    let sequels = sequel::sequels(&attempts, rules);
    let (events, events_left_out) = events(reader, id)?;
    let ancestors = ancestors(reader, &task)?;
    let reruns = reruns(reader, &task)?;
    let key_holder = match key_of_lineage(&task) {
        Some(key) => reader.key_head(&key)?.filter(|head| *head != id),
        None => None,
    };
    let key_holder = key_holder.map(|head| reader.task(head)).transpose()?;
    let (task, hold) = shown(reader, task, around)?;
    let wire = |sequel: &Sequel| to_wire(sequel, rules.max_attempts);
    Ok(Some(v1::ExplainResponse {
        task: Some(v1::Task {
            spent: Some(to_proto::spend(spent(reader, &task, around.now)?)),
            ..to_proto::task(&task, hold)
        }),
        attempts: attempts.iter().map(to_proto::attempt).collect(),
        events,
        events_left_out,
        sequels: sequels.iter().map(wire).collect(),
        expected: sequel::expected(&task).as_ref().map(wire),
        limits: Some(to_proto::limits(filled_in(task.spec.limits))),
        waits: waits(&task, around.now),
        ancestors,
        reruns,
        sessions: sessions(reader, &task, &attempts)?,
        key_holder: key_holder.flatten().as_ref().map(relative),
        ..v1::ExplainResponse::default()
    }))
}

/// The newest events that fit, oldest first, and how many older ones do not.
fn events(reader: &Reader, id: TaskId) -> Result<(Vec<v1::Event>, u64), StoreError> {
    let mut kept = std::collections::VecDeque::new();
    let (mut size, mut left_out, mut after) = (0, 0, Revision::default());
    loop {
        let chunk: Vec<JournalEntry> = reader.events(after, Some(id), CHUNK)?;
        let Some(last) = chunk.last() else {
            return Ok((kept.into(), left_out));
        };
        after = last.revision;
        for entry in &chunk {
            let event = to_proto::event(entry);
            size += event.encoded_len() + OVERHEAD;
            kept.push_back(event);
            while size > EVENTS_SIZE
                && let Some(oldest) = kept.pop_front()
            {
                size -= oldest.encoded_len() + OVERHEAD;
                left_out += 1;
            }
        }
    }
}

fn sessions(
    reader: &Reader,
    task: &Task,
    attempts: &[Attempt],
) -> Result<Vec<v1::Session>, StoreError> {
    let mut ids: Vec<String> = attempts
        .iter()
        .flat_map(|attempt| session::touched(None, attempt))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::new();
    for id in ids {
        let session = reader.session(&task.spec.agent, &id)?;
        found.extend(session.as_ref().map(to_proto::session));
    }
    Ok(found)
}

fn ancestors(reader: &Reader, task: &Task) -> Result<Vec<v1::Relative>, StoreError> {
    let mut found = Vec::new();
    let mut next = task.spec.rerun_of;
    while let Some(id) = next.filter(|_| found.len() < ANCESTORS) {
        let Some(ancestor) = reader.task(id)? else {
            break;
        };
        next = ancestor.spec.rerun_of;
        found.push(relative(&ancestor));
    }
    found.reverse();
    Ok(found)
}

/// The tasks that have taken up the work of this one since.
pub(super) fn reruns(reader: &Reader, task: &Task) -> Result<Vec<v1::Relative>, StoreError> {
    let later = reader.reruns(task.lineage(), task.id, RERUNS)?;
    Ok(later.iter().map(relative).collect())
}

fn relative(task: &Task) -> v1::Relative {
    let ending = match &task.state {
        State::Finished(ending) => Some(ending),
        State::Queued(_) | State::Starting | State::Running | State::Stopping { .. } => None,
    };
    let reason = ending.and_then(|ending| ending.reason);
    v1::Relative {
        task: task.id.get(),
        state: to_proto::state(task.state.kind()).into(),
        failure_reason: reason.map_or("", FailureReason::as_str).to_owned(),
        message: ending.map_or_else(String::new, |ending| ending.message.clone()),
    }
}

/// The key of the task while it is active; once it has ended the one that a
/// rerun of it would have.
fn key_of_lineage(task: &Task) -> Option<Key> {
    if task.state.is_active() {
        return task.spec.key();
    }
    let rerun = TaskSpec {
        lineage: task.spec.lineage.or(Some(task.id)),
        ..task.spec.clone()
    };
    rerun.key()
}

fn filled_in(limits: Limits) -> Limits {
    Limits {
        start_timeout: Some(limits.start_timeout()),
        kill_grace: Some(limits.kill_grace()),
        max_attempts: Some(limits.max_attempts()),
        // 0 says that there is none.
        idle_timeout: Some(limits.idle_timeout().unwrap_or(0)),
        max_lineage_attempts: Some(limits.budgets().attempts),
        ..limits
    }
}

/// A stop is left out: it is counted from when its runner was told, and again
/// from each start of the daemon, and neither is stored.
fn waits(task: &Task, now: Moment) -> Vec<v1::Wait> {
    let waits = deadline::waits(task, now).into_iter().flatten();
    let known = waits.filter(|(_, ends)| *ends != Ends::Stop);
    let wire = known.map(|(left, ends)| v1::Wait {
        kind: ends.as_str().to_owned(),
        at: now.wall.plus_millis(left).0,
    });
    wire.collect()
}

fn to_wire(sequel: &Sequel, max_attempts: u32) -> v1::Sequel {
    let (follows, why, longest_backoff) = match sequel.follows {
        Follows::Nothing => ("nothing", "", 0),
        Follows::Uncounted => ("uncounted", "", 0),
        Follows::Parked => ("parked", "", 0),
        Follows::Retry { longest } => ("retry", "", longest),
        Follows::Refused(why) => ("refused", why, 0),
    };
    let class = sequel.reason.map(|reason| reason.class().as_str());
    v1::Sequel {
        attempt: sequel.attempt,
        follows: follows.to_owned(),
        why: why.to_owned(),
        reason: sequel.reason.map_or("", FailureReason::as_str).to_owned(),
        class: class.unwrap_or_default().to_owned(),
        spent: sequel.counts.spent,
        max_attempts,
        lost_streak: sequel.counts.lost_streak,
        max_lost_streak: POISON_STREAK,
        longest_backoff,
    }
}
