//! The tables of the store.
//!
//! | table | key → value | for |
//! |---|---|---|
//! | `counters` | name → number | format, next task, revision, incarnation |
//! | `tasks` | task → row | everything about a task that is small |
//! | `payloads` | task → prompt, command | read when an attempt is launched |
//! | `attempts` | (task, number) → row | |
//! | `events` | revision → row | `watch`, `explain` |
//! | `task_events` | (task, revision) | the events of one task |
//! | `by_state` | (state, task) | `ls --failed`, start of the daemon |
//! | `by_agent`, `by_repo`, `by_issue` | (name, task) | `ls --agent` … |
//! | `active_keys` | (key, task) | who has a key, who waits behind |
//! | `requests` | request id → (task, digest) | a submit that is sent twice |
//! | `paused` | agent, or empty for all | |
//! | `schedules` | name → row | which of its times were dealt with |
//! | `lineages` | first task → what was spent | budgets; a lineage without a row has spent nothing |
//! | `accounts` | account → row | the limits that it met in a row; none: no row |

use redb::TableDefinition;

pub(super) const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
pub(super) const TASKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("tasks");
pub(super) const PAYLOADS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("payloads");
pub(super) const ATTEMPTS: TableDefinition<'_, (u64, u32), &[u8]> =
    TableDefinition::new("attempts");
pub(super) const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
pub(super) const TASK_EVENTS: TableDefinition<'_, (u64, u64), ()> =
    TableDefinition::new("task_events");
pub(super) const BY_STATE: TableDefinition<'_, (u8, u64), ()> = TableDefinition::new("by_state");
pub(super) const BY_AGENT: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("by_agent");
pub(super) const BY_REPO: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("by_repo");
pub(super) const BY_ISSUE: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("by_issue");
pub(super) const ACTIVE_KEYS: TableDefinition<'_, (&str, u64), ()> =
    TableDefinition::new("active_keys");
pub(super) const REQUESTS: TableDefinition<'_, &str, (u64, [u8; 32])> =
    TableDefinition::new("requests");
pub(super) const PAUSED: TableDefinition<'_, &str, ()> = TableDefinition::new("paused");
pub(super) const SCHEDULES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("schedules");

pub(super) const LINEAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("lineages");
pub(super) const ACCOUNTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("accounts");

pub(super) const SESSIONS: TableDefinition<'_, (&str, &str), &[u8]> =
    TableDefinition::new("sessions");
pub(super) const KEY_SESSIONS: TableDefinition<'_, (&str, u64, &str), ()> =
    TableDefinition::new("key_sessions");
pub(super) const RECENT_SESSIONS: TableDefinition<'_, (u64, &str, &str), ()> =
    TableDefinition::new("recent_sessions");

/// Names in [`COUNTERS`].
pub(super) mod counter {
    pub(in crate::store) const FORMAT: &str = "format";
    pub(in crate::store) const NEXT_TASK: &str = "next_task";
    pub(in crate::store) const REVISION: &str = "revision";
    pub(in crate::store) const INCARNATION: &str = "incarnation";
}
