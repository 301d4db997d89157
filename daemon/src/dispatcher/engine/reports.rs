//! What processes report, and what a start of the daemon finds.

use super::Engine;
use crate::{
    agents,
    config::ABORT_CODE,
    dispatcher::{
        overview::Phase,
        recovery::Step,
        turn::{Act, Turn},
    },
    store::{Entry, StoreError},
    supervisor::{Outbox, Report, Seen},
    task::{
        attempt::{Attempt, Changes, Phase::Claimed, RunResult},
        event::{AttemptRef, Event, What},
        id::TaskId,
        limits::{MAX_MESSAGE, clip},
        moment::Moment,
        recovery::Finding,
        spec::AgentType,
        transition::{attempt_of, reference},
    },
};

impl Engine {
    pub(super) fn hear(&mut self, turn: &mut Turn, report: Report) -> Result<(), StoreError> {
        match report {
            Report::Examined { attempt, seen } => self.examined(turn, attempt, seen)?,
            Report::Exited {
                attempt,
                result,
                outbox,
            } => self.exited(turn, attempt, result, outbox)?,
            Report::Registered {
                attempt,
                runner,
                stage,
                outbox,
            } => {
                // Of an attempt that has been registered before, an earlier
                // incarnation may have started the agent.
                let live = self.live(attempt);
                let started = live.is_some_and(|live| live.phase != Claimed);
                let event = Event::Registered {
                    attempt,
                    runner: runner.clone(),
                    stage,
                    adopted: self.recovery.awaits(attempt.id),
                };
                let before = turn.acts.len();
                if self.apply(turn, attempt.id.task, &event)? {
                    self.recovery.adopted(attempt.id);
                    // The answer goes the way that is made first.
                    let connected = Act::Connected {
                        attempt,
                        runner,
                        started,
                        outbox,
                    };
                    turn.acts.insert(before, connected);
                } else {
                    turn.acts.push(Act::Dismiss {
                        outbox,
                        has_result: false,
                    });
                }
            }
            Report::Prepared {
                attempt,
                workspace,
                given,
                durable,
            } => {
                let event = Event::Prepared {
                    attempt,
                    workspace,
                    given,
                };
                self.apply(turn, attempt.id.task, &event)?;
                // The runner is spawned after that, so that none ever goes on
                // with a session that the store does not know it has.
                let live = self.live(attempt).is_some();
                turn.reply(durable, live);
            }
            Report::Closed { attempt, changes } => self.closed(turn, attempt, changes)?,
            Report::Event(event) => {
                if let Some(named) = attempt_of(&event) {
                    self.apply(turn, named.id.task, &event)?;
                }
            }
        }
        Ok(())
    }

    /// The task's agent type, and the exit code with which it declines.
    fn agent_of(&self, task: TaskId) -> (AgentType, i32) {
        let task = self.tasks.get(&task);
        let agent = task.and_then(|task| self.parts.config.agent(&task.spec.agent));
        let agent_type = task.map_or(AgentType::Command, |task| task.spec.agent_type);
        (
            agent_type,
            agent.map_or(ABORT_CODE, |agent| agent.abort_code),
        )
    }

    fn exited(
        &mut self,
        turn: &mut Turn,
        attempt: AttemptRef,
        result: RunResult,
        outbox: Option<Outbox>,
    ) -> Result<(), StoreError> {
        let (agent_type, abort_code) = self.agent_of(attempt.id.task);
        let live = self.live(attempt);
        let mut known = live.map(|live| live.observed.clone()).unwrap_or_default();
        known.take((*result.observed).clone());
        if let Some(live) = live {
            known.take(live.reported.clone());
        }
        let event = Event::Exited {
            attempt,
            verdict: agents::classify(agent_type, abort_code, &result, &known),
            result,
        };
        let taken = self.apply(turn, attempt.id.task, &event)?;
        match outbox {
            Some(outbox) => turn.acts.push(Act::Dismiss {
                outbox,
                has_result: true,
            }),
            None if !taken => turn.acts.push(Act::Acknowledge(attempt)),
            None => {}
        }
        Ok(())
    }

    fn examined(
        &mut self,
        turn: &mut Turn,
        attempt: AttemptRef,
        seen: Option<Seen>,
    ) -> Result<(), StoreError> {
        let finding = seen.as_ref().map(|seen| seen.finding);
        self.recovery.examined(attempt, finding);
        let Some(live) = self.live(attempt).cloned() else {
            return Ok(());
        };
        match (finding, seen.and_then(|seen| seen.result)) {
            (Some(Finding::Finish), Some(result)) => {
                log(&live, "finished with the result on disk", turn.moment);
                self.exited(turn, attempt, result, None)?;
            }
            (Some(Finding::NeverStarted), _) if live.phase == Claimed => {
                log(&live, "never started; queued again", turn.moment);
                self.apply(turn, attempt.id.task, &Event::NeverStarted { attempt })?;
            }
            // The step that follows knows whether it is believed.
            (Some(Finding::Reap(_)), _) => {}
            // One that was not believed is of a claim whose runner has
            // registered since the store was read: its agent may run.
            (Some(Finding::Adopt | Finding::Finish | Finding::NeverStarted) | None, _) => {
                turn.acts.push(Act::Adopt(Box::new(live)));
            }
        }
        Ok(())
    }

