//! Waiting for a transcript to grow, without polling where that is possible.

use std::{io, path::Path, time::Duration};

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};
use tokio::net::unix::pipe::Receiver;

use super::segment;

/// Between two looks, if the kernel tells nothing.
const LOOK: Duration = Duration::from_millis(500);

/// Tells when something was written to a transcript.
///
/// Make the follower first, then read to the end, then wait: nothing that is
/// written in between is missed.
#[derive(Debug)]
pub struct Follower {
    /// The inotify descriptor: read like a pipe, and its events need not be
    /// looked at, since they are all of one directory. Without one it is time to
    /// look every now and then.
    events: Option<Receiver>,
}

impl Follower {
    /// Watches `dir`, which is made if it is not there. Needs a runtime. If there
    /// is nothing left to watch it with (the kernel's default is 128 inotify
    /// instances a user, which others use, too), it is looked at instead.
    ///
    /// # Errors
    /// If the directory cannot be made or watched.
    pub fn new(dir: &Path) -> io::Result<Self> {
        segment::make_dir(dir)?;
        Self::with(Self::watch(dir))
    }

    fn with(watched: io::Result<Receiver>) -> io::Result<Self> {
        let events = match watched {
            Ok(events) => Some(events),
            Err(error) if is_shortage(&error) => {
                tracing::debug!(%error, "cannot watch a transcript; looking at it instead");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self { events })
    }

    fn watch(dir: &Path) -> io::Result<Receiver> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let what =
            AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE_SELF;
        inotify.add_watch(dir, what)?;
        Receiver::from_owned_fd_unchecked(inotify.into())
    }

    /// Waits until something was written since the last call, or since the
    /// follower was made. May return although nothing new is there. Can be
    /// dropped at any time without losing anything.
    ///
    /// # Errors
    /// If the watch cannot be read.
    pub async fn changed(&mut self) -> io::Result<()> {
        let Some(watch) = &mut self.events else {
            tokio::time::sleep(LOOK).await;
            return Ok(());
        };
        let mut events = [0; 4096];
        let mut seen = false;
        loop {
            watch.readable().await?;
            // All that waits: a burst of writes is one change.
            loop {
                match watch.try_read(&mut events) {
                    Ok(_) => seen = true,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if seen {
                return Ok(());
            }
        }
    }
}

/// Whether there is not enough of something: it is there for others.
fn is_shortage(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    let short = [Errno::EMFILE, Errno::ENFILE, Errno::ENOSPC, Errno::ENOMEM];
    code.is_some_and(|code| short.contains(&code))
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test]
    async fn without_a_watch_it_is_looked_at_every_now_and_then() {
        for short in [Errno::EMFILE, Errno::ENOSPC] {
            let mut follower = Follower::with(Err(short.into())).unwrap();
            let begin = Instant::now();
            let woken = timeout(Duration::from_secs(30), follower.changed()).await;
            woken.expect("it is time for a look").unwrap();
            assert!(begin.elapsed() >= LOOK);
        }
        let refused = Follower::with(Err(Errno::EACCES.into()));
        assert!(refused.is_err(), "that is no shortage");
    }
}
