//! One deadline a task, on the clock that does not jump.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use crate::task::id::TaskId;

/// The deadlines of all tasks. Setting one replaces the task's former one.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Instant, TaskId)>,
    of_task: HashMap<TaskId, Instant>,
}

impl Timers {
    /// Sets, moves or, with `None`, removes a task's deadline.
    pub(super) fn set(&mut self, task: TaskId, at: Option<Instant>) {
        if let Some(before) = self.of_task.remove(&task) {
            self.queue.remove(&(before, task));
        }
        if let Some(at) = at {
            self.of_task.insert(task, at);
            self.queue.insert((at, task));
        }
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes one task whose deadline has passed.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<TaskId> {
        let (at, task) = self.queue.first().copied().filter(|(at, _)| *at <= now)?;
        self.queue.remove(&(at, task));
        self.of_task.remove(&task);
        Some(task)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::task::testing::id;

    #[test]
    fn the_last_setting_counts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        timers.set(id(1), Some(at(5)));
        timers.set(id(2), Some(at(1)));
        timers.set(id(1), Some(at(2)));
        timers.set(id(3), Some(at(1)));
        timers.set(id(3), None);
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.pop_due(start), None);
        assert_eq!(timers.pop_due(at(9)), Some(id(2)));
        assert_eq!(timers.pop_due(at(9)), Some(id(1)));
        assert_eq!((timers.pop_due(at(9)), timers.next()), (None, None));
    }
}
