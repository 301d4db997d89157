//! Which socket to ask, and in plain words why one does not answer.

use std::{
    error::Error as StdError,
    fmt, fs, io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use agentd_proto::endpoint::{Environment, MAX_SOCKET_PATH};

use crate::{
    autostart,
    doctor::{Surroundings, shell_word},
    error::{Error, Kind},
};

/// The sockets to try, best first.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// At least one.
    pub(crate) paths: Vec<PathBuf>,
    /// The user named it, with `--socket` or `AGENTD_SOCKET`: no other will
    /// do, and no daemon is started unasked.
    pub(crate) named: bool,
    /// The command that starts a daemon there.
    pub(crate) start: String,
}

impl Sockets {
    /// By the rule of `agentd_proto::endpoint`.
    pub(crate) fn choose(flag: Option<&Path>, env: &Environment, around: &Surroundings) -> Self {
        match flag {
            Some(path) => Self {
                paths: vec![path.to_path_buf()],
                named: true,
                start: format!(
                    "agentctl --socket {} start",
                    shell_word(&path.to_string_lossy())
                ),
            },
            None => Self {
                paths: env.candidates(),
                named: env.socket.is_some(),
                start: match &env.socket {
                    Some(_) => autostart::START.to_owned(),
                    None => autostart::how(around),
                },
            },
        }
    }
}

/// Why a socket did not answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The path is longer than an address can hold.
    TooLong,
    /// Addresses are passed as text.
    NotText,
    /// No such file.
    Missing,
    /// A socket at which nobody listens: its daemon has ended.
    Stale,
    /// A file of another kind.
    NoSocket,
    /// Not allowed.
    Denied,
    /// The kernel's own words.
    Other(String),
}

/// A socket that did not answer, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The socket's path.
    pub(crate) path: PathBuf,
    /// Why it did not answer.
    pub(crate) cause: Cause,
}

impl Refusal {
    /// What can be known before anybody is asked.
    pub(crate) fn beforehand(path: &Path) -> Option<Self> {
        let cause = if path.as_os_str().len() > MAX_SOCKET_PATH {
            Cause::TooLong
        } else if path.to_str().is_none() {
            Cause::NotText
        } else {
            return None;
        };
        Some(Self {
            path: path.to_path_buf(),
            cause,
        })
    }

    /// From a failed connection: looks for the system's error in the chain of
    /// sources, and at the file.
    pub(crate) fn of(path: &Path, error: &(dyn StdError + 'static)) -> Self {
        let mut chain: Option<&(dyn StdError + 'static)> = Some(error);
        let mut last = error.to_string();
        let mut system = None;
        while let Some(link) = chain {
            system = system.or_else(|| link.downcast_ref::<io::Error>().map(io::Error::kind));
            last = link.to_string();
            chain = link.source();
        }
        let cause = match system {
            Some(io::ErrorKind::NotFound) => Cause::Missing,
            Some(io::ErrorKind::PermissionDenied) => Cause::Denied,
            // connect(2) refuses a regular file in the same words.
            Some(io::ErrorKind::ConnectionRefused) if is_socket(path) => Cause::Stale,
            Some(io::ErrorKind::ConnectionRefused) => Cause::NoSocket,
            Some(_) | None => Cause::Other(last),
        };
        Self {
            path: path.to_path_buf(),
            cause,
        }
    }

    /// Whether no daemon is there that another one would get in the way of.
    pub(crate) fn nobody_there(&self) -> bool {
        match self.cause {
            Cause::Missing | Cause::Stale => true,
            Cause::TooLong | Cause::NotText | Cause::NoSocket | Cause::Denied | Cause::Other(_) => {
                false
            }
        }
    }

    /// `start` is the command that starts a daemon.
    fn hint(&self, start: &str) -> String {
        let hint = match self.cause {
            Cause::Missing | Cause::Stale => start,
            Cause::TooLong => "name a shorter one with --socket or AGENTD_SOCKET",
            Cause::NotText | Cause::NoSocket => {
                "name the daemon's socket with --socket or AGENTD_SOCKET"
            }
            Cause::Denied => "only the daemon's own user may talk to it",
            Cause::Other(_) => "look into the log of agentd",
        };
        hint.to_owned()
    }

    /// The error to end with; `start` is the command that starts a daemon.
    pub(crate) fn into_error(self, start: &str) -> Error {
        let kind = match self.cause {
            Cause::Denied => Kind::Permission,
            Cause::TooLong
            | Cause::NotText
            | Cause::Missing
            | Cause::Stale
            | Cause::NoSocket
            | Cause::Other(_) => Kind::Unreachable,
        };
        let hint = self.hint(start);
        Error::new(kind, "cannot reach agentd")
            .because(self)
            .hint(hint)
    }
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            Cause::TooLong => write!(
                f,
                "the path {path} is {} bytes long, a socket's may have {MAX_SOCKET_PATH}",
                self.path.as_os_str().len()
            ),
            Cause::NotText => write!(f, "the path {path} is not UTF-8"),
            Cause::Missing => write!(f, "there is no socket {path}"),
            Cause::Stale => write!(f, "nobody listens at {path} (its daemon has ended)"),
            Cause::NoSocket => write!(f, "{path} is no socket"),
            Cause::Denied => write!(f, "permission denied at {path}"),
            Cause::Other(why) => write!(f, "{path}: {why}"),
        }
    }
}

