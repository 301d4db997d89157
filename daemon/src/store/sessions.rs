//! The registry of sessions: its rows follow the attempts, in the transaction
//! that changes them.

use redb::ReadableTable as _;

use super::{
    Batch, COUNT_BOUND, Reader, StoreError,
    record::{decode_session, encode_session},
    tables::{KEY_SESSIONS, RECENT_SESSIONS, SESSIONS},
};
use crate::task::{
    attempt::Attempt,
    id::Timestamp,
    session::{Fate, Session, Standing, follow, touched},
    state::Task,
};

/// Sessions of a key that are looked at for one to go on with.
const OF_KEY: usize = 32;

/// Which sessions to list. Absent fields do not narrow it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionFilter {
    /// This agent.
    pub agent: Option<String>,
    /// Any of these standings; empty for all.
    pub standings: Vec<Standing>,
}

/// Sessions, the ones that were worked in last first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionListing {
    /// At most as many as were asked for.
    pub sessions: Vec<Session>,
    /// Matches behind them, at most [`COUNT_BOUND`].
    pub more: u64,
}

impl Batch {
    /// A session of an agent.
    ///
    /// # Errors
    /// If the store cannot be read or the row is damaged.
    pub fn session(&self, agent: &str, id: &str) -> Result<Option<Session>, StoreError> {
        Ok(self.session_row(agent, id)?.map(|(session, _)| session))
    }

    fn session_row(&self, agent: &str, id: &str) -> Result<Option<(Session, u64)>, StoreError> {
        let sessions = self.transaction.open_table(SESSIONS)?;
        let row = sessions.get((agent, id))?;
        let row = row.map(|row| decode_session(agent, id, row.value()));
        Ok(row.transpose()?)
    }

    /// The newest sessions of an agent's key, those that were worked in last
    /// first.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn sessions_of_key(&self, agent: &str, key: &str) -> Result<Vec<Session>, StoreError> {
        let index = self.transaction.open_table(KEY_SESSIONS)?;
        let mut found = Vec::new();
        for row in index
            .range((key, 0, "")..(key, u64::MAX, ""))?
            .rev()
            .take(OF_KEY)
        {
            let (entry, _) = row?;
            found.extend(self.session(agent, entry.value().2)?);
        }
        Ok(found)
    }

    /// Has the registry follow an attempt that has changed.
    pub(super) fn follow_sessions(
        &mut self,
        before: Option<&Attempt>,
        task: &Task,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(attempt) = &task.attempt else {
            return Ok(());
        };
        // Of the attempt before it nothing is left to be told.
        let before = before.filter(|before| before.id == attempt.id);
        for id in touched(before, attempt) {
            let agent = &task.spec.agent;
            let row = self.session_row(agent, &id)?;
            let known = row.as_ref().map(|(session, _)| session);
            match follow(known, &id, before, task, at) {
                Fate::Stays => {}
                Fate::Becomes(session) => self.put_session(row.as_ref(), &session)?,
                Fate::Vanishes => {
                    if let Some((session, revision)) = &row {
                        self.remove_session(session, *revision)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn put_session(
        &mut self,
        before: Option<&(Session, u64)>,
        session: &Session,
    ) -> Result<(), StoreError> {
        let stays = before
            .filter(|(before, _)| (&before.key, before.attempt) == (&session.key, session.attempt));
        let revision = stays.map_or(self.revision, |(_, revision)| *revision);
        if stays.is_none() {
            if let Some((before, revision)) = before {
                self.remove_session(before, *revision)?;
            }
            let (agent, id) = (session.agent.as_str(), session.id.as_str());
            let mut by_key = self.transaction.open_table(KEY_SESSIONS)?;
            by_key.insert((session.key.as_str(), revision, id), ())?;
            let mut recent = self.transaction.open_table(RECENT_SESSIONS)?;
            recent.insert((revision, agent, id), ())?;
        }
        let row = encode_session(session, revision);
        self.transaction.open_table(SESSIONS)?.insert(
            (session.agent.as_str(), session.id.as_str()),
            row.as_slice(),
        )?;
        Ok(())
    }

    fn remove_session(&mut self, session: &Session, revision: u64) -> Result<(), StoreError> {
        let (agent, id) = (session.agent.as_str(), session.id.as_str());
        self.transaction.open_table(SESSIONS)?.remove((agent, id))?;
        self.transaction
            .open_table(KEY_SESSIONS)?
            .remove((session.key.as_str(), revision, id))?;
        self.transaction
            .open_table(RECENT_SESSIONS)?
            .remove((revision, agent, id))?;
        Ok(())
    }

    /// Takes a session out of the registry. Whether it was in there.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn forget_session(&mut self, agent: &str, id: &str) -> Result<bool, StoreError> {
        let Some((session, revision)) = self.session_row(agent, id)? else {
            return Ok(false);
        };
        self.dirty = true;
        self.remove_session(&session, revision)?;
        Ok(true)
    }
}

impl Reader {
    /// A session of an agent.
    ///
    /// # Errors
    /// If the store cannot be read or the row is damaged.
    pub fn session(&self, agent: &str, id: &str) -> Result<Option<Session>, StoreError> {
        let sessions = self.transaction.open_table(SESSIONS)?;
        let row = sessions.get((agent, id))?;
        let row = row.map(|row| decode_session(agent, id, row.value()));
        Ok(row.transpose()?.map(|(session, _)| session))
    }

    /// The sessions of this id, whichever agents have them.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn sessions_called(&self, id: &str) -> Result<Vec<Session>, StoreError> {
        let sessions = self.transaction.open_table(SESSIONS)?;
        let mut found = Vec::new();
        let mut next = sessions.range::<(&str, &str)>(..)?.next().transpose()?;
        while let Some((entry, _)) = next {
            let agent = entry.value().0.to_owned();
            found.extend(self.session(&agent, id)?);
            // The first one of the next agent.
            let behind = format!("{agent}\0");
            let others = (behind.as_str(), "")..;
            next = sessions.range(others)?.next().transpose()?;
        }
        Ok(found)
    }

    /// At most `limit` sessions, the ones that were worked in last first.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn sessions(
        &self,
        filter: &SessionFilter,
        limit: usize,
    ) -> Result<SessionListing, StoreError> {
        let recent = self.transaction.open_table(RECENT_SESSIONS)?;
        let mut listing = SessionListing::default();
        for row in recent.iter()?.rev() {
            let (entry, _) = row?;
            let (_, agent, id) = entry.value();
            let Some(session) = self
                .session(agent, id)?
                .filter(|found| filter.matches(found))
            else {
                continue;
            };
            if listing.sessions.len() < limit {
                listing.sessions.push(session);
            } else {
                listing.more += 1;
            }
            if listing.more >= COUNT_BOUND {
                break;
            }
        }
        Ok(listing)
    }
}

impl SessionFilter {
    fn matches(&self, session: &Session) -> bool {
        let agent = self.agent.as_ref();
        agent.is_none_or(|agent| *agent == session.agent)
            && (self.standings.is_empty() || self.standings.contains(&session.standing))
    }
}
