//! `ls --sort`: another order than the daemon's.
//!
//! The daemon gives tasks newest first. Any other order needs all that match,
//! so all are read; only so many are kept as are shown.

use std::cmp::Ordering;

use agentd_proto::v1;
use clap::ValueEnum;
use jiff::Timestamp;

use crate::{
    output::tasks::{TaskList, took},
    view::state_word,
};

/// What to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// Newest first.
    Created,
    /// The one that ended last first; what has not ended before all.
    Finished,
    /// Longest first.
    Took,
    /// Highest first.
    Priority,
    /// Most first.
    Attempts,
    /// By the alphabet, as the ones below.
    State,
    Agent,
    Repo,
    Issue,
    Title,
}

impl Sort {
    fn order(self, a: &v1::Task, b: &v1::Task, now: Timestamp) -> Ordering {
        let ended = |task: &v1::Task| match task.finished_at {
            0 => i64::MAX,
            at => at,
        };
        match self {
            Self::Created => b.id.cmp(&a.id),
            Self::Finished => ended(b).cmp(&ended(a)),
            Self::Took => took(b, now).cmp(&took(a, now)),
            Self::Priority => b.priority.cmp(&a.priority),
            Self::Attempts => b.attempts.cmp(&a.attempts),
            Self::State => state_word(a.state()).cmp(state_word(b.state())),
            Self::Agent => a.agent.cmp(&b.agent),
            Self::Repo => a.repo.cmp(&b.repo),
            Self::Issue => a.issue.cmp(&b.issue),
            Self::Title => a.title.cmp(&b.title),
        }
    }
}

/// The first `limit` of all tasks that it was given.
#[derive(Debug)]
pub(super) struct Best {
    sort: Sort,
    reverse: bool,
    limit: usize,
    now: Timestamp,
    tasks: Vec<v1::Task>,
    seen: u64,
}

impl Best {
    pub(super) fn new(sort: Sort, reverse: bool, limit: usize, now: Timestamp) -> Self {
        Self {
            sort,
            reverse,
            limit,
            now,
            tasks: Vec::new(),
            seen: 0,
        }
    }

    /// One more, in the daemon's order.
    pub(super) fn add(&mut self, task: v1::Task) {
        self.tasks.push(task);
        self.seen += 1;
        // Seldom enough that sorting costs little, often enough to stay small.
        if self.tasks.len() >= self.limit.saturating_mul(2) {
            self.trim();
        }
    }

    fn trim(&mut self) {
        // Stable: what is equal stays newest first.
        self.tasks.sort_by(|a, b| {
            let order = self.sort.order(a, b, self.now);
            if self.reverse { order.reverse() } else { order }
        });
        self.tasks.truncate(self.limit);
    }

    pub(super) fn finish(mut self) -> TaskList {
        self.trim();
        let kept = u64::try_from(self.tasks.len()).unwrap_or(u64::MAX);
        TaskList {
            more: self.seen.saturating_sub(kept),
            more_is_bound: false,
            tasks: self.tasks,
        }
    }
}

#[cfg(test)]
mod tests {
    use agentd_proto::v1::State;

    use super::*;

    fn sorted(sort: Sort, reverse: bool, limit: usize) -> (Vec<u64>, u64) {
        let task = |id: u64, agent: &str, state: State, ran: i64| v1::Task {
            id,
            agent: agent.to_owned(),
            state: state.into(),
            priority: i32::try_from(id % 3).unwrap(),
            finished_at: if ran > 0 { 1_000 - ran } else { 0 },
            attempt: Some(v1::Attempt {
                started_at: 1,
                ended_at: if ran > 0 { 1 + ran } else { 0 },
                ..v1::Attempt::default()
            }),
            ..v1::Task::default()
        };
        let mut best = Best::new(sort, reverse, limit, Timestamp::UNIX_EPOCH);
        // As the daemon gives them.
        for task in [
            task(5, "b", State::Running, 0),
            task(4, "a", State::Failed, 30),
            task(3, "b", State::Succeeded, 10),
            task(2, "c", State::Failed, 20),
            task(1, "a", State::Succeeded, 40),
        ] {
            best.add(task);
        }
        let list = best.finish();
        assert!(!list.more_is_bound);
        (list.tasks.iter().map(|task| task.id).collect(), list.more)
    }

    #[test]
    fn every_order_is_that_of_all_tasks() {
        for (sort, expected) in [
            (Sort::Created, [5, 4, 3, 2, 1]),
            (Sort::Finished, [5, 3, 2, 4, 1]),
            (Sort::Took, [1, 4, 2, 3, 5]),
            (Sort::Priority, [5, 2, 4, 1, 3]),
            (Sort::State, [4, 2, 5, 3, 1]),
            (Sort::Agent, [4, 1, 5, 3, 2]),
        ] {
            assert_eq!(sorted(sort, false, 10), (expected.to_vec(), 0), "{sort:?}");
            // Also those that come last are looked at, however few are shown.
            let first = sorted(sort, false, 1);
            assert_eq!(first, (expected[..1].to_vec(), 4), "{sort:?}");
        }
        assert_eq!(sorted(Sort::Created, true, 2), (vec![1, 2], 3));
        // What is equal stays newest first.
        assert_eq!(sorted(Sort::Agent, true, 10).0, [2, 5, 3, 4, 1]);
    }
}
