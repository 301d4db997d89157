//! What has ended long ago is taken out of the store again.
//!
//! Of a task everything goes in one transaction: its rows, its events, every
//! entry of an index, the id of its request, and the sessions that were worked
//! in last by it. Its number and its revisions are never used again. The file
//! does not shrink: its pages are used for what comes.

use redb::ReadableTable as _;

use super::{
    Batch, Reader, StoreError,
    record::encode_attempt,
    tables::{
        ATTEMPTS, BY_AGENT, BY_ISSUE, BY_REPO, BY_STATE, COUNTERS, EVENTS, KEY_SESSIONS, LINEAGES,
        PAYLOADS, REQUESTS, RERUNS, TASK_EVENTS, TASKS, counter,
    },
};
use crate::task::{
    id::{AttemptId, TaskId, Timestamp},
    session,
    spec::TaskSpec,
};

impl Batch {
    /// Takes a task that has ended out of the store, and says whether it was in
    /// there. One that is active stays.
    ///
    /// # Errors
    /// If the store cannot be read or written, or a row is damaged.
    pub fn remove(&mut self, id: TaskId) -> Result<bool, StoreError> {
        let Some(task) = self.task(id)?.filter(|task| !task.state.is_active()) else {
            return Ok(false);
        };
        self.dirty = true;
        let number = id.get();
        self.remove_sessions(id, &task.spec)?;
        let mut attempts = self.transaction.open_table(ATTEMPTS)?;
        for attempt in 1..=task.attempts {
            attempts.remove((number, attempt))?;
        }
        drop(attempts);
        self.remove_events(number)?;
        self.remove_from_indexes(number, &task.spec)?;
        let kind = task.state.kind();
        self.transaction
            .open_table(BY_STATE)?
            .remove((kind as u8, number))?;
        self.transaction.open_table(PAYLOADS)?.remove(number)?;
        self.transaction.open_table(TASKS)?.remove(number)?;
        Ok(true)
    }

    /// Forgets the sessions that were worked in last by a task. Its attempts
    /// need not name them any more: one may have gone on in another.
    fn remove_sessions(&mut self, task: TaskId, spec: &TaskSpec) -> Result<(), StoreError> {
        let key = session::key(task, spec);
        let of_key = {
            let index = self.transaction.open_table(KEY_SESSIONS)?;
            let rows = index.range((key.as_str(), 0, "")..(key.as_str(), u64::MAX, ""))?;
            rows.map(|row| Ok(row?.0.value().2.to_owned()))
                .collect::<Result<Vec<String>, StoreError>>()?
        };
        for id in of_key {
            let found = self.session(&spec.agent, &id)?;
            if found.is_some_and(|session| session.attempt.task == task) {
                self.forget_session(&spec.agent, &id)?;
            }
        }
        Ok(())
    }

    fn remove_events(&self, number: u64) -> Result<(), StoreError> {
        let mut of_task = self.transaction.open_table(TASK_EVENTS)?;
        let mut events = self.transaction.open_table(EVENTS)?;
        let revisions = of_task
            .range((number, 0)..=(number, u64::MAX))?
            .map(|row| Ok(row?.0.value().1))
            .collect::<Result<Vec<u64>, StoreError>>()?;
        for revision in revisions {
            events.remove(revision)?;
            of_task.remove((number, revision))?;
        }
        Ok(())
    }

    fn remove_from_indexes(&self, number: u64, spec: &TaskSpec) -> Result<(), StoreError> {
        let mut by_agent = self.transaction.open_table(BY_AGENT)?;
        by_agent.remove((spec.agent.as_str(), number))?;
        if let Some(repo) = &spec.repo {
            let mut by_repo = self.transaction.open_table(BY_REPO)?;
            by_repo.remove((&*repo.to_string_lossy(), number))?;
        }
        if let Some(issue) = &spec.issue {
            let mut by_issue = self.transaction.open_table(BY_ISSUE)?;
            by_issue.remove((issue.as_str(), number))?;
        }
        if let Some(first) = spec.lineage {
            let mut reruns = self.transaction.open_table(RERUNS)?;
            reruns.remove((first.get(), number))?;
        }
        if let Some(request_id) = &spec.request_id {
            let mut requests = self.transaction.open_table(REQUESTS)?;
            let made = requests.get(request_id.as_str())?.map(|row| row.value().0);
            if made == Some(number) {
                requests.remove(request_id.as_str())?;
            }
        }
        Ok(())
    }

    /// Forgets what a lineage has spent: none of its tasks is left.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn forget_lineage(&mut self, first: TaskId) -> Result<(), StoreError> {
        self.dirty = true;
        self.transaction.open_table(LINEAGES)?.remove(first.get())?;
        Ok(())
    }

    /// Notes that the transcript of an attempt goes. Whether it is to go: of an
    /// attempt of a task that has ended. What was noted before stays.
    ///
    /// # Errors
    /// If the store cannot be read or written, or a row is damaged.
    pub fn prune_transcript(&mut self, id: AttemptId, at: Timestamp) -> Result<bool, StoreError> {
        let task = self.task(id.task)?;
        let over = task.is_some_and(|task| !task.state.is_active());
        let Some(mut attempt) = self.attempt(id)?.filter(|_| over) else {
            return Ok(false);
        };
        if attempt.pruned_at.is_none() {
            attempt.pruned_at = Some(at);
            self.dirty = true;
            let row = encode_attempt(&attempt);
            let mut attempts = self.transaction.open_table(ATTEMPTS)?;
            attempts.insert((id.task.get(), id.number), row.as_slice())?;
        }
        Ok(true)
    }
}

impl Reader {
    /// The number that the next task will have: all below it are used.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn next_task(&self) -> Result<TaskId, StoreError> {
        let counters = self.transaction.open_table(COUNTERS)?;
        let next = counters.get(counter::NEXT_TASK)?.map(|row| row.value());
        Ok(next.and_then(TaskId::new).unwrap_or(TaskId::FIRST))
    }
}
