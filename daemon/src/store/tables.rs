//! The tables of the store.
//!
//! | table | key → value | for |
//! |---|---|---|
//! | `counters` | name → number | format, next task, revision, incarnation; up to which event people were told |
//! | `tasks` | task → row | everything about a task that is small |
//! | `payloads` | task → prompt, command | read when an attempt is launched |
//! | `attempts` | (task, number) → row | |
//! | `events` | revision → row | `watch`, `explain` |
//! | `task_events` | (task, revision) | the events of one task |
//! | `by_state` | (state, task) | `ls --failed`, start of the daemon |
//! | `by_agent`, `by_repo`, `by_issue` | (name, task) | `ls --agent` … |
//! | `reruns` | (first task, rerun) | what became of a lineage |
//! | `active_keys` | (key, task) | who has a key, who waits behind |
//! | `requests` | request id → (task, digest) | a submit that is sent twice |
//! | `paused` | agent, or empty for all | |
//! | `schedules` | name → row | which of its times were dealt with |
//! | `lineages` | first task → what was spent | budgets; a lineage without a row has spent nothing |
//! | `accounts` | account → row | the limits that it met in a row; none: no row |
//! | `sessions` | (agent, session) → row | which conversation to go on with |
//! | `key_sessions` | (key, revision, session) | the newest sessions of a key |
//! | `recent_sessions` | (revision, agent, session) | `sessions`, newest first |
//!
//! They are listed once: whoever has to do something with every table (make
//! it, copy it) is an [`Each`].

use redb::{Key, TableDefinition, Value};

use super::StoreError;

/// Something that is done with each table, whatever it holds.
pub(super) trait Each {
    /// Does it.
    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), StoreError>;
}

macro_rules! tables {
    ($($constant:ident($key:ty => $value:ty) = $name:literal,)+) => {
        $(pub(super) const $constant: TableDefinition<'static, $key, $value> =
            TableDefinition::new($name);)+

        /// The names of all tables.
        pub(super) fn names() -> impl Iterator<Item = &'static str> {
            [$($name),+].into_iter()
        }

        /// Does something with all of them.
        pub(super) fn each(act: &mut impl Each) -> Result<(), StoreError> {
            $(act.table($constant)?;)+
            Ok(())
        }
    };
}

tables! {
    COUNTERS(&'static str => u64) = "counters",
    TASKS(u64 => &'static [u8]) = "tasks",
    PAYLOADS(u64 => &'static [u8]) = "payloads",
    ATTEMPTS((u64, u32) => &'static [u8]) = "attempts",
    EVENTS(u64 => &'static [u8]) = "events",
    TASK_EVENTS((u64, u64) => ()) = "task_events",
    BY_STATE((u8, u64) => ()) = "by_state",
    BY_AGENT((&'static str, u64) => ()) = "by_agent",
    BY_REPO((&'static str, u64) => ()) = "by_repo",
    BY_ISSUE((&'static str, u64) => ()) = "by_issue",
    RERUNS((u64, u64) => ()) = "reruns",
    ACTIVE_KEYS((&'static str, u64) => ()) = "active_keys",
    REQUESTS(&'static str => (u64, [u8; 32])) = "requests",
    PAUSED(&'static str => ()) = "paused",
    SCHEDULES(&'static str => &'static [u8]) = "schedules",
    LINEAGES(u64 => &'static [u8]) = "lineages",
    ACCOUNTS(&'static str => &'static [u8]) = "accounts",
    SESSIONS((&'static str, &'static str) => &'static [u8]) = "sessions",
    KEY_SESSIONS((&'static str, u64, &'static str) => ()) = "key_sessions",
    RECENT_SESSIONS((u64, &'static str, &'static str) => ()) = "recent_sessions",
}

/// Makes those that are not there, so that no reader meets one that is missing.
pub(super) fn make(transaction: &redb::WriteTransaction) -> Result<(), StoreError> {
    struct Make<'a>(&'a redb::WriteTransaction);
    impl Each for Make<'_> {
        fn table<K: Key + 'static, V: Value + 'static>(
            &mut self,
            table: TableDefinition<'static, K, V>,
        ) -> Result<(), StoreError> {
            self.0.open_table(table)?;
            Ok(())
        }
    }
    each(&mut Make(transaction))
}

/// Names in [`COUNTERS`].
pub(super) mod counter {
    use crate::task::notice::Way;

    pub(in crate::store) const FORMAT: &str = "format";
    pub(in crate::store) const NEXT_TASK: &str = "next_task";
    pub(in crate::store) const REVISION: &str = "revision";
    pub(in crate::store) const INCARNATION: &str = "incarnation";

    /// Up to which revision word was sent by a way; none: none is sent by it.
    pub(in crate::store) fn told(way: Way) -> &'static str {
        match way {
            Way::Command => "told_command",
            Way::Webhook => "told_webhook",
        }
    }
}
