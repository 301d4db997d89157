//! One guard an attempt: waits for its runner's end and tidies up after it.
//!
//! ```text
//!  spawned ─► child ended ─┐
//!                          ▼
//!  found ──────────► lock free? ──no──► wait: pidfd, a change, or a while ──┐
//!                      ▲   │                                                │
//!                      └───┼────────────────────────────────────────────────┘
//!                          │yes, or a result that its runner cannot tell
//!                          ▼
//!         result: report it │ none: sweep its tree, report it lost
//!                          ▼
//!                   concluded in the store ─► files put away
//! ```
//!
//! Whatever fails is tried again, after a pause that grows to [`LONGEST`]: a
//! machine that is out of files or memory now may not be so later.
//!
//! A guard that is told nothing any more, since the incarnation has ended, does
//! nothing any more: what it has not heard is the next incarnation's to find out.

use std::{process::ExitStatus, time::Duration};

use tokio::{
    net::unix::pipe::Receiver,
    process::Child,
    sync::watch::{self, error::RecvError},
    time::sleep,
};

use super::{Outbox, Report, Supervisor, launch::why_gone};
use crate::{
    process::{Pinned, Signal},
    spool::{FormatError, LockState},
    task::{
        attempt::{ProcessIdentity, RunResult},
        event::{AttemptRef, Event},
        id::AttemptId,
        reason::FailureReason,
        recovery,
    },
};

/// First and longest pause before another look.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(30);

/// What a guard begins with.
#[derive(Debug)]
pub(super) enum Begin {
    /// A runner that is our child.
    Spawned(Child),
    /// Whatever is there.
    Found,
    /// A runner that is known to be dead and to have left no result.
    Dead(FailureReason),
}

/// What a guard waits for.
enum End {
    /// The runner's result; it may still live.
    Result(RunResult),
    /// The runner is dead and left none.
    Gone,
    /// The attempt has ended in the store, and its files are not needed.
    Concluded,
}

/// What is known of an attempt at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Now {
    /// To its runner, while connected.
    pub(super) outbox: Option<Outbox>,
    /// Its runner, once known.
    pub(super) runner: Option<ProcessIdentity>,
    /// The agent may have been started.
    pub(super) started: bool,
    /// The attempt has ended in the store, and what it left is stored as well.
    pub(super) concluded: bool,
}

/// A pause that grows.
struct Pause(Duration);

impl Pause {
    async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST);
    }
}

impl Supervisor {
    /// Gives the attempt a guard, unless it has one.
    pub(super) fn guard(&self, attempt: AttemptRef, begin: Begin) {
        {
            let mut entries = self.entries();
            let entry = entries.entry(attempt).or_default();
            if std::mem::replace(&mut entry.guarded, true) {
                return;
            }
        }
        self.begin_guard(attempt, begin);
    }

    /// As [`Supervisor::guard`], for an attempt that was given to this guard
    /// when it was begun.
    pub(super) fn begin_guard(&self, attempt: AttemptRef, begin: Begin) {
        let this = self.clone();
        self.track(async move { this.watch_over(attempt, begin).await });
    }

    /// Kills what is left of the tree of a runner that is known to be dead,
    /// and reports it lost.
    pub fn reap(&self, attempt: AttemptRef, reason: FailureReason) {
        self.guard(attempt, Begin::Dead(reason));
    }

    async fn watch_over(&self, attempt: AttemptRef, begin: Begin) {
        let known = self
            .entries()
            .get(&attempt)
            .map(|entry| entry.now.subscribe());
        // The incarnation has ended before the guard came to begin.
        let Some(mut known) = known else { return };
        if self
            .until_concluded(attempt, begin, &mut known)
            .await
            .is_ok()
        {
            self.put_away(attempt).await;
        }
    }

    /// Finds out how the attempt ends, reports it, and waits until that is
    /// stored.
    async fn until_concluded(
        &self,
        attempt: AttemptRef,
        begin: Begin,
        known: &mut watch::Receiver<Now>,
    ) -> Result<(), RecvError> {
        match begin {
            Begin::Spawned(mut child) => {
                let status = child.wait().await.ok();
                // The usual end: nothing is left to find out.
                if !known.borrow().concluded {
                    let end = self.until_ended(attempt, known).await?;
                    self.report_end(attempt, end, status, known).await;
                }
            }
            Begin::Found => {
                let end = self.until_ended(attempt, known).await?;
                self.report_end(attempt, end, None, known).await;
            }
            Begin::Dead(reason) => self.sweep_and_report(attempt, reason).await,
        }
        known.wait_for(|now| now.concluded).await?;
        Ok(())
    }

