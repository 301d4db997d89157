//! Taking connections, whatever the system is short of, and not more from
//! anybody than leaves room for others.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Resource, getrlimit};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
};

use super::peer::{self, Caller};

/// Pause after a connection that could not be taken: for want of files or
/// memory, and trying at once would only take the time of who may free some.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections of one user who is neither the daemon's own nor root.
const GUESTS: usize = 32;

/// If the system sets no limit of open files.
const NO_LIMIT: u64 = 1 << 20;

/// Hands on connections until nobody takes them any more. One that cannot be
/// accepted waits in the kernel's queue; it is never a reason to end.
pub(super) async fn accept(listener: UnixListener, to: mpsc::Sender<Result<Caller, Infallible>>) {
    let places = Places::new(getrlimit(Resource::Nofile).current.unwrap_or(NO_LIMIT));
    let (mut told, mut told_full) = (false, false);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                told = false;
                let Some(caller) = seated(&places, stream) else {
                    // It was hung up on: there is nobody to whom to say why.
                    if !std::mem::replace(&mut told_full, true) {
                        tracing::warn!("a user has too many connections; more are closed at once");
                    }
                    continue;
                };
                told_full = false;
                if to.send(Ok(caller)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(%error, "cannot take connections; trying again");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn seated(places: &Places, stream: UnixStream) -> Option<Caller> {
    let peer = peer::at(&stream);
    // Whom the kernel does not name is told so, and is nobody's guest.
    let (uid, guest) = peer
        .as_ref()
        .map_or((u32::MAX, true), |peer| (peer.uid, peer.is_guest()));
    let place = places.take(uid, guest)?;
    Some(Caller::new(stream, peer, place))
}

/// Counts the connections of each user.
#[derive(Debug, Clone)]
struct Places {
    taken: Arc<Mutex<Taken>>,
    /// Of the daemon's own user, and of root: half of the files that may be open,
    /// so that agents who connect without end leave enough to work with. Of all
    /// guests together half of that.
    most: usize,
}

#[derive(Debug, Default)]
struct Taken {
    by: HashMap<u32, usize>,
    guests: usize,
}

impl Places {
    fn new(files: u64) -> Self {
        Self {
            taken: Arc::default(),
            most: usize::try_from(files / 2).unwrap_or(usize::MAX),
        }
    }

    /// A place for one more connection of this user.
    fn take(&self, uid: u32, guest: bool) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let most = if guest { GUESTS } else { self.most };
        let full = guest && taken.guests >= self.most / 2;
        let has = taken.by.get(&uid).copied().unwrap_or_default();
        if full || has >= most {
            return None;
        }
        taken.by.insert(uid, has + 1);
        taken.guests += usize::from(guest);
        Some(Place {
            taken: Arc::clone(&self.taken),
            uid,
            guest,
        })
    }
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    uid: u32,
    guest: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.guests -= usize::from(self.guest);
        if let Some(has) = taken.by.get_mut(&self.uid) {
            *has -= 1;
            if *has == 0 {
                taken.by.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_place_of_others() {
        let places = Places::new(200);
        let own: Vec<_> = (0..150).filter_map(|_| places.take(1, false)).collect();
        assert_eq!(own.len(), 100, "half of the files");
        let first: Vec<_> = (0..40).filter_map(|_| places.take(2, true)).collect();
        assert_eq!(first.len(), GUESTS);
        let second: Vec<_> = (0..40).filter_map(|_| places.take(3, true)).collect();
        assert_eq!(second.len(), 50 - GUESTS, "a quarter for all guests");
        assert!(places.take(1, false).is_none() && places.take(4, true).is_none());
        drop(first);
        assert!(places.take(2, true).is_some() && places.take(4, true).is_some());
        drop((own, second));
        let taken = places.taken.lock().unwrap();
        assert!(taken.by.is_empty() && taken.guests == 0, "{taken:?}");
    }
}
