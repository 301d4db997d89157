//! One way of sending word: it follows the journal from its mark in the store.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{Miss, Notice, Notices, Trouble};
use crate::{
    clock,
    config::Config,
    dispatcher::{Handle, Unavailable},
    store::{Reader, StoreError},
    task::{
        event::What,
        id::Revision,
        notice::{Missed, Next, Way, is_stale, next},
        state::StateKind,
    },
};

/// Entries of the journal that are read at once.
const CHUNK: usize = 256;
/// Entries of one look; after so many without word to send the mark is moved, so
/// that a start never has to read more of them again.
const LOOK: usize = 4096;
/// Between two tries to read or to write, while the store does not work.
const AGAIN: Duration = Duration::from_secs(1);

/// The end of what is followed.
struct Over;

/// What is in the journal above a mark.
enum Found {
    /// The first end of which word is to be sent.
    End(Box<Notice>),
    /// None up to here.
    None {
        /// The last entry that was read.
        upto: Revision,
        /// There may be more.
        more: bool,
    },
}

/// Sends word by one way.
pub(super) struct Follower {
    notices: Arc<Notices>,
    way: Way,
    dispatcher: Handle,
    revisions: watch::Receiver<Revision>,
    /// Up to here everything was dealt with; `None`: it is not known yet.
    mark: Option<Revision>,
    /// The mark in the store.
    stored: Option<Revision>,
    /// How often in a row nothing was taken.
    missed: u32,
}

impl Follower {
    pub(super) fn new(notices: Arc<Notices>, way: Way) -> Self {
        let dispatcher = notices.dispatcher.clone();
        Self {
            revisions: dispatcher.revisions(),
            notices,
            way,
            dispatcher,
            mark: None,
            stored: None,
            missed: 0,
        }
    }

    /// Follows until the dispatcher ends.
    pub(super) async fn follow(mut self) {
        while self.step().await.is_ok() {}
    }

    /// Sends one notice, or waits for something to send.
    async fn step(&mut self) -> Result<(), Over> {
        let config = self.dispatcher.config();
        if !config.notify.goes_by(self.way) {
            return self.rest(&config).await;
        }
        let from = match self.mark {
            Some(mark) => mark,
            None => self.begin().await?,
        };
        // Before the look: what comes during it is not missed.
        self.revisions.mark_unchanged();
        match self.look(&config, from).await? {
            Found::End(notice) => self.tell(&notice).await,
            Found::None { upto, more } => {
                self.mark = Some(upto);
                let unsaved = upto
                    .0
                    .saturating_sub(self.stored.map_or(0, |stored| stored.0));
                if unsaved >= LOOK as u64 {
                    self.save(Some(upto)).await?;
                }
                if more {
                    return Ok(());
                }
                tokio::select! {
                    changed = self.revisions.changed() => changed.map_err(|_| Over),
                    changed = self.dispatcher.reconfigured(&config) => changed.map_err(|_| Over),
                }
            }
        }
    }

    /// Nobody is told, and nobody will be of what ends meanwhile.
    async fn rest(&mut self, config: &Arc<Config>) -> Result<(), Over> {
        self.read_mark().await?;
        if self.stored.is_some() {
            tracing::info!(way = self.way.as_str(), "nobody is told of ends any more");
            self.save(None).await?;
        }
        self.mark = None;
        self.missed = 0;
        self.notices.board.forget(self.way);
        let changed = self.dispatcher.reconfigured(config).await;
        changed.map_err(|_| Over)
    }

    /// Goes on where the last daemon was, or begins with what ends from now on.
    async fn begin(&mut self) -> Result<Revision, Over> {
        self.read_mark().await?;
        let mark = match self.stored {
            Some(mark) => mark,
            None => {
                let now = self.read(|reader| reader.revision()).await?;
                tracing::info!(way = self.way.as_str(), after = %now, "word of ends is sent from now on");
                self.save(Some(now)).await?;
                now
            }
        };
        self.mark = Some(mark);
        Ok(mark)
    }

    async fn read_mark(&mut self) -> Result<(), Over> {
        let way = self.way;
        self.stored = self.read(move |reader| reader.told(way)).await?;
        Ok(())
    }

    /// Moves the mark in the store; it is durable when this returns.
    async fn save(&mut self, mark: Option<Revision>) -> Result<(), Over> {
        while self.stored != mark {
            match self.dispatcher.set_told(self.way, mark).await {
                Ok(()) => self.stored = mark,
                Err(Unavailable::Stopping) => return Err(Over),
                Err(Unavailable::Store) => tokio::time::sleep(AGAIN).await,
            }
        }
        Ok(())
    }

