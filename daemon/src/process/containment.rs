//! What the trees of agents are held by on this machine.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::cgroup::{Groups, NoScopes, Scopes};

/// How long the service manager may take to say who we are: at the start of the
/// daemon, which waits for it, and later.
const ANSWER: Duration = Duration::from_secs(3);
const LATER: Duration = Duration::from_secs(10);
/// Until one that gave no answer is asked again.
const AGAIN: Duration = Duration::from_secs(20);

/// What was found, the best first. Without any of it a tree is held by its parent
/// and its marker, as always.
#[derive(Debug)]
pub struct Containment {
    scopes: Mutex<Arc<Result<Scopes, NoScopes>>>,
    groups: io::Result<Option<Groups>>,
    asker: Asker,
}

/// Who is asked again, and when.
#[derive(Debug)]
struct Asker {
    state_dir: PathBuf,
    runtime_dir: Option<PathBuf>,
    /// Held by whoever asks; no earlier than this.
    next: tokio::sync::Mutex<Instant>,
}

impl Asker {
    async fn ask(&self, patience: Duration) -> Result<Scopes, NoScopes> {
        let asked = Scopes::find(&self.state_dir, self.runtime_dir.as_deref());
        let answer = tokio::time::timeout(patience, asked).await;
        answer.unwrap_or(Err(NoScopes::Silent))
    }
}

impl Containment {
    /// Looks for what there is, and switches controllers on if that is for us
    /// to do.
    pub async fn find(state_dir: &Path, runtime_dir: Option<&Path>) -> Self {
        let asker = Asker {
            state_dir: state_dir.to_owned(),
            runtime_dir: runtime_dir.map(Path::to_owned),
            next: tokio::sync::Mutex::new(Instant::now() + AGAIN),
        };
        Self {
            scopes: Mutex::new(Arc::new(asker.ask(ANSWER).await)),
            groups: Groups::find(state_dir),
            asker,
        }
    }

    /// Nothing but parents and markers.
    #[must_use]
    pub fn none() -> Self {
        Self {
            scopes: Mutex::new(Arc::new(Err(NoScopes::Unwanted))),
            groups: Ok(None),
            asker: Asker {
                state_dir: PathBuf::new(),
                runtime_dir: None,
                next: tokio::sync::Mutex::new(Instant::now()),
            },
        }
    }

    /// Units of the service manager, or why it makes none, as it is known.
    #[must_use]
    pub fn scopes(&self) -> Arc<Result<Scopes, NoScopes>> {
        let known = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&known)
    }

    /// The same for whoever is about to need one: a manager that gave no answer,
    /// as one may not while the machine starts, is asked again. One asks; others go
    /// by what is known.
    pub async fn current_scopes(&self) -> Arc<Result<Scopes, NoScopes>> {
        let known = self.scopes();
        if !matches!(&*known, Err(why) if why.may_pass()) {
            return known;
        }
        let Ok(mut next) = self.asker.next.try_lock() else {
            return known;
        };
        if Instant::now() < *next {
            return known;
        }
        let found = Arc::new(self.asker.ask(LATER).await);
        *next = Instant::now() + AGAIN;
        if let Ok(scopes) = &*found {
            tracing::info!(slice = scopes.slice(), "attempts have scopes from now on");
        }
        let mut known = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::clone(&found);
        found
    }

    /// Groups in a part of the hierarchy that was handed over to us, for what has
    /// no scope; none if we may make none.
    ///
    /// # Errors
    /// Why that could not be found out.
    pub fn handed_over(&self) -> Result<Option<&Groups>, &io::Error> {
        self.groups.as_ref().map(Option::as_ref)
    }

    /// Where leaves are made for what has no scope.
    #[must_use]
    pub fn groups(&self) -> Option<&Groups> {
        self.handed_over().ok().flatten()
    }
}
