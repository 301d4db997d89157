//! Looking at an attempt from outside: its lock, its result, its tree.

use std::{io, time::Duration};

use super::{Report, Supervisor, reap::end_tree};
use crate::{
    spool::{AttemptDir, FormatError, LockState},
    task::{
        attempt::{Attempt, RunResult},
        event::{AttemptRef, Event},
        reason::FailureReason,
        recovery::{Finding, Sighting, judge},
        transition::reference,
    },
};

/// How long one sweep goes on before it says what it has not ended.
const SWEEP: Duration = Duration::from_secs(5);
/// How long the first look at one attempt may take: one that hangs must not
/// hold up the others.
const LOOK: Duration = Duration::from_secs(5);

/// What a look at an attempt found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What to do with it.
    pub finding: Finding,
    /// Its result, if there is one.
    pub result: Option<RunResult>,
}

impl Supervisor {
    /// Looks at an attempt that the store says is active and that this
    /// incarnation has not started, and reports what it found.
    pub fn examine(&self, attempt: Attempt) {
        let this = self.clone();
        self.track(async move {
            let looked = tokio::time::timeout(LOOK, this.look(&attempt)).await;
            let seen = match looked {
                Ok(Ok(seen)) => Some(seen),
                Ok(Err(error)) => {
                    tracing::warn!(task = %attempt.id.task, attempt = attempt.id.number, %error, "cannot find out about the attempt");
                    None
                }
                Err(_) => {
                    tracing::warn!(task = %attempt.id.task, attempt = attempt.id.number, "finding out about the attempt takes too long");
                    None
                }
            };
            let attempt = reference(&attempt);
            this.report(Report::Examined { attempt, seen }).await;
        });
    }

    async fn look(&self, attempt: &Attempt) -> Result<Seen, FormatError> {
        let dir = self.shared.state.attempt(attempt.id);
        let (lock, stopped) = {
            let dir = dir.clone();
            let look = move || Ok((dir.probe_lock()?, dir.was_stopped()));
            self.blocking(look).await?
        };
        let result = self.read_result(dir, reference(attempt)).await?;
        let seen = Sighting {
            locked: lock == LockState::Held,
            result: result.is_some(),
            stopped,
            same_boot: attempt.boot_id == self.shared.boot_id,
        };
        Ok(Seen {
            finding: judge(attempt.phase, seen),
            result,
        })
    }

    /// The result on disk. One that is torn or another runner's is none; one
    /// that cannot be read, or not yet understood, is an error.
    pub(super) async fn read_result(
        &self,
        dir: AttemptDir,
        attempt: AttemptRef,
    ) -> Result<Option<RunResult>, FormatError> {
        let read = self
            .shared
            .tracker
            .spawn_blocking(move || dir.read_result(attempt.nonce));
        match read.await.map_err(|error| FormatError::Io(error.into()))? {
            Err(error @ (FormatError::Malformed(_) | FormatError::Nonce)) => {
                tracing::warn!(task = %attempt.id.task, attempt = attempt.id.number, %error, "the result cannot be used");
                Ok(None)
            }
            read => read,
        }
    }

    /// Kills what is left of the tree of a dead runner and reports it lost.
    pub(super) async fn sweep_and_report(&self, attempt: AttemptRef, reason: FailureReason) {
        // Nothing outlives a boot.
        if reason != FailureReason::HostRebooted {
            self.sweep(attempt).await;
        }
        self.tell(Event::Lost { attempt, reason }).await;
    }

    /// Kills what is left of the tree of a dead runner, until nothing is.
    pub(super) async fn sweep(&self, attempt: AttemptRef) {
        crashpoint!("supervisor.reap.before");
        loop {
            let state = self.shared.state.clone();
            match self
                .blocking(move || end_tree(&state, attempt, SWEEP))
                .await
            {
                Ok(swept) if swept.left == 0 => break,
                Ok(swept) => tracing::error!(
                    task = %attempt.id.task, attempt = attempt.id.number,
                    left = swept.left,
                    "processes of a dead attempt cannot be ended; trying again"
                ),
                Err(error) => {
                    tracing::error!(task = %attempt.id.task, attempt = attempt.id.number, %error, "cannot sweep; trying again");
                }
            }
            tokio::time::sleep(SWEEP).await;
        }
        crashpoint!("supervisor.reap.after");
    }

    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.shared.tracker.spawn_blocking(act).await?
    }
}
