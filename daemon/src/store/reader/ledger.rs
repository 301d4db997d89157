//! What lineages have spent, what accounts have met, what was tried when, and
//! what ended last.

use std::collections::BTreeMap;

use redb::ReadableTable as _;

use super::{CLOCK_SLACK, Filter, Reader, agreed};
use crate::{
    store::{
        StoreError, record,
        tables::{ACCOUNTS, EVENTS, LINEAGES},
    },
    task::{
        budget::Spend,
        event::What,
        id::{AttemptId, TaskId, Timestamp},
        quota::Account,
        state::{State, StateKind, Task},
    },
};

/// How many newer tasks of an agent a task may outlive and still be found as the
/// one that ended last.
const OUTLIVED: usize = 32;

impl Reader {
    /// What a lineage has spent.
    ///
    /// # Errors
    /// If the store cannot be read or the row is damaged.
    pub fn spent(&self, lineage: TaskId) -> Result<Spend, StoreError> {
        let lineages = self.transaction.open_table(LINEAGES)?;
        let row = lineages.get(lineage.get())?;
        let spent = row.map(|row| record::decode_spend(row.value()));
        Ok(spent.transpose()?.unwrap_or_default())
    }

    /// The accounts that have met a limit since an attempt of them last ended
    /// otherwise; whether they still wait, [`Account::left`] says.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn accounts(&self) -> Result<BTreeMap<String, Account>, StoreError> {
        let mut found = BTreeMap::new();
        let accounts = self.transaction.open_table(ACCOUNTS)?;
        for row in accounts.iter()? {
            let (name, row) = row?;
            found.insert(
                name.value().to_owned(),
                record::decode_account(row.value())?,
            );
        }
        Ok(found)
    }

    /// What is known of one account; see [`Reader::accounts`].
    ///
    /// # Errors
    /// If the store cannot be read or the row is damaged.
    pub fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let accounts = self.transaction.open_table(ACCOUNTS)?;
        let row = accounts.get(name)?;
        Ok(row
            .map(|row| record::decode_account(row.value()))
            .transpose()?)
    }

    /// Tells of the claims of attempts since a time, newest first, until
    /// `visit` gives false or an error.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn claims(
        &self,
        since: Timestamp,
        mut visit: impl FnMut(AttemptId, Timestamp) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let events = self.transaction.open_table(EVENTS)?;
        let oldest = since.0.saturating_sub(CLOCK_SLACK);
        for row in events.iter()?.rev() {
            let (revision, value) = row?;
            let event = record::decode_event(revision.value(), value.value())?;
            if event.at.0 < oldest {
                break;
            }
            let id = AttemptId {
                task: event.task,
                number: event.attempt,
            };
            let wanted = event.what == What::Claimed && event.at >= since;
            if wanted && !visit(id, event.at)? {
                break;
            }
        }
        Ok(())
    }

    /// The task of an agent that ended last, of the newest that have ended. Its
    /// tasks that have not are jumped over, however many they are.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn last_ended(&self, agent: &str) -> Result<Option<Task>, StoreError> {
        let ended = StateKind::ALL.into_iter().filter(|kind| !kind.is_active());
        let indexes = self.indexes(&Filter {
            states: ended.collect(),
            agent: Some(agent.to_owned()),
            ..Filter::default()
        })?;
        let mut last: Option<(Timestamp, Task)> = None;
        let mut candidate = u64::MAX;
        for _ in 0..OUTLIVED {
            let Some(number) = agreed(&indexes, candidate)? else {
                break;
            };
            let task = TaskId::new(number).map(|id| self.task(id)).transpose()?;
            if let Some(task) = task.flatten()
                && let State::Finished(ending) = &task.state
                && last.as_ref().is_none_or(|(at, _)| *at < ending.at)
            {
                last = Some((ending.at, task));
            }
            candidate = number.saturating_sub(1);
        }
        Ok(last.map(|(_, task)| task))
    }
}
