//! The way to the service manager (sd_notify(3)).

use std::{
    ffi::OsStr,
    fmt::Write as _,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

pub(super) use sd_notify::NotifyState as State;

use crate::clock;

/// How long a manager that takes nothing may hold us up.
const SEND: Duration = Duration::from_secs(1);

/// By how much the manager is asked to wait longer for a start, how often, and
/// how often at the most: for an hour, in which any store was opened.
const MORE: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_secs(15);
const ASKS: u32 = 240;

/// Tells the service manager how the daemon is. Without one it does nothing.
#[derive(Debug, Clone, Default)]
pub struct Notifier(Option<Arc<Way>>);

#[derive(Debug)]
struct Way {
    to: SocketAddr,
    /// That it cannot be told was logged: once is enough.
    failed: AtomicBool,
}

impl Notifier {
    /// To the socket that `NOTIFY_SOCKET` names: a path, or with `@` a name of
    /// no file.
    #[must_use]
    pub fn new(socket: Option<&OsStr>) -> Self {
        let to = socket.and_then(|socket| match socket.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(socket).ok(),
        });
        let failed = AtomicBool::new(false);
        Self(to.map(|to| Arc::new(Way { to, failed })))
    }

    /// Whether there is somebody to tell.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The start is over.
    pub fn ready(&self) {
        self.tell(&[State::Ready]);
    }

    /// The configuration is about to be read anew; [`Notifier::ready`] follows.
    pub fn reloading(&self) {
        let now = State::MonotonicUsec(clock::monotonic_micros());
        self.tell(&[State::Reloading, now]);
    }

    /// The end has begun, with a line for people.
    pub fn stopping(&self, status: &str) {
        self.tell(&[State::Stopping, State::Status(status)]);
    }

    pub(super) fn tell(&self, states: &[State<'_>]) {
        let Some(way) = &self.0 else { return };
        let mut text = String::new();
        for state in states {
            // Text can always be made longer.
            writeln!(text, "{state}").ok();
        }
        match send(&way.to, &text) {
            Ok(()) => way.failed.store(false, Ordering::Relaxed),
            Err(error) => {
                if !way.failed.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "cannot tell the service manager");
                }
            }
        }
    }

    /// Has the manager wait while the store is opened, copied and raised to a
    /// newer format, until what is returned is dropped.
    #[must_use]
    pub fn patience(&self, why: &str) -> Patience {
        self.tell(&[State::Status(why)]);
        self.ask_for_patience(ASK_AGAIN)
    }

    fn ask_for_patience(&self, again: Duration) -> Patience {
        if !self.is_on() {
            return Patience { _held: None };
        }
        let (held, over) = mpsc::channel();
        let this = self.clone();
        let more = u32::try_from(MORE.as_micros()).unwrap_or(u32::MAX);
        let ask = move || {
            for _ in 0..ASKS {
                this.tell(&[State::ExtendTimeoutUsec(more)]);
                // Nothing is ever sent: it is over when the other end is gone.
                if over.recv_timeout(again) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("patience".into()).spawn(ask) {
            tracing::warn!(%error, "cannot ask the service manager for more time");
        }
        Patience { _held: Some(held) }
    }
}

/// While it is there, the manager is asked for more time.
#[derive(Debug)]
pub struct Patience {
    _held: Option<Sender<()>>,
}

fn send(to: &SocketAddr, text: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND))?;
    socket.send_to_addr(text.as_bytes(), to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 4096];
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn files_and_names_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let file = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(Some(path.as_os_str()));
        notifier.ready();
        assert_eq!(heard(&file), "READY=1\n");
        notifier.reloading();
        let told = heard(&file);
        let (reloading, at) = told.split_once('\n').unwrap();
        assert_eq!(reloading, "RELOADING=1");
        let at: i128 = at
            .trim()
            .strip_prefix("MONOTONIC_USEC=")
            .unwrap()
            .parse()
            .unwrap();
        assert!(at > 0 && at <= clock::monotonic_micros());
        notifier.stopping("2 agents go on");
        assert_eq!(heard(&file), "STOPPING=1\nSTATUS=2 agents go on\n");

        let name = path.to_string_lossy();
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let abstract_one = UnixDatagram::bind_addr(&address).unwrap();
        Notifier::new(Some(OsStr::new(&format!("@{name}")))).ready();
        assert_eq!(heard(&abstract_one), "READY=1\n");
    }

    #[test]
    fn a_start_that_takes_long_asks_for_more_time_until_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(Some(path.as_os_str()));
        let patience = notifier.ask_for_patience(Duration::from_millis(5));
        for _ in 0..3 {
            assert_eq!(heard(&socket), "EXTEND_TIMEOUT_USEC=60000000\n");
        }
        drop(patience);
        // What was asked before it was over comes before the end of it.
        notifier.ready();
        while heard(&socket) != "READY=1\n" {}
    }

    #[test]
    fn without_a_manager_nothing_is_done() {
        let none = Notifier::new(None);
        none.ready();
        drop(none.patience("opening the store"));
        assert!(!none.is_on());
        // One that has gone is no reason to fail.
        Notifier::new(Some(OsStr::new("/nonexistent/notify"))).ready();
    }
}
