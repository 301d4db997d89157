//! A snapshot of the store, and the queries that people make.

mod ledger;

use std::collections::BTreeMap;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, ReadableTableMetadata as _};

use super::{
    StoreError,
    record::{self, JournalEntry},
    tables::{
        ACTIVE_KEYS, ATTEMPTS, BY_AGENT, BY_ISSUE, BY_REPO, BY_STATE, COUNTERS, EVENTS, PAUSED,
        PAYLOADS, REQUESTS, RERUNS, SCHEDULES, TASK_EVENTS, TASKS, counter,
    },
};
use crate::task::{
    attempt::Attempt,
    id::{AttemptId, Revision, TaskId, Timestamp},
    spec::{Key, Payload},
    state::{StateKind, Task},
    timetable::Fired,
};

/// How much a wall clock may have been set back without a listing by time
/// losing rows, milliseconds.
const CLOCK_SLACK: i64 = 25 * 60 * 60 * 1000;

/// How many matches behind a page are counted.
pub const COUNT_BOUND: u64 = 1_000;

/// What to list. Empty or absent fields do not narrow it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Any of these states.
    pub states: Vec<StateKind>,
    /// This agent.
    pub agent: Option<String>,
    /// This repository.
    pub repo: Option<String>,
    /// This issue.
    pub issue: Option<String>,
    /// All of these labels.
    pub labels: BTreeMap<String, String>,
    /// Submitted at or after.
    pub since: Option<Timestamp>,
    /// Submitted before.
    pub until: Option<Timestamp>,
}

/// One page of tasks, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The page.
    pub tasks: Vec<Task>,
    /// Matches behind it, at most [`COUNT_BOUND`].
    pub more: u64,
}