    /// Writes what an attempt has left in its workspace, and has its files put
    /// away. The task may have ended, or be on with its next attempt.
    fn closed(
        &mut self,
        turn: &mut Turn,
        named: AttemptRef,
        changes: Option<Changes>,
    ) -> Result<(), StoreError> {
        turn.acts.push(Act::Conclude(named));
        let id = named.id.task;
        let known = turn.batch.attempt(named.id)?;
        let known = known.filter(|attempt| reference(attempt) == named);
        let attempt = known.as_ref().zip(changes);
        let attempt = attempt.and_then(|(known, changes)| known.with_changes(changes));
        let (Some(attempt), Some(mut before)) = (attempt, turn.batch.task(id)?) else {
            return Ok(());
        };
        let mut task = before.clone();
        task.attempt = Some(attempt);
        // It had ended before: its session does not count what it used again.
        before.attempt = known;
        let why = task.attempt.as_ref().map(left).unwrap_or_default();
        let entry = Entry {
            at: turn.wall,
            what: What::WorkspaceLeft,
            why: &why,
        };
        turn.batch.put(Some(&before), &mut task, &entry)?;
        // What is in memory is what is in the store.
        if let Some(active) = self.tasks.get_mut(&id) {
            active.revision = task.revision;
            if active.attempt.as_ref().map(reference) == Some(named) {
                active.attempt = task.attempt;
            }
        }
        Ok(())
    }

    /// The attempt, if it is the live one of its task.
    fn live(&self, attempt: AttemptRef) -> Option<&Attempt> {
        let live = self.tasks.get(&attempt.id.task)?.live_attempt()?;
        (reference(live) == attempt).then_some(live)
    }

    /// Goes on with the recovery as far as what was found allows.
    pub(super) fn recover(&mut self, turn: &mut Turn) {
        loop {
            match self.recovery.step(turn.now) {
                Step::Wait => return,
                Step::Hold => {
                    let counts = self.recovery.counts;
                    tracing::error!(
                        dead = counts.held,
                        total = counts.total,
                        "[recovery] most attempts look dead at once though the machine was not restarted; nothing is done about them: see that no agentd-runner of this state directory lives, then agentctl recover --confirm"
                    );
                    return;
                }
                Step::Reap(dead) => {
                    for (attempt, reason) in dead {
                        if let Some(live) = self.live(attempt) {
                            log(live, "its runner is dead; ending what it left", turn.moment);
                            turn.acts.push(Act::Reap(attempt, reason));
                        }
                    }
                }
                Step::Over(unknown) => {
                    for attempt in unknown {
                        tracing::warn!(
                            task = %attempt.task, attempt = attempt.number,
                            "[recovery] task {} attempt {}: unknown: its runner seems alive but has not registered; left as it is",
                            attempt.task, attempt.number
                        );
                    }
                    self.set_left_out(turn);
                    if self.phase == Phase::Recovering {
                        self.phase = Phase::Ready;
                    }
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
        }
    }
}

/// What an attempt left in its workspace, in words.
fn left(attempt: &Attempt) -> String {
    let Some(changes) = &attempt.changes else {
        return String::new();
    };
    let mut parts = Vec::new();
    if attempt.changed_nothing() {
        parts.push("no changes".to_owned());
    }
    for (number, one, many) in [
        (changes.commits, "commit", "commits"),
        (changes.files, "file changed", "files changed"),
        (changes.uncommitted, "not committed", "not committed"),
        (changes.conflicts, "conflict", "conflicts"),
    ] {
        match number {
            0 => {}
            1 => parts.push(format!("1 {one}")),
            number => parts.push(format!("{number} {many}")),
        }
    }
    if let Some(name) = &changes.recorded {
        parts.push(format!("recorded as {name}"));
    }
    if !changes.left_out.is_empty() {
        parts.push(format!("not recorded: {}", changes.left_out));
    }
    clip(&parts.join(", "), MAX_MESSAGE)
}

/// A line of the recovery; its fields make it a part of the task's story.
pub(super) fn log(attempt: &Attempt, what: &str, now: Moment) {
    let since = attempt.started_at.unwrap_or(attempt.claimed_at);
    let minutes = now.millis_since(since) / 60_000;
    tracing::info!(
        task = %attempt.id.task, attempt = attempt.id.number,
        "[recovery] task {} attempt {}: {what} ({} for {minutes} min)",
        attempt.id.task,
        attempt.id.number,
        if attempt.started_at.is_some() {
            "running"
        } else {
            "starting"
        },
    );
}
