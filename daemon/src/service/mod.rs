//! The service manager that started the daemon, if there is one: what it has
//! handed over, and what it is told (sd_listen_fds(3), sd_notify(3)).
//!
//! Without one nothing here does anything. It decides about no task.

mod journal;
mod line;
mod listener;
mod notifier;
mod pulse;

use std::{
    env, io,
    os::fd::{FromRawFd as _, OwnedFd},
    time::Duration,
};

pub use self::{
    journal::{Journal, is_standard_error},
    listener::{Door, ListenError, Listener},
    notifier::{Notifier, Patience},
    pulse::report,
};

/// The variables by which a service manager speaks to the one process that it
/// has started.
const VARIABLES: [&str; 6] = [
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
];

/// A descriptor that was handed over, and what the manager calls it.
#[derive(Debug)]
struct Given {
    name: String,
    fd: OwnedFd,
}

/// What a service manager has handed over.
#[derive(Debug, Default)]
pub struct Manager {
    given: Vec<Given>,
    /// How it is told how we are.
    pub notifier: Notifier,
    /// How long it waits for a sign of life before it ends us.
    pub watchdog: Option<Duration>,
}

impl Manager {
    /// Takes what is there for this process, descriptors included, and removes
    /// it from the environment: git and others whom the daemon starts are not
    /// to speak to the manager.
    ///
    /// To be called once, before the process opens a file or starts a thread.
    ///
    /// # Errors
    /// If what the environment says of descriptors is not so.
    pub fn take() -> io::Result<Self> {
        let given = take_descriptors();
        let notifier = Notifier::new(env::var_os("NOTIFY_SOCKET").as_deref());
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
        for name in VARIABLES {
            #[expect(
                unsafe_code,
                reason = "the environment is changed before there are threads"
            )]
            // SAFETY: the caller has started no thread that could read it.
            unsafe {
                env::remove_var(name);
            }
        }
        Ok(Self {
            given: given?,
            notifier,
            watchdog,
        })
    }
}

/// Those that are for this process, closed on exec.
fn take_descriptors() -> io::Result<Vec<Given>> {
    let passed = sd_notify::listen_fds_with_names()?;
    Ok(passed
        .map(|(number, name)| {
            #[expect(
                unsafe_code,
                reason = "a descriptor that was inherited has only a number"
            )]
            // SAFETY: it is open, for its flags were just set, and nobody else's,
            // for this process has opened nothing yet.
            let fd = unsafe { OwnedFd::from_raw_fd(number) };
            Given { name, fd }
        })
        .collect())
}
