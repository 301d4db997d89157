//! What processes report, and what a start of the daemon finds.

use super::{Act, Engine, Turn};
use crate::{
    agents,
    config::ABORT_CODE,
    dispatcher::overview::Phase,
    store::StoreError,
    supervisor::Report,
    task::{event::Event, id::TaskId, transition::attempt_of},
};

impl Engine {
    pub(super) fn hear(&mut self, turn: &mut Turn, report: Report) -> Result<(), StoreError> {
        match report {
            Report::Examined { attempt, finding } => {
                tracing::info!(task = %attempt.task, attempt = attempt.number, ?finding, "[recovery] examined");
                self.recovery.examined(attempt, finding);
            }
            Report::Exited { attempt, result } => {
                let abort_code = self.abort_code(attempt.id.task);
                let event = Event::Exited {
                    attempt,
                    verdict: agents::classify(abort_code, &result.run),
                    result,
                };
                if !self.apply(turn, attempt.id.task, &event)? {
                    turn.acts.push(Act::Dismiss {
                        attempt,
                        has_result: true,
                    });
                }
            }
            Report::Event(Event::Registered {
                attempt,
                runner,
                stage,
                ..
            }) => {
                let adopted = self.recovery.awaits(attempt.id);
                let event = Event::Registered {
                    attempt,
                    runner,
                    stage,
                    adopted,
                };
                if !self.apply(turn, attempt.id.task, &event)? {
                    turn.acts.push(Act::Dismiss {
                        attempt,
                        has_result: false,
                    });
                } else if self.recovery.adopted(attempt.id)
                    && let Some(task) = self.tasks.get(&attempt.id.task)
                    && let Some(live) = task.live_attempt()
                {
                    turn.acts.push(Act::Watch(Box::new(live.clone())));
                }
            }
            Report::Event(event) => {
                if let Some(named) = attempt_of(&event) {
                    self.apply(turn, named.id.task, &event)?;
                }
            }
        }
        Ok(())
    }

    fn abort_code(&self, task: TaskId) -> i32 {
        let task = self.tasks.get(&task);
        let agent = task.and_then(|task| self.parts.config.agent(&task.spec.agent));
        agent.map_or(ABORT_CODE, |agent| agent.abort_code)
    }

    pub(super) fn recover(&mut self, turn: &mut Turn) {
        if self.phase != Phase::Recovering {
            return;
        }
        if self.recover_until.is_some_and(|until| until <= turn.now) {
            for attempt in self.recovery.give_up() {
                tracing::warn!(
                    task = %attempt.task, attempt = attempt.number,
                    "[recovery] its runner seems alive but has not registered; left as it is"
                );
            }
        } else if !self.recovery.is_over() {
            return;
        }
        self.recover_until = None;
        self.phase = Phase::Ready;
        let counts = self.recovery.counts;
        tracing::info!(
            adopted = counts.adopted,
            finished = counts.finished,
            reaped = counts.reaped,
            never_started = counts.never_started,
            unknown = counts.unknown,
            "[recovery] over"
        );
    }
}
