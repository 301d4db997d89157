//! What the rows call for in the indexes.
//!
//! Said once more, apart from the code that keeps the indexes as rows change:
//! so each checks the other.

use redb::{Key, ReadTransaction, ReadableTable as _, TableDefinition};

use crate::{
    store::{
        StoreError, record,
        tables::{
            ACTIVE_KEYS, BY_AGENT, BY_ISSUE, BY_REPO, BY_STATE, EVENTS, KEY_SESSIONS,
            RECENT_SESSIONS, RERUNS, SESSIONS, TASK_EVENTS, TASKS,
        },
    },
    task::{id::TaskId, state::Task},
};

/// The tables that can be made anew.
pub(super) const INDEXES: [&str; 9] = [
    "task_events",
    "by_state",
    "by_agent",
    "by_repo",
    "by_issue",
    "reruns",
    "active_keys",
    "key_sessions",
    "recent_sessions",
];

/// Takes the entries of indexes, each once.
pub(super) trait Entries {
    /// Takes one.
    fn entry<K: Key + 'static>(
        &mut self,
        index: TableDefinition<'static, K, ()>,
        entry: &K::SelfType<'_>,
    ) -> Result<(), StoreError>;
}

/// Gives all that the rows call for. Rows that cannot be understood call for
/// nothing.
pub(super) fn of(from: &ReadTransaction, to: &mut impl Entries) -> Result<(), StoreError> {
    for row in from.open_table(TASKS)?.iter()? {
        let (key, row) = row?;
        let id = TaskId::new(key.value());
        if let Some(Ok(task)) = id.map(|id| record::decode_task(id, row.value())) {
            of_task(&task, to)?;
        }
    }
    for row in from.open_table(EVENTS)?.iter()? {
        let (revision, row) = row?;
        let revision = revision.value();
        if let Ok(event) = record::decode_event(revision, row.value()) {
            to.entry(TASK_EVENTS, &(event.task.get(), revision))?;
        }
    }
    for row in from.open_table(SESSIONS)?.iter()? {
        let (key, row) = row?;
        let (agent, id) = key.value();
        if let Ok((session, revision)) = record::decode_session(agent, id, row.value()) {
            to.entry(KEY_SESSIONS, &(session.key.as_str(), revision, id))?;
            to.entry(RECENT_SESSIONS, &(revision, agent, id))?;
        }
    }
    Ok(())
}

fn of_task(task: &Task, to: &mut impl Entries) -> Result<(), StoreError> {
    let number = task.id.get();
    let kind = task.state.kind();
    let spec = &task.spec;
    to.entry(BY_STATE, &(kind as u8, number))?;
    to.entry(BY_AGENT, &(spec.agent.as_str(), number))?;
    if let Some(repo) = &spec.repo {
        to.entry(BY_REPO, &(&*repo.to_string_lossy(), number))?;
    }
    if let Some(issue) = &spec.issue {
        to.entry(BY_ISSUE, &(issue.as_str(), number))?;
    }
    if let Some(first) = spec.lineage {
        to.entry(RERUNS, &(first.get(), number))?;
    }
    if let Some(key) = spec.key().filter(|_| kind.is_active()) {
        to.entry(ACTIVE_KEYS, &(key.to_string().as_str(), number))?;
    }
    Ok(())
}
