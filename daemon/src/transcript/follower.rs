//! Waiting for a transcript to grow, without polling.

use std::{io, path::Path};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::net::unix::pipe::Receiver;

use super::segment;

/// Tells when something was written to a transcript.
///
/// Make the follower first, then read to the end, then wait: nothing that is
/// written in between is missed.
#[derive(Debug)]
pub struct Follower {
    /// The inotify descriptor: read like a pipe, and its events need not be
    /// looked at, since they are all of one directory.
    events: Receiver,
}

impl Follower {
    /// Watches `dir`, which is made if it is not there. Needs a runtime.
    ///
    /// # Errors
    /// If the directory cannot be made or watched: among others when the user
    /// has no inotify instance left (`EMFILE`; the kernel's default is 128 a
    /// user).
    pub fn new(dir: &Path) -> io::Result<Self> {
        segment::make_dir(dir)?;
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let what =
            AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE_SELF;
        inotify.add_watch(dir, what)?;
        let events = Receiver::from_owned_fd_unchecked(inotify.into())?;
        Ok(Self { events })
    }

    /// Waits until something was written since the last call, or since the
    /// follower was made. May return although nothing new is there. Can be
    /// dropped at any time without losing anything.
    ///
    /// # Errors
    /// If the watch cannot be read.
    pub async fn changed(&mut self) -> io::Result<()> {
        let mut events = [0; 4096];
        let mut seen = false;
        loop {
            self.events.readable().await?;
            // All that waits: a burst of writes is one change.
            loop {
                match self.events.try_read(&mut events) {
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
