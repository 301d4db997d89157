//! Finding out what became of an attempt: its lock, its result, its tree.

use std::{io, process::ExitStatus, time::Duration};

use tokio::net::unix::pipe::Receiver;

use super::{Report, Supervisor, launch::why_gone};
use crate::{
    process::{Marker, Pinned, sweep_marked},
    spool::{AttemptDir, FormatError, LockState},
    task::{
        attempt::{Attempt, ProcessIdentity, RunResult},
        event::{AttemptRef, Event},
        id::AttemptId,
        reason::FailureReason,
        recovery::{Finding, Sighting, judge},
        transition::reference,
    },
};

/// How long one sweep goes on before it says what it has not ended.
const SWEEP: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Finds out about an attempt that the store says is active and that this
    /// incarnation has not started, reports the finding and what follows.
    pub fn examine(&self, attempt: Attempt) {
        let this = self.clone();
        self.shared.tracker.spawn(async move {
            let named = reference(&attempt);
            let examined = this.look(&attempt).await;
            let finding = match &examined {
                Ok((finding, _)) => Some(*finding),
                Err(error) => {
                    tracing::warn!(attempt = %attempt.id, %error, "cannot find out about the attempt");
                    None
                }
            };
            this.report(Report::Examined {
                attempt: attempt.id,
                finding,
            })
            .await;
            if let Ok((finding, result)) = examined {
                this.follow(&attempt, named, finding, result).await;
            }
        });
    }

    /// Puts the files of attempts away that ended while nobody was left to do
    /// it. A runner that still lives keeps its own: it is dismissed when it
    /// registers, and the next start of the daemon meets them again.
    pub fn tidy(&self, ended: Vec<AttemptId>) {
        let state = self.shared.state.clone();
        self.shared.tracker.spawn_blocking(move || {
            for attempt in ended {
                let put_away = match state.attempt(attempt).probe_lock() {
                    Ok(LockState::Free) => state.put_away(attempt),
                    Ok(LockState::Held) => Ok(()),
                    Err(error) => Err(error),
                };
                if let Err(error) = put_away {
                    tracing::warn!(%attempt, %error, "cannot put the attempt's files away");
                }
            }
        });
    }

    /// The attempts whose files are among those under way.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn attempts_present(&self) -> io::Result<Vec<AttemptId>> {
        self.shared.state.attempts_present()
    }

    async fn follow(
        &self,
        attempt: &Attempt,
        named: AttemptRef,
        finding: Finding,
        result: Option<RunResult>,
    ) {
        match (finding, result) {
            // It registers by itself. If we know who it is, see its end, too.
            (Finding::Adopt, _) => {
                if let Some(runner) = attempt.runner.clone() {
                    self.watch(named, runner);
                }
            }
            (Finding::Finish, Some(result)) => {
                self.report(Report::Exited {
                    attempt: named,
                    result,
                })
                .await;
            }
            (Finding::Finish, None) => {}
            (Finding::Reap(reason), _) => self.reap(named, reason).await,
            (Finding::NeverStarted, _) => {
                self.report(Report::Event(Event::NeverStarted { attempt: named }))
                    .await;
            }
        }
    }

    /// Watches a runner that is not our child, and acts on its end.
    pub fn watch(&self, attempt: AttemptRef, runner: ProcessIdentity) {
        {
            let mut entries = self.entries();
            let entry = entries.entry(attempt).or_default();
            if std::mem::replace(&mut entry.watched, true) {
                return;
            }
            entry.started = true;
        }
        let this = self.clone();
        self.shared.tracker.spawn(async move {
            match gone(&runner).await {
                Ok(()) => this.runner_gone(attempt, None).await,
                Err(error) => {
                    tracing::warn!(attempt = %attempt.id, %error, "cannot watch the runner");
                    if let Some(entry) = this.entries().get_mut(&attempt) {
                        entry.watched = false;
                    }
                }
            }
        });
    }

    /// The runner's process has ended.
    pub(super) async fn runner_gone(&self, attempt: AttemptRef, status: Option<ExitStatus>) {
        let (concluded, started) = {
            let mut entries = self.entries();
            let Some(entry) = entries.get_mut(&attempt) else {
                return;
            };
            entry.watched = false;
            entry.outbox = None;
            (entry.concluded, entry.started)
        };
        if concluded {
            self.put_away(attempt);
            return;
        }
        let dir = self.shared.state.attempt(attempt.id);
        match self.read_result(dir.clone(), attempt).await {
            Ok(Some(result)) => self.report(Report::Exited { attempt, result }).await,
            Ok(None) if !started => {
                let why = why_gone(&dir.runner_log(), status);
                self.start_failed(attempt, FailureReason::SpawnFailed, why)
                    .await;
            }
            Ok(None) => self.reap(attempt, FailureReason::RunnerLost).await,
            Err(error) => {
                tracing::warn!(attempt = %attempt.id, %error, "the result cannot be used");
                self.reap(attempt, FailureReason::RunnerLost).await;
            }
        }
    }

    /// Kills what is left of the tree of a dead runner, until nothing is.
    async fn reap(&self, attempt: AttemptRef, reason: FailureReason) {
        let marker = Marker::new(attempt.id, attempt.nonce);
        if reason != FailureReason::HostRebooted {
            loop {
                let marker = marker.clone();
                let swept = self.blocking(move || sweep_marked(&marker, SWEEP)).await;
                match swept {
                    Ok(swept) if swept.left == 0 => break,
                    Ok(swept) => tracing::error!(
                        attempt = %attempt.id,
                        left = swept.left,
                        "processes of a dead attempt cannot be ended; trying again"
                    ),
                    Err(error) => {
                        tracing::error!(attempt = %attempt.id, %error, "cannot sweep; trying again");
                    }
                }
                tokio::time::sleep(SWEEP).await;
            }
        }
        self.report(Report::Event(Event::Lost { attempt, reason }))
            .await;
    }

    async fn look(&self, attempt: &Attempt) -> io::Result<(Finding, Option<RunResult>)> {
        let dir = self.shared.state.attempt(attempt.id);
        let named = reference(attempt);
        let lock = {
            let dir = dir.clone();
            self.blocking(move || dir.probe_lock()).await?
        };
        let result = match self.read_result(dir, named).await {
            Ok(result) => result,
            Err(FormatError::Io(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(attempt = %attempt.id, %error, "the result cannot be used");
                None
            }
        };
        let seen = Sighting {
            locked: lock == LockState::Held,
            result: result.is_some(),
            same_boot: attempt.boot_id == self.shared.boot_id,
        };
        Ok((judge(attempt.phase, seen), result))
    }

    async fn read_result(
        &self,
        dir: AttemptDir,
        attempt: AttemptRef,
    ) -> Result<Option<RunResult>, FormatError> {
        let read = self
            .shared
            .tracker
            .spawn_blocking(move || dir.read_result(attempt.nonce));
        read.await.map_err(|error| FormatError::Io(error.into()))?
    }

    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.shared.tracker.spawn_blocking(act).await?
    }
}

/// Waits for the end of a process.
async fn gone(process: &ProcessIdentity) -> io::Result<()> {
    let Some(held) = Pinned::open(process)? else {
        return Ok(());
    };
    // A pidfd is waited for as a pipe is: only its readiness is asked for.
    Receiver::from_owned_fd_unchecked(held.into())?
        .readable()
        .await
}
