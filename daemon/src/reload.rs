//! Reads the configuration anew, for a signal or for a person who asks.
//!
//! It is read and checked as a whole before anything of it counts: one with a
//! fault changes nothing.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Semaphore},
    time::timeout,
};

use crate::{
    config::{Change, Config, ConfigError},
    dispatcher::{Handle, Unavailable},
    service::{Door, Notifier},
};

/// How long reading it may take: it looks at the files and programs that are
/// named in it, and they may be on a disk that does not answer.
const READ: Duration = Duration::from_secs(30);
/// How many may read it at once, those included who were given up.
const READERS: usize = 3;

/// What a reload has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// The file that was read; `None`: there is none.
    pub source: Option<PathBuf>,
    /// What is set to another value than before.
    pub changes: Vec<Change>,
}

/// Everything stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The dispatcher does not take it now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Whoever was to read it died.
    #[error("it could not be read")]
    Died,
}

/// Knows which configuration the daemon was started with.
#[derive(Debug)]
pub struct Reloader {
    dispatcher: Handle,
    /// The file of `--config`.
    named: Option<PathBuf>,
    notifier: Notifier,
    /// The socket, if it is one of our own.
    door: Option<Door>,
    /// What counts from the next start on is compared with this.
    started_with: Arc<Config>,
    /// One at a time: what each has changed is told of the one before.
    turn: Mutex<()>,
    readers: Arc<Semaphore>,
}

impl Reloader {
    /// One for a daemon that was just started.
    #[must_use]
    pub fn new(
        dispatcher: Handle,
        named: Option<PathBuf>,
        notifier: Notifier,
        door: Option<Door>,
    ) -> Self {
        Self {
            started_with: dispatcher.config(),
            dispatcher,
            named,
            notifier,
            door,
            turn: Mutex::default(),
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Reads the configuration anew. What can be applied while tasks run, is;
    /// what cannot, is told again at every reload until it has come to count.
    ///
    /// # Errors
    /// If the configuration has a fault, or the dispatcher cannot take it now;
    /// nothing has changed then.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn.lock().await;
        self.notifier.reloading();
        let done = self.read_and_apply().await;
        self.notifier.ready();
        match &done {
            Ok(reloaded) => {
                for change in &reloaded.changes {
                    let key = &change.key;
                    if change.needs_restart {
                        tracing::warn!(key, "it counts from the next start on");
                    }
                }
                tracing::info!("the configuration was read anew");
            }
            Err(error) => tracing::error!(%error, "the configuration stays as it was"),
        }
        done
    }

    /// Reads the configuration and applies nothing: what of it does not count
    /// yet.
    ///
    /// # Errors
    /// As of [`Reloader::reload`].
    pub async fn look(&self) -> Result<Vec<Change>, ReloadError> {
        let next = self.read().await?;
        let soon = self.dispatcher.config().changes(&next).into_iter();
        let later = self.started_with.changes(&next).into_iter();
        let soon = soon.filter(|change| !change.needs_restart);
        Ok(soon
            .chain(later.filter(|change| change.needs_restart))
            .collect())
    }

    /// Reads and checks it. A thread that a disk holds up keeps its place, so
    /// that they do not become more and more.
    async fn read(&self) -> Result<Config, ReloadError> {
        let named = self.named.clone();
        let readers = Arc::clone(&self.readers);
        let reading = async {
            let place = readers.acquire_owned().await;
            let place = place.map_err(|_| ReloadError::Died)?;
            let reading = tokio::task::spawn_blocking(move || {
                let read = Config::load(named.as_deref());
                drop(place);
                read
            });
            Ok(reading.await.map_err(|_| ReloadError::Died)??)
        };
        timeout(READ, reading).await.unwrap_or_else(|_| {
            let used = self.dispatcher.config().source.clone();
            let path = self.named.clone().or(used).unwrap_or_default();
            let why = "it takes too long; is a file that it names on a disk that does not answer?";
            let source = io::Error::new(io::ErrorKind::TimedOut, why);
            Err(ConfigError::Read { path, source }.into())
        })
    }

    async fn read_and_apply(&self) -> Result<Reloaded, ReloadError> {
        let next = Arc::new(self.read().await?);
        let before = self.dispatcher.config();
        self.dispatcher.reload(Arc::clone(&next)).await?;
        // Who is refused now is, however far the socket lets others come.
        let open = !next.access.is_closed();
        if let Some(Err(error)) = self.door.as_ref().map(|door| door.set(open)) {
            tracing::warn!(%error, open, "cannot set the mode of the socket");
        }
        let applied = before.changes(&next).into_iter();
        let later = self.started_with.changes(&next).into_iter();
        let later = later.filter(|change| change.needs_restart);
        Ok(Reloaded {
            source: next.source.clone(),
            changes: applied
                .filter(|change| !change.needs_restart)
                .chain(later)
                .collect(),
        })
    }
}
