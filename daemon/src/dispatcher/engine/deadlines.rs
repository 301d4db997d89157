//! What happens by itself: the ends of waits.

use std::time::{Duration, Instant};

use super::{CASCADE, Engine, Turn};
use crate::{
    store::StoreError,
    task::{
        deadline::{self, Ends},
        event::Event,
        id::TaskId,
        moment::Moment,
        state::Task,
        transition::reference,
    },
};

impl Engine {
    /// Sets the waits of attempts that this start of the daemon waited for, and
    /// of which nothing was heard: their limits count, too.
    pub(super) fn set_left_out(&mut self, turn: &Turn) {
        for task in self.tasks.values() {
            if task.live_attempt().is_some() {
                let waits = waits(task, turn.now, turn.moment);
                self.timers.set(task.id, waits);
            }
        }
    }

    /// The wall clock was set, or the machine has slept: what waits for a time
    /// of that clock waits anew.
    pub(super) fn follow_the_wall(&mut self, turn: &Turn) {
        for task in self.tasks.values() {
            if deadline::follows_the_wall(task, turn.moment) {
                self.schedule.update(task, turn.moment);
                self.timers.set(task.id, waits(task, turn.now, turn.moment));
            }
        }
        self.set_account_waits(turn.now, turn.moment);
    }

    /// Does what waits that are over ask for; the rest of very many in the next
    /// turn.
    pub(super) fn take_due(&mut self, turn: &mut Turn) -> Result<(), StoreError> {
        for _ in 0..CASCADE {
            let Some((id, ends)) = self.timers.pop_due(turn.now) else {
                break;
            };
            self.time_is_up(turn, id, ends)?;
        }
        Ok(())
    }

    /// Does what a wait that is over asks for.
    fn time_is_up(&mut self, turn: &mut Turn, id: TaskId, ends: Ends) -> Result<(), StoreError> {
        let Some(task) = self.tasks.get(&id) else {
            return Ok(());
        };
        let live = task.live_attempt();
        let event = match (ends, ends.stop_reason(), live.map(reference)) {
            (Ends::Backoff, _, _) => {
                self.schedule.release(id);
                return Ok(());
            }
            (Ends::Scheduled, _, _) => {
                // The clocks do not run alike: it may have to wait a bit more.
                self.schedule.update(task, turn.moment);
                if deadline::hold_left(task, turn.moment) > 0 {
                    let again = waits(task, turn.now, turn.moment);
                    self.timers.set(id, again);
                }
                return Ok(());
            }
            (Ends::QueueTtl, _, _) => Event::QueueExpired {
                kept_by: self.kept_by(task),
            },
            (
                Ends::WorkspaceTimeout | Ends::StartTimeout | Ends::Timeout | Ends::Budget,
                Some(limit),
                Some(attempt),
            ) => Event::Deadline { attempt, limit },
            (Ends::Stop, _, Some(attempt)) => {
                // Again and again, until it has come to its end.
                let again = waits(task, turn.now, turn.moment);
                self.timers.set(id, again);
                Event::StopOverdue { attempt }
            }
            (
                Ends::WorkspaceTimeout
                | Ends::StartTimeout
                | Ends::Timeout
                | Ends::Budget
                | Ends::Stop,
                _,
                _,
            ) => {
                return Ok(());
            }
        };
        self.apply(turn, id, &event)?;
        Ok(())
    }
}

/// What a task waits for, for the timers of this process.
pub(super) fn waits(task: &Task, now: Instant, moment: Moment) -> [Option<(Instant, Ends)>; 2] {
    deadline::waits(task, moment).map(|wait| {
        let (left, ends) = wait?;
        // Beyond what the clock can show is never.
        Some((now.checked_add(Duration::from_millis(left))?, ends))
    })
}