    async fn report_end(
        &self,
        attempt: AttemptRef,
        end: End,
        status: Option<ExitStatus>,
        known: &watch::Receiver<Now>,
    ) {
        match end {
            End::Result(result) => {
                let outbox = None;
                self.report(Report::Exited {
                    attempt,
                    result,
                    outbox,
                })
                .await;
            }
            End::Gone => {
                let started = known.borrow().started;
                self.report_gone(attempt, started, status).await;
            }
            End::Concluded => {}
        }
    }

    /// Waits until there is nothing more to wait for.
    async fn until_ended(
        &self,
        attempt: AttemptRef,
        known: &mut watch::Receiver<Now>,
    ) -> Result<End, RecvError> {
        let mut pause = Pause(FIRST);
        let mut told = false;
        loop {
            let now = known.borrow_and_update().clone();
            match self.look_at(attempt, &now).await {
                Ok(Some(end)) => return Ok(end),
                Ok(None) => told = false,
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(task = %attempt.id.task, attempt = attempt.id.number, error = %chain(&error), "cannot find out about the attempt; looking again");
                    }
                    pause.wait().await;
                    continue;
                }
            }
            self.until_something(attempt, now, known, &mut pause)
                .await?;
        }
    }

    /// One look at lock and result.
    async fn look_at(&self, attempt: AttemptRef, now: &Now) -> Result<Option<End>, FormatError> {
        let dir = self.shared.state.attempt(attempt.id);
        let lock = {
            let dir = dir.clone();
            self.blocking(move || dir.probe_lock()).await?
        };
        // A runner that is connected tells its result itself.
        if lock == LockState::Held && now.outbox.is_some() {
            return Ok(None);
        }
        let result = self.read_result(dir, attempt).await?;
        Ok(match (result, lock, now.concluded) {
            // Its runner waits for nothing but to hear that, and leaves when
            // its directory is gone.
            (Some(_), _, true) | (None, LockState::Free, true) => Some(End::Concluded),
            (Some(result), _, false) => Some(End::Result(result)),
            (None, LockState::Free, false) => Some(End::Gone),
            (None, LockState::Held, _) => None,
        })
    }

    /// Waits until another look may tell more.
    async fn until_something(
        &self,
        attempt: AttemptRef,
        now: Now,
        known: &mut watch::Receiver<Now>,
        pause: &mut Pause,
    ) -> Result<(), RecvError> {
        let runner = match now.runner {
            Some(runner) => Some(runner),
            None => self.identity_on_disk(attempt).await,
        };
        let watched = runner.is_some();
        let died = async {
            match runner {
                Some(runner) => gone(&runner).await,
                None => std::future::pending().await,
            }
        };
        let hung_up = async {
            match &now.outbox {
                Some(outbox) => outbox.closed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = died => {
                // Its lock may be held by what it was about to start.
                if let Err(error) = ended {
                    tracing::debug!(task = %attempt.id.task, attempt = attempt.id.number, %error, "cannot watch the runner");
                }
                pause.wait().await;
            }
            // A connection that has ended is of no use.
            () = hung_up => self.note(attempt, |now| {
                now.outbox.take_if(|outbox| outbox.is_closed());
            }),
            changed = known.changed() => {
                changed?;
                pause.0 = FIRST;
            }
            // Somebody who is watched and connected needs no second look.
            () = pause.wait(), if !(watched && now.outbox.is_some()) => {}
        }
        Ok(())
    }

    /// The runner is dead and left no result.
    async fn report_gone(&self, attempt: AttemptRef, started: bool, status: Option<ExitStatus>) {
        match (started, status) {
            (true, _) => {
                let dir = self.shared.state.attempt(attempt.id);
                let stopped = self.blocking(move || Ok(dir.was_stopped())).await;
                self.sweep_and_report(attempt, recovery::gone(stopped.unwrap_or(false)))
                    .await;
            }
            (false, None) => self.tell(Event::NeverStarted { attempt }).await,
            (false, status) => {
                let log = self.shared.state.attempt(attempt.id).runner_log();
                let message = why_gone(&log, status);
                let reason = FailureReason::SpawnFailed;
                self.tell(Event::StartFailed {
                    attempt,
                    reason,
                    message,
                })
                .await;
            }
        }
    }

    /// Puts the files of a concluded attempt away.
    async fn put_away(&self, attempt: AttemptRef) {
        let mut pause = Pause(FIRST);
        let mut told = false;
        loop {
            // A runner that still lives and has told its result reads nothing
            // of it any more; one that has not is waited for.
            let state = self.shared.state.clone();
            let put_away = self.blocking(move || {
                let dir = state.attempt(attempt.id);
                let needed = dir.probe_lock()? == LockState::Held && !dir.has_result()?;
                if !needed {
                    state.put_away(attempt.id)?;
                }
                Ok(!needed)
            });
            match put_away.await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(task = %attempt.id.task, attempt = attempt.id.number, %error, "cannot put the attempt's files away; trying again");
                    }
                }
            }
            pause.wait().await;
        }
        self.entries().remove(&attempt);
    }

    /// Kills a runner that does not do what it is told. The kernel ends its
    /// agent with it, and its guard the rest of the tree.
    pub fn end_runner(&self, attempt: AttemptRef) {
        let this = self.clone();
        self.track(async move {
            let known = this.entries().get(&attempt).and_then(|entry| entry.now.borrow().runner.clone());
            let runner = match known {
                Some(runner) => Some(runner),
                None => this.identity_on_disk(attempt).await,
            };
            let Some(runner) = runner else {
                tracing::warn!(task = %attempt.id.task, attempt = attempt.id.number, "nobody knows the attempt's runner");
                return;
            };
            let killed = this.blocking(move || {
                // One that is dead is its guard's, or waits for a person.
                let Some(held) = Pinned::open(&runner)? else {
                    return Ok(());
                };
                tracing::warn!(task = %attempt.id.task, attempt = attempt.id.number, pid = runner.pid, "killing a runner that does not answer");
                held.signal(Signal::KILL)
            });
            if let Err(error) = killed.await {
                tracing::error!(task = %attempt.id.task, attempt = attempt.id.number, %error, "cannot kill the runner");
            }
        });
    }

    /// Ends what a runner left that the store knows nothing of, for example
    /// after an older store was put back. Its files stay.
    pub fn fence(&self, attempt: AttemptId) {
        self.shared.metrics.fenced();
        let this = self.clone();
        // Now, not once its lock is free: the number may be given again by then,
        // and that one's processes are not to be ended.
        let launch = self.shared.state.attempt(attempt).read_launch().ok();
        self.track(async move {
            tracing::warn!(task = %attempt.task, attempt = attempt.number, "the store does not know this attempt; its files stay");
            let mut pause = Pause(FIRST);
            loop {
                let dir = this.shared.state.attempt(attempt);
                let probed = this.blocking(move || dir.probe_lock()).await;
                match probed {
                    Ok(LockState::Free) => break,
                    // It is told so when it registers.
                    Ok(LockState::Held) => {}
                    Err(error) => tracing::warn!(task = %attempt.task, attempt = attempt.number, %error, "cannot look at its runner"),
                }
                pause.wait().await;
            }
            if let Some(launch) = launch {
                let nonce = launch.nonce;
                this.sweep(AttemptRef { id: attempt, nonce }).await;
            }
        });
    }

    /// The runner's own note of who it is, if it was made in this boot.
    async fn identity_on_disk(&self, attempt: AttemptRef) -> Option<ProcessIdentity> {
        let dir = self.shared.state.attempt(attempt.id);
        let read = self.blocking(move || dir.read_identity()).await;
        read.ok()
            .flatten()
            .filter(|runner| runner.boot_id == self.shared.boot_id)
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Waits for the end of a process.
async fn gone(process: &ProcessIdentity) -> std::io::Result<()> {
    let Some(held) = Pinned::open(process)? else {
        return Ok(());
    };
    // A pidfd is waited for as a pipe is: only its readiness is asked for.
    Receiver::from_owned_fd_unchecked(held.into())?
        .readable()
        .await
}

#[cfg(test)]
mod tests;
