//! The names of users.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::unistd::{Uid, User};
use tokio::sync::Semaphore;

use super::peer::{Peer, within};

/// How long the system may take for a name: it may ask a directory on the
/// network.
const NAME: Duration = Duration::from_secs(2);
/// How many it is asked for at once, those included that were given up.
static LOOKS: Semaphore = Semaphore::const_new(2);

/// Names that are known. Each is asked for once.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<u32, String>>);

impl Names {
    /// The user's name, or the number of one that has none, or of whom nobody
    /// says it in time.
    pub(super) async fn of(&self, peer: Option<Peer>) -> String {
        let Some(Peer { uid, .. }) = peer else {
            return "unknown".to_owned();
        };
        let known = self.known().get(&uid).cloned();
        if let Some(name) = known {
            return name;
        }
        let asked = within(NAME, &LOOKS, move || User::from_uid(Uid::from_raw(uid)));
        let number = uid.to_string();
        let name = match asked.await {
            Some(Ok(user)) => user.map_or(number, |user| user.name),
            Some(Err(error)) => {
                tracing::warn!(uid, %error, "cannot find out the name of a user");
                return number;
            }
            None => {
                tracing::warn!(uid, "finding out the name of a user takes too long");
                return number;
            }
        };
        self.known().insert(uid, name.clone());
        name
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u32, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