/// A snapshot. Keep it for one answer, not longer: pages that it can see are
/// not used again while it lives.
pub struct Reader {
    pub(super) transaction: ReadTransaction,
    tasks: ReadOnlyTable<u64, &'static [u8]>,
    attempts: ReadOnlyTable<(u64, u32), &'static [u8]>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn new(transaction: ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            tasks: transaction.open_table(TASKS)?,
            attempts: transaction.open_table(ATTEMPTS)?,
            transaction,
        })
    }

    /// A task with its newest attempt.
    ///
    /// # Errors
    /// If the store cannot be read or the row is damaged.
    pub fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        let Some(row) = self.tasks.get(id.get())? else {
            return Ok(None);
        };
        let mut task = record::decode_task(id, row.value())?;
        if task.attempts > 0 {
            task.attempt = self.attempt(AttemptId {
                task: id,
                number: task.attempts,
            })?;
        }
        Ok(Some(task))
    }

    /// One attempt.
    ///
    /// # Errors
    /// If the store cannot be read or the row is damaged.
    pub fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        let row = self.attempts.get((id.task.get(), id.number))?;
        Ok(row
            .map(|row| record::decode_attempt(id, row.value()))
            .transpose()?)
    }

    /// All attempts of a task, oldest first.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn attempts(&self, task: TaskId) -> Result<Vec<Attempt>, StoreError> {
        let number = task.get();
        let mut attempts = Vec::new();
        for row in self.attempts.range((number, 0)..=(number, u32::MAX))? {
            let (key, value) = row?;
            let id = AttemptId {
                task,
                number: key.value().1,
            };
            attempts.push(record::decode_attempt(id, value.value())?);
        }
        Ok(attempts)
    }

    /// What the agent is given to do.
    ///
    /// # Errors
    /// If the store cannot be read or the row is damaged.
    pub fn payload(&self, id: TaskId) -> Result<Option<Payload>, StoreError> {
        let payloads = self.transaction.open_table(PAYLOADS)?;
        let row = payloads.get(id.get())?;
        Ok(row
            .map(|row| record::decode_payload(row.value()))
            .transpose()?)
    }

    /// Every task that has not ended, oldest first, with its newest attempt.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn active(&self) -> Result<Vec<Task>, StoreError> {
        let by_state = self.transaction.open_table(BY_STATE)?;
        let mut tasks = Vec::new();
        for kind in StateKind::ACTIVE {
            for row in by_state.range((kind as u8, 0)..=(kind as u8, u64::MAX))? {
                let number = row?.0.value().1;
                if let Some(id) = TaskId::new(number)
                    && let Some(task) = self.task(id)?
                {
                    tasks.push(task);
                }
            }
        }
        tasks.sort_unstable_by_key(|task| task.id);
        Ok(tasks)
    }

    /// The oldest active task of a key: the one that has it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn key_head(&self, key: &Key) -> Result<Option<TaskId>, StoreError> {
        let keys = self.transaction.open_table(ACTIVE_KEYS)?;
        let key = key.to_string();
        let first = keys
            .range((key.as_str(), 0)..=(key.as_str(), u64::MAX))?
            .next()
            .transpose()?;
        Ok(first.and_then(|(entry, _)| TaskId::new(entry.value().1)))
    }

    /// The newest tasks of a lineage that came after one of it, oldest first;
    /// `most` at the most.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn reruns(
        &self,
        lineage: TaskId,
        after: TaskId,
        most: usize,
    ) -> Result<Vec<Task>, StoreError> {
        let index = self.transaction.open_table(RERUNS)?;
        let first = lineage.get();
        let later = index.range((first, after.get() + 1)..=(first, u64::MAX))?;
        let mut found = Vec::new();
        for entry in later.rev().take(most) {
            let id = TaskId::new(entry?.0.value().1);
            found.extend(id.map(|id| self.task(id)).transpose()?.flatten());
        }
        found.reverse();
        Ok(found)
    }

    /// Whether a request of this id has made a task.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn knows_request(&self, request_id: &str) -> Result<bool, StoreError> {
        let requests = self.transaction.open_table(REQUESTS)?;
        Ok(requests.get(request_id)?.is_some())
    }

    /// What is paused: names of agents, and an empty one for everything.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn paused(&self) -> Result<Vec<String>, StoreError> {
        let table = self.transaction.open_table(PAUSED)?;
        let mut names = Vec::new();
        for row in table.iter()? {
            names.push(row?.0.value().to_owned());
        }
        Ok(names)
    }

    /// What is remembered of schedules, by name.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn schedules(&self) -> Result<BTreeMap<String, Fired>, StoreError> {
        let mut rows = BTreeMap::new();
        let table = self.transaction.open_table(SCHEDULES)?;
        for row in table.iter()? {
            let (name, row) = row?;
            let fired = record::decode_schedule(row.value())?;
            rows.insert(name.value().to_owned(), fired);
        }
        Ok(rows)
    }

    /// The newest revision.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn revision(&self) -> Result<Revision, StoreError> {
        let counters = self.transaction.open_table(COUNTERS)?;
        let value = counters.get(counter::REVISION)?;
        Ok(Revision(value.map_or(0, |value| value.value())))
    }

    /// How many tasks there are, and how many entries the journal has; both are
    /// counted by the tables themselves.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn lengths(&self) -> Result<(u64, u64), StoreError> {
        let events = self.transaction.open_table(EVENTS)?;
        Ok((self.tasks.len()?, events.len()?))
    }

    /// At most `limit` events above a revision, oldest first; of one task or
    /// of all.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn events(
        &self,
        after: Revision,
        task: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let events = self.transaction.open_table(EVENTS)?;
        let first = after.0.saturating_add(1);
        let mut found = Vec::new();
        match task {
            None => {
                for row in events.range(first..)?.take(limit) {
                    let (revision, value) = row?;
                    found.push(record::decode_event(revision.value(), value.value())?);
                }
            }
            Some(task) => {
                let index = self.transaction.open_table(TASK_EVENTS)?;
                let range = (task.get(), first)..=(task.get(), u64::MAX);
                for row in index.range(range)?.take(limit) {
                    let revision = row?.0.value().1;
                    if let Some(value) = events.get(revision)? {
                        found.push(record::decode_event(revision, value.value())?);
                    }
                }
            }
        }
        Ok(found)
    }

    /// At most `limit` matching tasks below `before`, newest first.
    ///
    /// Each condition that has an index is a descending sequence of numbers;
    /// their intersection is found by letting each jump to the next number that
    /// it can still agree to. So a rare condition makes a common one cheap, and
    /// nothing is scanned but what the labels and times leave out.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn list(
        &self,
        filter: &Filter,
        before: Option<TaskId>,
        limit: usize,
    ) -> Result<Listing, StoreError> {
        let indexes = self.indexes(filter)?;
        let only_indexed =
            filter.labels.is_empty() && filter.since.is_none() && filter.until.is_none();
        let mut listing = Listing {
            tasks: Vec::new(),
            more: 0,
        };
        let mut candidate = before.map_or(u64::MAX, |id| id.get() - 1);
        while let Some(number) = agreed(&indexes, candidate)? {
            candidate = number - 1;
            let Some(id) = TaskId::new(number) else { break };
            let full = listing.tasks.len() >= limit;
            if full && only_indexed {
                listing.more += 1;
            } else if let Some(task) = self.task(id)? {
                if is_too_old(&task, filter) {
                    break;
                }
                if matches(&task, filter) {
                    if full {
                        listing.more += 1;
                    } else {
                        listing.tasks.push(task);
                    }
                }
            }
            if listing.more >= COUNT_BOUND || candidate == 0 {
                break;
            }
        }
        Ok(listing)
    }

    fn indexes(&self, filter: &Filter) -> Result<Vec<Index>, StoreError> {
        let mut indexes = Vec::new();
        if let Some(issue) = &filter.issue {
            let table = self.transaction.open_table(BY_ISSUE)?;
            indexes.push(Index::Name(table, issue.clone()));
        }
        if !filter.states.is_empty() {
            let table = self.transaction.open_table(BY_STATE)?;
            indexes.push(Index::States(table, filter.states.clone()));
        }
        if let Some(repo) = &filter.repo {
            let table = self.transaction.open_table(BY_REPO)?;
            indexes.push(Index::Name(table, repo.clone()));
        }
        if let Some(agent) = &filter.agent {
            let table = self.transaction.open_table(BY_AGENT)?;
            indexes.push(Index::Name(table, agent.clone()));
        }
        if indexes.is_empty() {
            indexes.push(Index::All(self.transaction.open_table(TASKS)?));
        }
        Ok(indexes)
    }
}

