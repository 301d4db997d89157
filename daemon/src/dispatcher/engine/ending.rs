//! The daemon's end, once somebody has asked for it.

use std::{collections::VecDeque, time::Instant};

use super::{CASCADE, Engine};
use crate::{
    dispatcher::{
        handle::{CancelOrder, Reply, ShutDown},
        overview::Phase,
        turn::{Act, Turn},
    },
    store::StoreError,
    task::id::TaskId,
};

/// What the loop's end waits for. It lasts longer than one life: that the store
/// fails meanwhile is no reason to dispatch again.
#[derive(Debug, Default)]
pub(in crate::dispatcher) struct Ending {
    /// Nothing is waited for.
    leave: bool,
    /// When the loop ends though attempts are running.
    until: Option<Instant>,
    /// All tasks are to be cancelled first.
    cancels: bool,
    /// Who asked, and waits.
    asked: Vec<Reply<u64>>,
}

impl Ending {
    /// When it is over, whatever goes on.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether nothing is waited for any more.
    pub(in crate::dispatcher) fn is_over(&self, now: Instant) -> bool {
        self.leave || self.until.is_some_and(|until| until <= now)
    }

    /// Tells who asked how many agents go on.
    pub(in crate::dispatcher) fn answer(self, running: u64) {
        for reply in self.asked {
            // Who asked may have gone.
            reply.send(running).ok();
        }
    }
}

/// Tasks that are to be cancelled and are not yet.
pub(super) type ToCancel = VecDeque<TaskId>;

impl Engine {
    /// Nothing new is dispatched from now on.
    pub(super) fn shut_down(&mut self, turn: &Turn, how: ShutDown, reply: Reply<u64>) {
        let mut ending = self.ending.take().unwrap_or_default();
        ending.asked.push(reply);
        match how {
            ShutDown::Leave => ending.leave = true,
            ShutDown::Drain(limit) => {
                ending.until = limit.and_then(|limit| turn.now.checked_add(limit));
            }
            ShutDown::CancelAll => {
                ending.until = None;
                ending.cancels = true;
            }
        }
        self.go_on_ending(ending);
    }

    /// Goes on with an end that was asked for, in this life or an earlier one.
    pub(in crate::dispatcher) fn go_on_ending(&mut self, ending: Ending) {
        self.phase = Phase::Draining;
        if ending.cancels {
            let mut ids: Vec<_> = self.tasks.keys().copied().collect();
            ids.sort_unstable();
            self.to_cancel = ids.into();
        }
        self.ending = Some(ending);
    }

    /// The end that was asked for in this life, for the next one.
    pub(in crate::dispatcher) fn take_ending(&mut self) -> Option<Ending> {
        self.ending.take()
    }

    /// Cancels what is to be cancelled before the end; the rest follows in the
    /// next turn.
    pub(super) fn cancel_all(&mut self, turn: &mut Turn) -> Result<(), StoreError> {
        // One that is being stopped keeps its grace.
        let order = CancelOrder {
            forced: false,
            repeated: true,
        };
        for _ in 0..CASCADE {
            let Some(id) = self.to_cancel.pop_front() else {
                break;
            };
            self.cancel(turn, id, "shutdown".to_owned(), order)?;
        }
        Ok(())
    }

    /// Ends the loop if nothing more is waited for.
    pub(super) fn end_if_over(&mut self, now: Instant) {
        let drained = self.to_cancel.is_empty() && self.schedule.occupied() == 0;
        let ending = self.ending.as_ref();
        if ending.is_some_and(|ending| drained || ending.is_over(now)) {
            self.phase = Phase::Stopping;
        }
    }

    /// Tells of the loop's end, once its last turn is durable.
    pub(super) fn tell_end(&mut self, acts: &mut Vec<Act>) {
        let running = u64::from(self.schedule.occupied());
        if let Some(ending) = self.ending.take_if(|_| self.phase == Phase::Stopping) {
            acts.push(Act::Reply(Box::new(move || ending.answer(running))));
        }
    }
}
