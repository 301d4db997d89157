//! What an ended attempt left in its workspace is recorded before anything
//! else happens there.
//!
//! ```text
//! the end is stored ─► workspace looked at ─► what was found is stored ─► files put away
//! ```
//!
//! If the daemon dies on the way, the files of the attempt are still among
//! those under way, and the next incarnation begins this anew. No attempt of
//! the repository is given a workspace meanwhile: a [`Gate`] of it is shut.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    supervisor::{Report, Supervisor},
    task::{
        attempt::{Attempt, Changes, Workspace},
        event::AttemptRef,
        transition::reference,
    },
    workspace::{self, Ended},
};

/// An attempt that has ended, and where it worked.
#[derive(Debug)]
pub(super) struct Closing {
    attempt: AttemptRef,
    /// None without a repository, and once it was looked at.
    place: Option<(Workspace, PathBuf)>,
}

impl Closing {
    pub(super) fn of(attempt: &Attempt, repo: Option<PathBuf>) -> Self {
        let place = attempt.workspace.clone().zip(repo);
        Self {
            attempt: reference(attempt),
            place: place.filter(|_| attempt.changes.is_none()),
        }
    }

    /// Looks at the workspace and reports what was found. Without one the
    /// attempt's files can be put away at once.
    pub(super) fn close(self, supervisor: &Supervisor, gates: &mut Gates) {
        crashpoint!("dispatcher.close");
        let attempt = self.attempt;
        let Some((workspace, repo)) = self.place else {
            supervisor.conclude(attempt);
            return;
        };
        let gate = gates.shut(repo.clone());
        let ended = Ended {
            attempt: attempt.id,
            workspace,
            repo,
            state_dir: supervisor.state_dir().to_owned(),
        };
        let (reporter, end) = (supervisor.clone(), supervisor.end());
        supervisor.track(async move {
            let looking = tokio::task::spawn_blocking(move || {
                // Opened when nothing of this is under way any more.
                let _gate = gate;
                look(&ended, &end)
            });
            let changes = looking.await.unwrap_or_else(|error| {
                tracing::error!(task = %attempt.id.task, attempt = attempt.id.number, %error, "looking at a workspace");
                None
            });
            let report = Report::Closed { attempt, changes };
            if reporter.hand_on(report).await.is_err() {
                tracing::debug!(task = %attempt.id.task, attempt = attempt.id.number, "the next incarnation looks at its workspace again");
            }
        });
    }
}

/// Blocks.
fn look(ended: &Ended, end: &CancellationToken) -> Option<Changes> {
    // The next incarnation may have begun an attempt there by then.
    match workspace::conclude(ended, || !end.is_cancelled()) {
        Ok(changes) => changes,
        Err(error) => {
            let attempt = ended.attempt;
            tracing::warn!(task = %attempt.task, attempt = attempt.number, %error, "what it left in its workspace is not recorded");
            None
        }
    }
}

/// Repositories of which a workspace is being looked at.
#[derive(Debug, Default)]
pub(super) struct Gates {
    shut: HashMap<PathBuf, Vec<watch::Receiver<()>>>,
}

/// Shut until it is dropped.
#[derive(Debug)]
pub(super) struct Gate {
    _sender: watch::Sender<()>,
}

/// Gates that were shut when somebody came.
#[derive(Debug)]
pub(super) struct Shut(Vec<watch::Receiver<()>>);

impl Gates {
    fn shut(&mut self, repo: PathBuf) -> Gate {
        let (sender, receiver) = watch::channel(());
        self.shut.retain(|_, gates| {
            gates.retain(|gate| gate.has_changed().is_ok());
            !gates.is_empty()
        });
        self.shut.entry(repo).or_default().push(receiver);
        Gate { _sender: sender }
    }

    /// Those that are shut now.
    pub(super) fn of(&self, repo: Option<&Path>) -> Shut {
        let gates = repo.and_then(|repo| self.shut.get(repo));
        Shut(gates.cloned().unwrap_or_default())
    }
}

impl Shut {
    /// Waits until all are open, or whoever came does not want to go on.
    pub(super) async fn passed(self, wanted: &CancellationToken) {
        for mut gate in self.0 {
            // Nothing is ever sent: the end is what is waited for.
            let open = async { while gate.changed().await.is_ok() {} };
            let _given_up = wanted.run_until_cancelled(open).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_holds_up_those_of_its_repository_until_it_opens() {
        let mut gates = Gates::default();
        let first = gates.shut("/a".into());
        let second = gates.shut("/a".into());
        let wanted = CancellationToken::new();
        gates.of(None).passed(&wanted).await;
        gates.of(Some(Path::new("/b"))).passed(&wanted).await;
        let mut held = std::pin::pin!(gates.of(Some(Path::new("/a"))).passed(&wanted));
        for gate in [Some(first), None] {
            let now = std::future::poll_fn(|cx| std::task::Poll::Ready(held.as_mut().poll(cx)));
            assert!(now.await.is_pending());
            drop(gate);
        }
        drop(second);
        held.await;
        let _third = gates.shut("/b".into());
        assert_eq!(gates.shut.len(), 1, "open ones are forgotten");
        wanted.cancel();
        gates.of(Some(Path::new("/b"))).passed(&wanted).await;
    }
}
