//! One write transaction: everything that the dispatcher decided since the
//! last commit.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use redb::{ReadableTable as _, StorageError, WriteTransaction};

use super::{
    StoreError,
    record::{self, JournalEntry},
    tables::{
        ACCOUNTS, ACTIVE_KEYS, ATTEMPTS, BY_AGENT, BY_ISSUE, BY_REPO, BY_STATE, COUNTERS, EVENTS,
        LINEAGES, PAUSED, PAYLOADS, REQUESTS, RERUNS, SCHEDULES, TASK_EVENTS, TASKS, counter,
    },
};
use crate::task::{
    attempt::Attempt,
    budget::Spend,
    event::What,
    id::{AttemptId, Incarnation, Revision, TaskId, Timestamp},
    quota::Account,
    spec::{Payload, TaskSpec},
    state::Task,
    timetable::Fired,
};

/// What the journal says of a change.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
    /// Why; may be empty.
    pub why: &'a str,
}

/// A write that is not yet committed. Dropping it undoes all of it.
pub struct Batch {
    pub(super) transaction: WriteTransaction,
    pub(super) revision: u64,
    next_task: u64,
    pub(super) dirty: bool,
    commits: Arc<AtomicU64>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("revision", &self.revision)
            .field("dirty", &self.dirty)
            .finish_non_exhaustive()
    }
}

impl Batch {
    pub(super) fn new(
        transaction: WriteTransaction,
        commits: Arc<AtomicU64>,
    ) -> Result<Self, StoreError> {
        let (revision, next_task) = {
            let counters = transaction.open_table(COUNTERS)?;
            let get = |name| -> Result<u64, StoreError> {
                Ok(counters.get(name)?.map_or(0, |value| value.value()))
            };
            (get(counter::REVISION)?, get(counter::NEXT_TASK)?.max(1))
        };
        Ok(Self {
            transaction,
            revision,
            next_task,
            dirty: false,
            commits,
        })
    }

