//! The tasks that are known, and which of them are shown, in which order.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use agentd_proto::v1::State;
use jiff::Timestamp;

use super::row::Row;

/// Tasks that have ended which are kept: the newest, and the newest failed.
pub(super) const ENDED: usize = 500;
/// Tasks that have not ended which are kept.
pub(super) const ACTIVE: usize = 4_000;

/// Which tasks are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Which {
    /// Those that have not ended.
    #[default]
    Active,
    /// All that are known.
    All,
    /// Those that `agentctl ls --failed` lists.
    Failed,
}

impl Which {
    /// The one that the key leads to.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Active => Self::All,
            Self::All => Self::Failed,
            Self::Failed => Self::Active,
        }
    }

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::All => "all",
            Self::Failed => "failed",
        }
    }

    fn has(self, row: &Row) -> bool {
        match self {
            Self::Active => row.is_active(),
            Self::All => true,
            Self::Failed => row.is_failed(),
        }
    }
}

/// In which order they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sort {
    /// The newest first.
    #[default]
    Newest,
    /// What runs, what waits, what has ended.
    State,
    /// The longest first.
    Time,
    /// The dearest first.
    Cost,
}

impl Sort {
    /// The one that the key leads to.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Newest => Self::State,
            Self::State => Self::Time,
            Self::Time => Self::Cost,
            Self::Cost => Self::Newest,
        }
    }

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Newest => "newest first",
            Self::State => "by state",
            Self::Time => "longest first",
            Self::Cost => "dearest first",
        }
    }
}

fn rank(state: State) -> u8 {
    match state {
        State::Running => 0,
        State::Stopping => 1,
        State::Starting => 2,
        State::Queued => 3,
        State::Failed => 4,
        State::Interrupted => 5,
        State::Aborted => 6,
        State::Cancelled => 7,
        State::Succeeded => 8,
        State::Unspecified => 9,
    }
}

/// The tasks that are known.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks {
    rows: BTreeMap<u64, Row>,
    /// Active tasks that are too many to be known.
    pub(super) left_out: u64,
}

impl Tasks {
    /// Forgets what was known.
    pub(super) fn replace(&mut self, rows: Vec<Row>, left_out: u64) {
        self.rows = rows.into_iter().map(|row| (row.id, row)).collect();
        self.left_out = left_out;
        self.bound();
    }

    /// Takes what is newer than what is known.
    pub(super) fn merge(&mut self, rows: Vec<Row>) {
        for row in rows {
            let known = self.rows.get(&row.id);
            if known.is_none_or(|known| known.revision <= row.revision) {
                self.rows.insert(row.id, row);
            }
        }
        self.bound();
    }

    /// Forgets a task that is not there any more.
    pub(super) fn remove(&mut self, id: u64) {
        self.rows.remove(&id);
    }

