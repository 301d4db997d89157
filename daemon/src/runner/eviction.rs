//! Hearing that the service manager ends the attempt.
//!
//! In a scope it says so by a signal that ends nobody ([`STOP_SIGNAL`]), so that
//! the runner can end the agent and knows why it ended. Without a scope the runner
//! is told when the session in which the daemon was started ends, or the machine
//! goes down: then all processes get SIGTERM from the manager, agents as well. A
//! SIGTERM of anybody else is no business of a runner: whoever wants to end an
//! agent tells the daemon.

use std::io;

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};
use tokio::io::{Interest, unix::AsyncFd};

use super::scope::STOP_SIGNAL;

/// The process that ends all others, and what those are called that end a user's.
const INIT: u32 = 1;
const MANAGER: &str = "systemd";

/// Who was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    /// The runner alone.
    OfScope,
    /// The agent as well, at the same time: how it ends now says nothing of it.
    OfAll,
}

/// The signals that may tell of it.
#[derive(Debug)]
pub(super) struct Evictions(AsyncFd<SignalFd>);

fn signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGWINCH].into_iter().collect()
}

/// Whether this process may end whatever it likes to. One that is gone is not
/// asked who it was.
fn is_manager(pid: u32) -> bool {
    let name = || std::fs::read_to_string(format!("/proc/{pid}/comm"));
    pid == INIT || name().is_ok_and(|name| name.trim_end() == MANAGER)
}

/// Keeps those signals until somebody asks for them.
pub(super) fn hold() -> io::Result<()> {
    debug_assert_eq!(Signal::SIGWINCH as i32, STOP_SIGNAL);
    Ok(signals().thread_block()?)
}

impl Evictions {
    /// Needs a runtime, and [`hold`] before.
    pub(super) fn listen() -> io::Result<Self> {
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = SignalFd::with_flags(&signals(), flags)?;
        #[expect(
            unsafe_code,
            reason = "tokio trusts that a descriptor stays what it is"
        )]
        // SAFETY: a `SignalFd` names the same open descriptor until it is dropped,
        // and it is never taken out of the `AsyncFd`.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Self(fd))
    }

    /// Waits for one. Can be dropped at any time.
    pub(super) async fn next(&self) -> Eviction {
        loop {
            let read = self.0.async_io(Interest::READABLE, |fd| {
                let read = fd.read_signal()?;
                read.ok_or_else(|| Errno::EAGAIN.into())
            });
            match read.await {
                Ok(told) if told.ssi_signo.cast_signed() == STOP_SIGNAL => {
                    return Eviction::OfScope;
                }
                Ok(told) if is_manager(told.ssi_pid) => return Eviction::OfAll,
                // Somebody else's, or not to be read: as if it had not come.
                Ok(_) => {}
                Err(_) => std::future::pending().await,
            }
        }
    }
}