    /// The first end above a mark that somebody wants to know of.
    async fn look(&self, config: &Arc<Config>, from: Revision) -> Result<Found, Over> {
        let config = Arc::clone(config);
        let host = self.notices.host.clone();
        let states = move |kind| config.notify.states.contains(&kind);
        self.read(move |reader| look(reader, &states, from, &host))
            .await
    }

    /// Reads the store on a thread for that; if it does not work, until it does.
    async fn read<T: Send + 'static>(
        &self,
        read: impl Fn(&Reader) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Result<T, Over> {
        loop {
            let store = Arc::clone(&self.notices.store);
            let read = read.clone();
            let reading = tokio::task::spawn_blocking(move || read(&store.reader()?));
            match reading.await.map_err(|_| Over)? {
                Ok(found) => return Ok(found),
                Err(error) if error.may_pass() => tokio::time::sleep(AGAIN).await,
                Err(error) => {
                    tracing::error!(
                        way = self.way.as_str(), %error,
                        "the journal cannot be read: nobody is told of ends; see agentd check-store"
                    );
                    return Err(Over);
                }
            }
        }
    }

    /// Sends a notice until it is taken or given up, then moves the mark. Returns
    /// early if the configuration says to tell somebody else, or nobody.
    async fn tell(&mut self, notice: &Notice) -> Result<(), Over> {
        let (way, task) = (self.way.as_str(), notice.task);
        let mut tries = 0;
        loop {
            let config = self.dispatcher.config();
            if !config.notify.goes_by(self.way) {
                return Ok(());
            }
            let age = clock::now().millis_since(notice.ended_at);
            if is_stale(self.way, self.missed, age) {
                self.give_up(notice, "it is days old, and nothing is taken");
                break;
            }
            crashpoint!("notify.tell.before");
            let sent = self.notices.send(self.way, &config.notify, notice).await;
            crashpoint!("notify.tell.after");
            tries += 1;
            let pause = match sent {
                Ok(()) => {
                    self.missed = 0;
                    tracing::debug!(%task, way, event = notice.event, "told");
                    if self.notices.board.reached(self.way) {
                        tracing::info!(%task, way, "word of ends is taken again");
                    }
                    break;
                }
                Err(Miss::Refused(why)) => {
                    self.missed = 0;
                    self.notices.board.reached(self.way);
                    self.give_up(notice, &why);
                    break;
                }
                Err(Miss::Failed { why, retry_after }) => {
                    self.missed = self.missed.saturating_add(1);
                    let missed = Missed {
                        tries,
                        in_a_row: self.missed,
                        age,
                        retry_after,
                    };
                    if self.notices.board.failed(self.way, trouble(notice, &why)) {
                        tracing::warn!(%task, way, why, "nobody takes word of an end");
                    } else {
                        tracing::debug!(%task, way, why, tries, "nobody takes word of an end");
                    }
                    match next(self.way, missed) {
                        Next::GiveUp => {
                            self.give_up(notice, &why);
                            break;
                        }
                        Next::Again(pause) => Duration::from_millis(pause),
                    }
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Whoever mended it does not wait; nor does the end.
                changed = self.dispatcher.reconfigured(&config) => changed.map_err(|_| Over)?,
            }
        }
        let mark = Revision(notice.event);
        self.save(Some(mark)).await?;
        self.mark = Some(mark);
        Ok(())
    }

    fn give_up(&self, notice: &Notice, why: &str) {
        tracing::error!(
            task = %notice.task, way = self.way.as_str(), event = notice.event, why,
            "nobody was told of an end: it is given up"
        );
        self.notices.board.gave_up(self.way, trouble(notice, why));
    }
}

fn trouble(notice: &Notice, why: &str) -> Trouble {
    Trouble {
        task: notice.task,
        at: clock::now(),
        why: why.to_owned(),
    }
}

/// The first end above a mark in one of these states. History in which there is
/// one is not removed before: see the dispatcher's pruning.
fn look(
    reader: &Reader,
    wanted: &impl Fn(StateKind) -> bool,
    from: Revision,
    host: &str,
) -> Result<Found, StoreError> {
    let mut upto = from;
    for _ in 0..LOOK / CHUNK {
        let entries = reader.events(upto, None, CHUNK)?;
        let full = entries.len() == CHUNK;
        for entry in entries {
            upto = entry.revision;
            let ended = entry.what == What::Finished && wanted(entry.state);
            if ended && let Some(notice) = Notice::of(reader, &entry, host)? {
                return Ok(Found::End(Box::new(notice)));
            }
        }
        if !full {
            return Ok(Found::None { upto, more: false });
        }
    }
    Ok(Found::None { upto, more: true })
}

#[cfg(test)]
mod tests;