/// A condition as a descending sequence of task numbers.
enum Index {
    All(ReadOnlyTable<u64, &'static [u8]>),
    States(ReadOnlyTable<(u8, u64), ()>, Vec<StateKind>),
    Name(ReadOnlyTable<(&'static str, u64), ()>, String),
}

impl Index {
    /// The largest number of the sequence that is at most `number`.
    fn at_most(&self, number: u64) -> Result<Option<u64>, StoreError> {
        match self {
            Self::All(table) => {
                let last = table.range(..=number)?.next_back().transpose()?;
                Ok(last.map(|(key, _)| key.value()))
            }
            Self::States(table, states) => {
                let mut best = None;
                for state in states {
                    let range = (*state as u8, 0)..=(*state as u8, number);
                    let last = table.range(range)?.next_back().transpose()?;
                    best = best.max(last.map(|(key, _)| key.value().1));
                }
                Ok(best)
            }
            Self::Name(table, name) => {
                let range = (name.as_str(), 0)..=(name.as_str(), number);
                let last = table.range(range)?.next_back().transpose()?;
                Ok(last.map(|(key, _)| key.value().1))
            }
        }
    }
}

/// The largest number, at most `candidate`, that is in every sequence.
fn agreed(indexes: &[Index], mut candidate: u64) -> Result<Option<u64>, StoreError> {
    loop {
        let before = candidate;
        for index in indexes {
            match index.at_most(candidate)? {
                Some(number) => candidate = number,
                None => return Ok(None),
            }
        }
        if candidate == before || indexes.len() == 1 {
            return Ok(Some(candidate));
        }
    }
}

fn matches(task: &Task, filter: &Filter) -> bool {
    let created = task.spec.created_at;
    filter.since.is_none_or(|since| created >= since)
        && filter.until.is_none_or(|until| created < until)
        && filter
            .labels
            .iter()
            .all(|(name, value)| task.spec.labels.get(name) == Some(value))
}

/// No older task can match: it was submitted so long before `since` that not
/// even a clock that was set back explains it.
fn is_too_old(task: &Task, filter: &Filter) -> bool {
    filter
        .since
        .is_some_and(|since| task.spec.created_at.0 < since.0.saturating_sub(CLOCK_SLACK))
}