impl StdError for Refusal {}

/// Of several refusals the one that says most: a daemon that may not be
/// talked to before one that is not there.
pub(crate) fn most_telling(refusals: Vec<Refusal>) -> Option<Refusal> {
    let mut refusals = refusals;
    let at = refusals.iter().position(|r| !r.nobody_there()).unwrap_or(0);
    (at < refusals.len()).then(|| refusals.swap_remove(at))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn refusal(path: &Path) -> Refusal {
        Refusal::of(path, &UnixStream::connect(path).unwrap_err())
    }

    #[test]
    fn causes_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing.sock");
        assert_eq!(refusal(&missing).cause, Cause::Missing);

        let stale = dir.path().join("stale.sock");
        drop(UnixListener::bind(&stale).unwrap());
        assert_eq!(refusal(&stale).cause, Cause::Stale);

        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(refusal(&file).cause, Cause::NoSocket);

        let long = dir.path().join("x".repeat(MAX_SOCKET_PATH));
        assert_eq!(Refusal::beforehand(&long).unwrap().cause, Cause::TooLong);
        assert!(Refusal::beforehand(&stale).is_none());

        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let denied = Refusal::of(&stale, &denied);
        assert_eq!(denied.cause, Cause::Denied);
        assert_eq!(denied.into_error("x").kind(), Kind::Permission);
    }

    #[test]
    fn a_named_socket_is_the_only_one() {
        let around = Surroundings::default();
        let env = Environment {
            xdg_runtime_dir: Some("/run/user/7".into()),
            ..Environment::default()
        };
        let sockets = Sockets::choose(Some(Path::new("/x y.sock")), &env, &around);
        assert!(sockets.named);
        assert_eq!(sockets.paths, [PathBuf::from("/x y.sock")]);
        // A daemon of another socket would not be asked.
        assert_eq!(sockets.start, "agentctl --socket '/x y.sock' start");

        let sockets = Sockets::choose(None, &env, &around);
        assert!(!sockets.named);
        assert_eq!(sockets.paths.len(), 2);

        let env = Environment {
            socket: Some("/y.sock".into()),
            ..env
        };
        assert!(Sockets::choose(None, &env, &around).named);
    }

    #[test]
    fn a_daemon_that_denies_says_more_than_one_that_is_not_there() {
        let of = |path: &str, cause| Refusal {
            path: path.into(),
            cause,
        };
        let both = vec![of("/a", Cause::Missing), of("/b", Cause::Denied)];
        assert_eq!(most_telling(both).unwrap().cause, Cause::Denied);
        let both = vec![of("/a", Cause::Stale), of("/b", Cause::Missing)];
        assert_eq!(most_telling(both).unwrap().path, Path::new("/a"));
        assert!(most_telling(Vec::new()).is_none());
    }
}
