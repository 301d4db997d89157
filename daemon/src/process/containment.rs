//! What the trees of agents are held by on this machine.

use std::{io, path::Path, time::Duration};

use super::cgroup::{Groups, NoScopes, Scopes};

/// How long the service manager may take to say who we are.
const ANSWER: Duration = Duration::from_secs(3);

/// What was found at the start of the daemon, the best first. Without any of it
/// a tree is held by its parent and its marker, as always.
#[derive(Debug)]
pub struct Containment {
    /// Units of the service manager, or why it makes none.
    pub scopes: Result<Scopes, NoScopes>,
    /// Groups in a part of the hierarchy that was handed over to us, for what
    /// has no scope; none if we may make none.
    pub groups: io::Result<Option<Groups>>,
}

impl Containment {
    /// Looks for what there is, and switches controllers on if that is for us
    /// to do.
    pub async fn find(state_dir: &Path, runtime_dir: Option<&Path>) -> Self {
        let scopes = tokio::time::timeout(ANSWER, Scopes::find(state_dir, runtime_dir));
        Self {
            scopes: scopes.await.unwrap_or(Err(NoScopes::Silent)),
            groups: Groups::find(state_dir),
        }
    }

    /// Nothing but parents and markers.
    #[must_use]
    pub fn none() -> Self {
        Self {
            scopes: Err(NoScopes::Unwanted),
            groups: Ok(None),
        }
    }

    /// Where leaves are made for what has no scope.
    #[must_use]
    pub fn groups(&self) -> Option<&Groups> {
        self.groups.as_ref().ok().and_then(Option::as_ref)
    }
}
