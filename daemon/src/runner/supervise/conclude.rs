//! The end of the agent: what has ended is waited for, what is left is ended,
//! and the result is put in place.

use std::time::{Duration, Instant};

use super::{Next, Supervisor};
use crate::{
    clock, process,
    runner::{
        agent, log,
        machine::{End, Event, SetupFailure},
    },
    task::{
        attempt::{Run, RunResult, Status},
        limits::span,
    },
};

/// First and longest pause before a result that could not be put in place is
/// tried again.
const STORE_AGAIN: Duration = Duration::from_secs(1);
const STORE_AGAIN_MAX: Duration = Duration::from_secs(30);

/// How long a process is waited for that is not below us and was killed in the
/// agent's control group. Nothing else happens in that time.
const LAST_KILL: Duration = Duration::from_secs(2);

/// A result that is not in place yet.
pub(super) struct Unstored {
    result: RunResult,
    pub(super) again: Instant,
    pause: Duration,
}

impl Supervisor {
    /// Waits for what has ended of the tree; `next` is what may follow.
    pub(super) fn reap(&mut self, next: Next) -> Option<Event> {
        let main = self.main;
        match agent::reap(main) {
            Ok(reaped) => Some(Event::Reaped {
                main: reaped.main,
                empty: reaped.empty,
                stale: reaped.empty
                    && main.is_some()
                    && next == Next::Afresh
                    && self.launch.fallback.is_some()
                    && !self.machine.sets_up()
                    && self.output.is_stale(),
            }),
            Err(error) => {
                log("cannot wait for the agent's processes", &error);
                None
            }
        }
    }

    /// The tree is gone as far as we are its parent: proves by its control
    /// group that nothing is left, and removes that. How many processes are, and
    /// whether memory ran out in it.
    pub(super) fn close_leaf(&mut self) -> (usize, bool) {
        let Some(leaf) = self.leaf.take() else {
            return (0, false);
        };
        let oom_killed = leaf.oom_kills().is_some_and(|kills| kills > 0);
        let closed = match leaf.is_populated() {
            Ok(false) => Ok(true),
            Ok(true) => leaf.kill().and_then(|()| leaf.wait_empty(LAST_KILL)),
            Err(error) => Err(error),
        };
        let closed = closed.and_then(|empty| match empty {
            true => leaf.remove().map(|()| 0),
            false => Ok(1),
        });
        let left = closed.unwrap_or_else(|error| {
            log("cannot end the agent's control group", &error);
            0
        });
        (left, oom_killed)
    }

    pub(super) fn conclude(&mut self, end: End) {
        let (outside, oom_killed) = self.close_leaf();
        let setup = match &end {
            End::SetupFailed(failure) => self.why_not_set_up(failure, oom_killed),
            End::NotStarted | End::SpawnFailed { .. } | End::Exited(_) => String::new(),
        };
        self.output.finish();
        let left_over = process::descendants(std::process::id()).map_or(0, |left| left.len());
        let left_over = left_over.max(outside);
        let run = match end {
            End::NotStarted => Run::NotStarted,
            End::SpawnFailed { message, missing } => Run::SpawnFailed {
                message: match self.machine.sets_up() {
                    true => format!("setup: {message}"),
                    false => message,
                },
                missing,
            },
            End::SetupFailed(_) => Run::SetupFailed { message: setup },
            End::Exited(status) => Run::Exited {
                started_at: self
                    .agent
                    .as_ref()
                    .map_or_else(clock::now, |agent| agent.at.wall),
                exit: agent::exit(status, oom_killed),
            },
        };
        let result = RunResult {
            run,
            ended_at: clock::now(),
            left_over: u32::try_from(left_over).unwrap_or(u32::MAX),
            by_itself: self.machine.ended_by_itself(),
            lingered: self.machine.lingered(),
            observed: Box::new(self.output.seen().observed.clone()),
        };
        self.unstored = Some(Unstored {
            result: result.clone(),
            again: Instant::now(),
            pause: STORE_AGAIN,
        });
        self.store();
        self.link.result(result);
    }

    /// The service manager has ended the attempt, which has no result of its own.
    pub(super) fn say_evicted(&mut self) {
        self.output.finish();
        crashpoint!("runner.evicted");
        if let Err(error) = self.dir.write_stopped() {
            log("cannot say that the service manager ended it", &error);
        }
    }

    /// Why the repository is not set up, in a note and for the attempt's message.
    fn why_not_set_up(&mut self, failure: &SetupFailure, oom_killed: bool) -> String {
        let Some(setup) = &self.launch.setup else {
            return "there is nothing to set it up with".to_owned();
        };
        let mut why = match failure {
            SetupFailure::NotStarted { message } => message.clone(),
            SetupFailure::Ended(Status::Code(code)) => format!("exit code {code}"),
            SetupFailure::Ended(Status::Signal { number, .. }) => {
                format!("killed by signal {number}")
            }
            SetupFailure::Overdue => {
                format!("not done within {}, its setup_timeout", span(setup.limit))
            }
            SetupFailure::LeftOver => "a process of it could not be ended".to_owned(),
        };
        if oom_killed {
            why.push_str(", after memory ran out");
        }
        let message = format!(
            "setup `{}`: {why}; agentctl logs {} shows what it printed",
            setup.words(),
            self.launch.attempt
        );
        self.output.note(&format!("setup: {why}"));
        message
    }

    /// Puts the result in place. If the disk refuses it, it is tried again for
    /// as long as the runner lives, which is until it is acknowledged.
    pub(super) fn store(&mut self) {
        let Some(mut unstored) = self.unstored.take() else {
            return;
        };
        if let Err(error) = self.dir.write_result(self.launch.nonce, &unstored.result) {
            log("cannot put the result in place", &error);
            unstored.again = Instant::now() + unstored.pause;
            unstored.pause = (unstored.pause * 2).min(STORE_AGAIN_MAX);
            self.unstored = Some(unstored);
        }
    }
}