    /// A task.
    pub(super) fn get(&self, id: u64) -> Option<&Row> {
        self.rows.get(&id)
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many are held by a person.
    pub(super) fn held(&self) -> usize {
        self.rows.values().filter(|row| row.is_held()).count()
    }

    /// Forgets the oldest that are too many.
    fn bound(&mut self) {
        if self.rows.len() <= ENDED {
            return;
        }
        let (mut active, mut ended, mut failed) = (0, 0, 0);
        let mut gone = Vec::new();
        for row in self.rows.values().rev() {
            let keep = if row.is_active() {
                active += 1;
                active <= ACTIVE
            } else {
                ended += 1;
                failed += usize::from(row.is_failed());
                ended <= ENDED || row.is_failed() && failed <= ENDED
            };
            if !keep {
                gone.push(row.id);
            }
        }
        self.left_out += u64::try_from(active.saturating_sub(ACTIVE)).unwrap_or(0);
        for id in gone {
            self.rows.remove(&id);
        }
    }

    /// The ids of those to be shown, in order.
    pub(super) fn shown(&self, which: Which, filter: &str, sort: Sort, now: Timestamp) -> Vec<u64> {
        let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
        let mut shown: Vec<&Row> = self
            .rows
            .values()
            .rev()
            .filter(|row| which.has(row) && row.matches(&words))
            .collect();
        // Sorting is stable: what is equal stays newest first.
        match sort {
            Sort::Newest => {}
            Sort::State => shown.sort_by_key(|row| rank(row.state)),
            Sort::Time => {
                shown.sort_by_key(|row| Reverse(row.took(now).unwrap_or(Duration::ZERO)));
            }
            Sort::Cost => shown.sort_by_key(|row| Reverse(row.cost.unwrap_or(0))),
        }
        shown.into_iter().map(|row| row.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use agentd_proto::v1;

    use super::*;

    fn task(id: u64, state: State) -> v1::Task {
        v1::Task {
            id,
            state: state.into(),
            revision: id,
            ..v1::Task::default()
        }
    }

    fn ids(tasks: &Tasks, which: Which, filter: &str, sort: Sort) -> Vec<u64> {
        tasks.shown(which, filter, sort, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn they_are_chosen_and_sorted() {
        let with = |id, state, cost, ran: i64| {
            Row::from(v1::Task {
                attempt: Some(v1::Attempt {
                    started_at: 1_000,
                    ended_at: 1_000 + ran,
                    usage: Some(v1::Usage {
                        cost: Some(cost),
                        ..v1::Usage::default()
                    }),
                    ..v1::Attempt::default()
                }),
                ..task(id, state)
            })
        };
        let mut tasks = Tasks::default();
        tasks.replace(
            vec![
                with(1, State::Failed, 7, 300),
                with(2, State::Running, 9, 100),
                with(3, State::Queued, 8, 200),
                with(4, State::Succeeded, 1, 400),
            ],
            0,
        );
        for (which, filter, sort, expected) in [
            (Which::All, "", Sort::Newest, &[4, 3, 2, 1][..]),
            (Which::Active, "", Sort::Newest, &[3, 2]),
            (Which::Failed, "", Sort::Newest, &[1]),
            (Which::All, "", Sort::State, &[2, 3, 1, 4]),
            (Which::All, "", Sort::Time, &[4, 1, 3, 2]),
            (Which::All, "", Sort::Cost, &[2, 3, 1, 4]),
            (Which::All, "RUN", Sort::Newest, &[2]),
            (Which::Active, "failed", Sort::Newest, &[]),
        ] {
            assert_eq!(
                ids(&tasks, which, filter, sort),
                expected,
                "{which:?} {filter} {sort:?}"
            );
        }
    }

    #[test]
    fn what_is_older_changes_nothing() {
        let mut tasks = Tasks::default();
        let at = |revision, state| {
            Row::from(v1::Task {
                revision,
                ..task(7, state)
            })
        };
        tasks.merge(vec![at(5, State::Running)]);
        tasks.merge(vec![at(4, State::Queued)]);
        assert_eq!(tasks.get(7).unwrap().state, State::Running);
        tasks.merge(vec![at(6, State::Failed)]);
        assert_eq!(tasks.get(7).unwrap().state, State::Failed);
    }

    #[test]
    fn the_newest_and_all_that_are_active_are_kept() {
        let mut tasks = Tasks::default();
        // The oldest are active, then many that failed, then more that did not.
        let rows = |states: &[(State, u64)]| {
            let states = states
                .iter()
                .flat_map(|&(state, count)| (0..count).map(move |_| state));
            (1..)
                .zip(states)
                .map(|(id, state)| Row::from(task(id, state)))
                .collect::<Vec<_>>()
        };
        tasks.replace(
            rows(&[
                (State::Queued, 600),
                (State::Failed, 700),
                (State::Succeeded, 700),
            ]),
            0,
        );
        assert_eq!(tasks.len(), 600 + ENDED + ENDED);
        let failed = ids(&tasks, Which::Failed, "", Sort::Newest);
        assert_eq!(failed.first(), Some(&1300));
        assert_eq!(failed.len(), ENDED);
        tasks.replace(rows(&[(State::Queued, 5_000)]), 2);
        assert_eq!(tasks.len(), ACTIVE);
        assert_eq!(tasks.left_out, 1_002);
    }
}
