//! Which history is old enough to go.
//!
//! A lineage is kept whole until all of it has ended and is old: what it has
//! spent, the session that a rerun goes on with, and who was run again from
//! whom are then right for as long as anybody can ask.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    id::{TaskId, Timestamp},
    state::{State, Task},
};

/// For how long a request id is remembered at the least, milliseconds: whoever
/// repeats a request does so sooner.
pub const REQUESTS: u64 = HOUR;

/// How long what has ended is kept, milliseconds; `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Tasks, with their attempts and events.
    pub tasks: Option<u64>,
    /// What agents wrote.
    pub transcripts: Option<u64>,
    /// Worktrees of which nothing is lost.
    pub worktrees: Option<u64>,
    /// Between two collections; `None`: only when a person asks.
    pub every: Option<u64>,
}

const HOUR: u64 = 60 * 60 * 1000;
const DAY: u64 = 24 * HOUR;

impl Default for Retention {
    fn default() -> Self {
        Self {
            tasks: Some(90 * DAY),
            transcripts: Some(30 * DAY),
            worktrees: Some(30 * DAY),
            every: Some(DAY),
        }
    }
}

/// What there is to know of a task whose history may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aged {
    /// The task.
    pub id: TaskId,
    /// The first of its lineage.
    pub lineage: TaskId,
    /// When it ended; none while it is active.
    pub ended_at: Option<Timestamp>,
    /// It was submitted with a request id.
    pub has_request: bool,
}

impl Aged {
    /// What counts of a task.
    #[must_use]
    pub fn of(task: &Task) -> Self {
        let ended_at = match &task.state {
            State::Finished(ending) => Some(ending.at),
            State::Queued(_) | State::Starting | State::Running | State::Stopping { .. } => None,
        };
        Self {
            id: task.id,
            lineage: task.lineage(),
            ended_at,
            has_request: task.spec.request_id.is_some(),
        }
    }

    /// It ended at least so many milliseconds ago.
    #[must_use]
    pub fn is_older(&self, than: u64, now: Timestamp) -> bool {
        self.ended_at
            .is_some_and(|at| at <= now && now.millis_since(at) >= than)
    }
}

/// Why a task that is old enough stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// It is one of the newest, which were asked to stay.
    Newest,
    /// A task of its lineage is active or not old enough.
    Lineage(TaskId),
    /// The request that made it, or one of its lineage, may yet be repeated.
    Request,
}

/// Lineages that may go, and old tasks that stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The tasks of each, oldest first; by their first tasks.
    pub lineages: Vec<Vec<TaskId>>,
    /// By number.
    pub stays: Vec<(TaskId, Stays)>,
}

/// Chooses among all tasks there are: lineages all of whose tasks ended at
/// least `age` milliseconds ago, none of them among the `keep` newest.
#[must_use]
pub fn plan(tasks: &[Aged], age: u64, keep: usize, now: Timestamp) -> Plan {
    let ids: BTreeSet<TaskId> = tasks.iter().map(|task| task.id).collect();
    // With fewer than that, the first of all.
    let oldest_kept = ids.iter().rev().nth(keep.saturating_sub(1));
    let newest = oldest_kept.or(ids.first()).filter(|_| keep > 0).copied();
    let mut lineages: BTreeMap<TaskId, Vec<&Aged>> = BTreeMap::new();
    for task in tasks {
        lineages.entry(task.lineage).or_default().push(task);
    }
    let mut plan = Plan::default();
    for mut members in lineages.into_values() {
        members.sort_unstable_by_key(|task| task.id);
        let why = reason(&members, age, newest, now);
        let old = members.iter().filter(|task| task.is_older(age, now));
        match why {
            Some(why) => plan.stays.extend(old.map(|task| (task.id, why))),
            None => plan.lineages.push(members.iter().map(|t| t.id).collect()),
        }
    }
    plan.stays.sort_unstable_by_key(|(id, _)| *id);
    plan
}

fn reason(members: &[&Aged], age: u64, newest: Option<TaskId>, now: Timestamp) -> Option<Stays> {
    let young = members.iter().find(|task| !task.is_older(age, now));
    let repeated = |task: &&&Aged| task.has_request && !task.is_older(REQUESTS, now);
    if let Some(young) = young {
        Some(Stays::Lineage(young.id))
    } else if members.iter().any(|t| newest.is_some_and(|n| t.id >= n)) {
        Some(Stays::Newest)
    } else {
        members.iter().find(repeated).map(|_| Stays::Request)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::task::testing::id;

    fn aged(number: u64, lineage: u64, ended_at: Option<i64>) -> Aged {
        Aged {
            id: id(number),
            lineage: id(lineage),
            ended_at: ended_at.map(Timestamp),
            has_request: false,
        }
    }

    const NOW: Timestamp = Timestamp(1_000_000_000);

    #[test]
    fn a_lineage_goes_whole_or_not_at_all() {
        let tasks = [
            aged(1, 1, Some(10)),
            aged(2, 2, Some(10)),
            aged(3, 1, Some(NOW.0 - 5)),
            aged(4, 4, Some(10)),
            aged(5, 4, Some(20)),
            aged(6, 6, None),
            // The clock was set back since.
            aged(7, 7, Some(NOW.0 + 1)),
        ];
        let found = plan(&tasks, 100, 0, NOW);
        assert_eq!(found.lineages, [vec![id(2)], vec![id(4), id(5)]]);
        assert_eq!(found.stays, [(id(1), Stays::Lineage(id(3)))]);
        let found = plan(&tasks, 100, 3, NOW);
        assert_eq!(found.lineages, [vec![id(2)]]);
        let newest = [(id(4), Stays::Newest), (id(5), Stays::Newest)];
        assert_eq!(found.stays[1..], newest);
        assert_eq!(plan(&tasks, 100, 100, NOW).lineages, Vec::<Vec<_>>::new());
    }

    #[test]
    fn a_request_is_remembered_for_an_hour() {
        let asked = |minutes: i64| Aged {
            has_request: true,
            ..aged(1, 1, Some(NOW.0 - minutes * 60_000))
        };
        assert_eq!(
            plan(&[asked(59)], 0, 0, NOW).stays,
            [(id(1), Stays::Request)]
        );
        assert_eq!(plan(&[asked(60)], 0, 0, NOW).lineages.len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_goes_that_is_active_young_or_has_kin_that_stays(
            rows in prop::collection::vec((0u64..6, prop::option::of(0i64..200), any::<bool>()), 0..20),
            age in 0u64..200,
            keep in 0usize..6,
        ) {
            let tasks: Vec<Aged> = rows.iter().enumerate().map(|(at, (lineage, ended, asked))| Aged {
                has_request: *asked,
                ..aged(at as u64 + 1, (*lineage).min(at as u64) + 1, ended.map(|ended| NOW.0 - ended))
            }).collect();
            let found = plan(&tasks, age, keep, NOW);
            let gone: BTreeSet<TaskId> = found.lineages.concat().into_iter().collect();
            for (at, task) in tasks.iter().enumerate() {
                let kin = tasks.iter().filter(|other| other.lineage == task.lineage);
                let kin: Vec<_> = kin.collect();
                let may = kin.iter().all(|other| other.is_older(age, NOW) && !other.has_request)
                    && kin.iter().all(|other| other.id.get() + keep as u64 <= tasks.len() as u64);
                prop_assert_eq!(gone.contains(&task.id), may, "{} of {:?}", at, tasks);
                let told = found.stays.iter().any(|(id, _)| *id == task.id);
                prop_assert_eq!(told, !may && task.is_older(age, NOW));
            }
        }
    }
}
