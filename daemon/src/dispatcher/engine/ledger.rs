//! What the end of an attempt is booked to: its lineage and its account.
//!
//! Both are written in the commit that ends the attempt, so that neither can
//! know less or more than the task does.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Engine, Turn, random};
use crate::{
    config::Config,
    store::{Reader, StoreError},
    task::{
        attempt::Attempt,
        id::Timestamp,
        moment::Moment,
        quota::{self, Account, Booking},
        state::Task,
    },
};

/// Accounts that have met a limit, and when each opens.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    known: BTreeMap<String, Account>,
    /// Of those that wait.
    opens: BTreeMap<String, Instant>,
}

impl Accounts {
    /// As the store knows them; no wait is set yet.
    pub(super) fn load(reader: &Reader) -> Result<Self, StoreError> {
        Ok(Self {
            known: reader.accounts()?,
            opens: BTreeMap::new(),
        })
    }

    /// Those that wait, and until when.
    pub(super) fn parked(&self) -> BTreeMap<String, Timestamp> {
        let waiting = self.opens.keys();
        let known = waiting.filter_map(|name| Some((name.clone(), self.known.get(name)?.until)));
        known.collect()
    }

    /// When the next one opens.
    pub(super) fn next(&self) -> Option<Instant> {
        self.opens.values().min().copied()
    }
}

/// What each configured agent works on.
pub(super) fn accounts_of(config: &Config) -> BTreeMap<String, String> {
    let agents = config.agents.values();
    agents
        .map(|agent| (agent.name.clone(), agent.account().to_owned()))
        .collect()
}

impl Engine {
    /// Sets the waits of all accounts anew, as the clocks show them. To be
    /// called at the start, when one of them is over, and when the wall clock
    /// was set: a reset time is over when that clock says so.
    pub(super) fn set_account_waits(&mut self, now: Instant, moment: Moment) {
        for (name, account) in &self.accounts.known {
            let left = account.left(moment);
            self.schedule.set_parked(name, left > 0);
            let was_parked = self.accounts.opens.remove(name).is_some();
            // Beyond what the clock can show is never.
            let opens = now.checked_add(Duration::from_millis(left));
            if let Some(at) = opens.filter(|_| left > 0) {
                self.accounts.opens.insert(name.clone(), at);
            } else if was_parked {
                tracing::info!(account = name, "open again");
            }
        }
    }

    /// Opens the accounts whose wait is over.
    pub(super) fn open_accounts(&mut self, turn: &Turn) {
        if self.accounts.next().is_some_and(|at| at <= turn.now) {
            self.set_account_waits(turn.now, turn.moment);
        }
    }

    /// Books an attempt of `task` that has ended.
    pub(super) fn book(
        &mut self,
        turn: &mut Turn,
        task: &Task,
        attempt: &Attempt,
    ) -> Result<(), StoreError> {
        turn.batch.spend(task.lineage(), attempt.spend())?;
        let name = match attempt.account.as_str() {
            "" => self.schedule.account_of(&task.spec.agent),
            noted => noted,
        };
        let known = self.accounts.known.get(name);
        match quota::book(known, attempt, turn.moment, random()) {
            Booking::Nothing => {}
            Booking::Park(account) => {
                let name = name.to_owned();
                turn.batch.set_account(&name, Some(&account))?;
                tracing::warn!(
                    account = name,
                    task = %attempt.id.task, attempt = attempt.id.number,
                    reason = %account.reason,
                    strikes = account.strikes,
                    seconds = account.left(turn.moment) / 1000,
                    "parked: its provider takes no more for a while"
                );
                self.accounts.known.insert(name, account);
                self.set_account_waits(turn.now, turn.moment);
            }
            Booking::Forget => {
                let name = name.to_owned();
                self.forget_account(turn, &name)?;
            }
        }
        Ok(())
    }

    /// Opens an account and forgets the limits that it has met. Returns whether
    /// there was anything to forget.
    pub(super) fn forget_account(
        &mut self,
        turn: &mut Turn,
        name: &str,
    ) -> Result<bool, StoreError> {
        if self.accounts.known.remove(name).is_none() {
            return Ok(false);
        }
        turn.batch.set_account(name, None)?;
        self.accounts.opens.remove(name);
        self.schedule.set_parked(name, false);
        Ok(true)
    }
}
