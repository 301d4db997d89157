//! The waits of all tasks, on the clock that does not jump.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use crate::task::{deadline::Ends, id::TaskId};

/// A task's waits; it has no more than two at a time.
type Waits = [Option<(Instant, Ends)>; 2];

/// What every task waits for. Setting a task's waits replaces its former ones.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Instant, TaskId, Ends)>,
    of_task: HashMap<TaskId, Waits>,
}

impl Timers {
    /// Sets, moves or removes a task's waits.
    pub(super) fn set(&mut self, task: TaskId, waits: Waits) {
        for (at, ends) in self.of_task.remove(&task).into_iter().flatten().flatten() {
            self.queue.remove(&(at, task, ends));
        }
        if waits.iter().any(Option::is_some) {
            self.of_task.insert(task, waits);
        }
        let waits = waits.into_iter().flatten();
        self.queue.extend(waits.map(|(at, ends)| (at, task, ends)));
    }

    /// When the next wait is over.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _, _)| *at)
    }

    /// Takes one wait that is over. The task's other one goes on.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(TaskId, Ends)> {
        let first = self.queue.first().copied();
        let (at, task, ends) = first.filter(|(at, _, _)| *at <= now)?;
        self.queue.remove(&(at, task, ends));
        if let Some(waits) = self.of_task.get_mut(&task) {
            for wait in waits.iter_mut() {
                wait.take_if(|wait| *wait == (at, ends));
            }
            if waits.iter().all(Option::is_none) {
                self.of_task.remove(&task);
            }
        }
        Some((task, ends))
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
        let one = |seconds| [Some((at(seconds), Ends::Timeout)), None];
        let mut timers = Timers::default();
        timers.set(id(1), one(5));
        timers.set(id(2), one(1));
        timers.set(id(1), one(2));
        timers.set(id(3), one(1));
        timers.set(id(3), [None, None]);
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.pop_due(start), None);
        assert_eq!(timers.pop_due(at(9)), Some((id(2), Ends::Timeout)));
        assert_eq!(timers.pop_due(at(9)), Some((id(1), Ends::Timeout)));
        assert_eq!((timers.pop_due(at(9)), timers.next()), (None, None));
        assert!(timers.of_task.is_empty());
    }

    #[test]
    fn of_two_waits_the_second_goes_on() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let both = [Some((at(3), Ends::Backoff)), Some((at(5), Ends::QueueTtl))];
        let mut timers = Timers::default();
        timers.set(id(1), both);
        assert_eq!(timers.pop_due(at(3)), Some((id(1), Ends::Backoff)));
        assert_eq!(timers.pop_due(at(4)), None);
        assert_eq!(timers.next(), Some(at(5)));
        timers.set(id(1), [None, None]);
        assert_eq!(timers.next(), None);
        timers.set(id(1), both);
        assert_eq!(timers.pop_due(at(9)), Some((id(1), Ends::Backoff)));
        assert_eq!(timers.pop_due(at(9)), Some((id(1), Ends::QueueTtl)));
        assert!(timers.of_task.is_empty() && timers.queue.is_empty());
    }
}