    /// Whether there is anything to commit.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The newest revision, committed or not.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision(self.revision)
    }

    /// The number that the next task will have.
    #[must_use]
    pub fn next_task(&self) -> TaskId {
        TaskId::new(self.next_task).unwrap_or(TaskId::FIRST)
    }

    /// Sees to it that the next task and the next revision are above these: a
    /// number that was given once is never given again.
    pub fn raise(&mut self, task: u64, revision: u64) {
        let next_task = self.next_task.max(task.saturating_add(1));
        let revision = self.revision.max(revision);
        self.dirty |= (next_task, revision) != (self.next_task, self.revision);
        (self.next_task, self.revision) = (next_task, revision);
    }

    /// Counts a new life of the daemon.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn next_incarnation(&mut self) -> Result<Incarnation, StoreError> {
        let mut counters = self.transaction.open_table(COUNTERS)?;
        let before = counters.get(counter::INCARNATION)?.map_or(0, |v| v.value());
        counters.insert(counter::INCARNATION, before + 1)?;
        self.dirty = true;
        Ok(Incarnation(before + 1))
    }

    /// The task that a request made, and the digest of its contents.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn request(&self, request_id: &str) -> Result<Option<(TaskId, [u8; 32])>, StoreError> {
        let requests = self.transaction.open_table(REQUESTS)?;
        let found = requests.get(request_id)?.map(|value| value.value());
        Ok(found.and_then(|(id, digest)| Some((TaskId::new(id)?, digest))))
    }

    /// A task's row, whether active or not, without its newest attempt.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        let tasks = self.transaction.open_table(TASKS)?;
        let row = tasks.get(id.get())?;
        Ok(row
            .map(|row| record::decode_task(id, row.value()))
            .transpose()?)
    }

    /// One attempt.
    ///
    /// # Errors
    /// If the store cannot be read or the row is damaged.
    pub fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        let attempts = self.transaction.open_table(ATTEMPTS)?;
        let row = attempts.get((id.task.get(), id.number))?;
        Ok(row
            .map(|row| record::decode_attempt(id, row.value()))
            .transpose()?)
    }

    /// Adds a task with the next number. `digest` is of the request's contents.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn insert(
        &mut self,
        spec: TaskSpec,
        payload: &Payload,
        digest: [u8; 32],
        entry: &Entry<'_>,
    ) -> Result<Task, StoreError> {
        let id = self.next_task();
        let number = id.get();
        self.next_task = number + 1;
        let mut task = Task::submitted(id, spec);
        let row = record::encode_payload(payload);
        self.transaction
            .open_table(PAYLOADS)?
            .insert(number, row.as_slice())?;
        if let Some(request_id) = &task.spec.request_id {
            let mut requests = self.transaction.open_table(REQUESTS)?;
            requests.insert(request_id.as_str(), (number, digest))?;
        }
        let spec = &task.spec;
        self.transaction
            .open_table(BY_AGENT)?
            .insert((spec.agent.as_str(), number), ())?;
        if let Some(repo) = &spec.repo {
            self.transaction
                .open_table(BY_REPO)?
                .insert((&*repo.to_string_lossy(), number), ())?;
        }
        if let Some(issue) = &spec.issue {
            self.transaction
                .open_table(BY_ISSUE)?
                .insert((issue.as_str(), number), ())?;
        }
        if let Some(first) = spec.lineage {
            self.transaction
                .open_table(RERUNS)?
                .insert((first.get(), number), ())?;
        }
        self.put(None, &mut task, entry)?;
        Ok(task)
    }

    /// Writes a task as it is after a change, and the change into the journal.
    /// `before` is the task as it is in the store. Sets the task's revision.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn put(
        &mut self,
        before: Option<&Task>,
        task: &mut Task,
        entry: &Entry<'_>,
    ) -> Result<(), StoreError> {
        self.dirty = true;
        self.revision += 1;
        task.revision = Revision(self.revision);
        let number = task.id.get();
        let row = record::encode_task(task);
        self.transaction
            .open_table(TASKS)?
            .insert(number, row.as_slice())?;
        if let Some(attempt) = &task.attempt
            && before.and_then(|task| task.attempt.as_ref()) != Some(attempt)
        {
            let row = record::encode_attempt(attempt);
            self.transaction
                .open_table(ATTEMPTS)?
                .insert((number, attempt.id.number), row.as_slice())?;
            let before = before.and_then(|task| task.attempt.as_ref());
            self.follow_sessions(before, task, entry.at)?;
        }
        self.index(before, task)?;
        self.journal(task, entry)
    }

    fn index(&self, before: Option<&Task>, task: &Task) -> Result<(), StoreError> {
        let number = task.id.get();
        let kind = task.state.kind();
        let old = before.map(|task| task.state.kind());
        if old != Some(kind) {
            let mut by_state = self.transaction.open_table(BY_STATE)?;
            if let Some(old) = old {
                by_state.remove((old as u8, number))?;
            }
            by_state.insert((kind as u8, number), ())?;
        }
        let was_active = old.is_some_and(|kind| kind.is_active());
        if was_active != kind.is_active()
            && let Some(key) = task.spec.key()
        {
            let mut keys = self.transaction.open_table(ACTIVE_KEYS)?;
            let key = key.to_string();
            if kind.is_active() {
                keys.insert((key.as_str(), number), ())?;
            } else {
                keys.remove((key.as_str(), number))?;
            }
        }
        Ok(())
    }

    fn journal(&self, task: &Task, entry: &Entry<'_>) -> Result<(), StoreError> {
        let entry = JournalEntry {
            revision: task.revision,
            task: task.id,
            attempt: task.attempt.as_ref().map_or(0, |a| a.id.number),
            at: entry.at,
            what: entry.what,
            why: entry.why.to_owned(),
            state: task.state.kind(),
        };
        let row = record::encode_event(&entry);
        self.transaction
            .open_table(EVENTS)?
            .insert(self.revision, row.as_slice())?;
        self.transaction
            .open_table(TASK_EVENTS)?
            .insert((task.id.get(), self.revision), ())?;
        Ok(())
    }

    /// Remembers that an agent, or with an empty name everything, is paused.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn set_paused(&mut self, agent: &str, paused: bool) -> Result<(), StoreError> {
        self.dirty = true;
        let mut table = self.transaction.open_table(PAUSED)?;
        if paused {
            table.insert(agent, ())?;
        } else {
            table.remove(agent)?;
        }
        Ok(())
    }

    /// What is remembered of schedules, by name.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn schedules(&self) -> Result<BTreeMap<String, Fired>, StoreError> {
        let table = self.transaction.open_table(SCHEDULES)?;
        let mut rows = BTreeMap::new();
        for row in table.iter()? {
            let (name, row) = row?;
            let fired = record::decode_schedule(row.value())?;
            rows.insert(name.value().to_owned(), fired);
        }
        Ok(rows)
    }

    /// Remembers how far a schedule has come.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn set_schedule(&mut self, name: &str, fired: &Fired) -> Result<(), StoreError> {
        self.dirty = true;
        let row = record::encode_schedule(fired);
        let mut table = self.transaction.open_table(SCHEDULES)?;
        table.insert(name, row.as_slice())?;
        Ok(())
    }

    /// Forgets a schedule.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn forget_schedule(&mut self, name: &str) -> Result<(), StoreError> {
        self.dirty = true;
        self.transaction.open_table(SCHEDULES)?.remove(name)?;
        Ok(())
    }

    /// What a lineage has spent, this batch included.
    ///
    /// # Errors
    /// If the store cannot be read or the row is damaged.
    pub fn spent(&self, lineage: TaskId) -> Result<Spend, StoreError> {
        let lineages = self.transaction.open_table(LINEAGES)?;
        let row = lineages.get(lineage.get())?;
        let spent = row.map(|row| record::decode_spend(row.value()));
        Ok(spent.transpose()?.unwrap_or_default())
    }

    /// Adds to what a lineage has spent.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the row is damaged.
    pub fn spend(&mut self, lineage: TaskId, spend: Spend) -> Result<(), StoreError> {
        if spend == Spend::default() {
            return Ok(());
        }
        let row = record::encode_spend(self.spent(lineage)?.plus(spend));
        self.dirty = true;
        let mut lineages = self.transaction.open_table(LINEAGES)?;
        lineages.insert(lineage.get(), row.as_slice())?;
        Ok(())
    }

    /// Remembers the limits that an account met in a row, or that it has met
    /// none since.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn set_account(&mut self, name: &str, account: Option<&Account>) -> Result<(), StoreError> {
        self.dirty = true;
        let mut accounts = self.transaction.open_table(ACCOUNTS)?;
        match account {
            Some(account) => {
                accounts.insert(name, record::encode_account(account).as_slice())?;
            }
            None => {
                accounts.remove(name)?;
            }
        }
        Ok(())
    }

    /// Makes all of it durable: when this returns, it is on disk.
    ///
    /// # Errors
    /// If it cannot be written. Whether it is durable is then not known until
    /// the store is opened again.
    pub fn commit(self) -> Result<Revision, StoreError> {
        {
            let mut counters = self.transaction.open_table(COUNTERS)?;
            counters.insert(counter::REVISION, self.revision)?;
            counters.insert(counter::NEXT_TASK, self.next_task)?;
        }
        failpoint!("store.commit.before").map_err(StorageError::from)?;
        self.transaction.commit()?;
        self.commits.fetch_add(1, Ordering::SeqCst);
        crashpoint!("store.commit.after");
        Ok(Revision(self.revision))
    }

    /// Undoes all of it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn abort(self) -> Result<(), StoreError> {
        Ok(self.transaction.abort()?)
    }
}
