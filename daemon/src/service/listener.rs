//! Where clients and runners find the daemon: a socket that the service manager
//! has made and keeps, or one of the daemon's own.
//!
//! The mode of one of our own says how far others come: nobody as far as the
//! socket, or, if somebody else is allowed to talk to the daemon, everybody, and
//! then the kernel says at each connection who that is. The mode of one that was
//! handed over is its manager's (`SocketMode=`).
//!
//! One that was handed over is never removed or replaced: the manager goes on
//! listening on it while no daemon runs.

use std::{
    fs::Permissions,
    io,
    os::{
        fd::AsFd as _,
        unix::{
            fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
            net::{UnixListener as StdListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};

use agentd_proto::endpoint::MAX_SOCKET_PATH;
use rustix::net::{AddressFamily, SocketType, sockopt};
use tokio::net::UnixListener;

use super::{Given, Manager};
use crate::spool::make_private;

/// What a socket is called (`FileDescriptorName=`) if several are handed over.
const NAME: &str = "control";

/// How often, and at what distance, somebody must answer on the socket to be
/// believed to listen there.
const LOOKS: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Nobody can be listened to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// What was handed over cannot be used.
    #[error("the service manager passed {what}: {needed}")]
    Given {
        /// That.
        what: String,
        /// What to do about it.
        needed: &'static str,
    },
    /// It listens elsewhere than the operator has said.
    #[error(
        "the service manager listens on {}, and --socket names {}: name the same in ListenStream=, or none",
        .given.display(), .named.display()
    )]
    Elsewhere {
        /// Where the manager listens.
        given: PathBuf,
        /// Where the daemon was to listen.
        named: PathBuf,
    },
    /// The path is longer than a socket's may be.
    #[error(
        "the socket's path {} has {} bytes; {MAX_SOCKET_PATH} are the limit: name a shorter one with --socket",
        .0.display(), .0.as_os_str().len()
    )]
    TooLong(PathBuf),
    /// Something else has its name.
    #[error("{} is there and is no socket", .0.display())]
    NoSocket(PathBuf),
    /// Somebody else listens there.
    #[error(
        "another program answers on {}: end it first; if that is the service manager, which keeps the socket, start agentd through it",
        .0.display()
    )]
    Taken(PathBuf),
    /// The system refused.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The daemon's socket.
#[derive(Debug)]
pub struct Listener {
    /// Where connections come in.
    pub socket: UnixListener,
    /// Its name in the file system.
    pub path: PathBuf,
    /// How far others come to it; `None`: that is its manager's to say.
    pub door: Option<Door>,
}

/// Modes of a socket that others may come to, and of one that they may not.
const OPEN: u32 = 0o666;
const CLOSED: u32 = 0o600;
/// The same of the directory that the daemon makes for it.
const OPEN_DIR: u32 = 0o711;
const CLOSED_DIR: u32 = 0o700;

/// A socket of the daemon's own, for others or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    socket: PathBuf,
    /// Its directory, if that is there for nothing else.
    dir: Option<PathBuf>,
}

impl Door {
    /// Lets others come as far as the socket, or not. A directory that has
    /// another mode than one that we give is somebody's who knows why.
    ///
    /// # Errors
    /// If a mode cannot be set.
    pub fn set(&self, open: bool) -> io::Result<()> {
        let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode));
        set(&self.socket, if open { OPEN } else { CLOSED })?;
        let Some(dir) = &self.dir else {
            return Ok(());
        };
        let meta = std::fs::metadata(dir)?;
        let ours = meta.uid() == nix::unistd::geteuid().as_raw();
        if ours && [OPEN_DIR, CLOSED_DIR].contains(&(meta.mode() & 0o7777)) {
            set(dir, if open { OPEN_DIR } else { CLOSED_DIR })?;
        }
        Ok(())
    }
}

impl Manager {
    /// The socket that was handed over, if any was. `named` is where the
    /// operator wants it. To be called within the runtime, once.
    ///
    /// # Errors
    /// If what was handed over is not one listening Unix socket with a path.
    pub fn listener(&mut self, named: Option<&Path>) -> Result<Option<Listener>, ListenError> {
        let Some(given) = pick(std::mem::take(&mut self.given))? else {
            return Ok(None);
        };
        let (socket, path) = check(given)?;
        if let Some(named) = named.filter(|named| *named != path) {
            return Err(ListenError::Elsewhere {
                given: path,
                named: named.to_owned(),
            });
        }
        let refused = |source| ListenError::Io {
            doing: "use the socket",
            path: path.clone(),
            source,
        };
        socket.set_nonblocking(true).map_err(refused)?;
        let socket = UnixListener::from_std(socket).map_err(refused)?;
        Ok(Some(Listener {
            socket,
            path,
            door: None,
        }))
    }
}

/// The only one, or the one that has our name. Others are closed.
fn pick(mut given: Vec<Given>) -> Result<Option<Given>, ListenError> {
    if given.len() <= 1 {
        return Ok(given.pop());
    }
    let names: Vec<_> = given.iter().map(|one| one.name.clone()).collect();
    let (mut ours, others): (Vec<_>, Vec<_>) = given.into_iter().partition(|one| one.name == NAME);
    match (ours.pop(), ours.is_empty()) {
        (Some(one), true) => {
            for other in others {
                tracing::warn!(
                    name = other.name,
                    "a socket was passed that nobody is served on"
                );
            }
            Ok(Some(one))
        }
        (Some(_) | None, _) => Err(ListenError::Given {
            what: format!("{} sockets ({})", names.len(), names.join(", ")),
            needed: "pass one, or call one of them FileDescriptorName=control",
        }),
    }
}

/// It is a Unix stream socket that listens, and where.
fn check(given: Given) -> Result<(StdListener, PathBuf), ListenError> {
    let what = format!("descriptor \"{}\"", given.name);
    let refused = |needed| ListenError::Given {
        what: what.clone(),
        needed,
    };
    let fd = given.fd.as_fd();
    let family = sockopt::socket_domain(fd).map_err(|_| refused("it is no socket"))?;
    if family != AddressFamily::UNIX {
        return Err(refused("it is no Unix socket: give ListenStream= a path"));
    }
    if sockopt::socket_type(fd) != Ok(SocketType::STREAM) {
        return Err(refused("it is no stream socket: use ListenStream="));
    }
    if sockopt::socket_acceptconn(fd) != Ok(true) {
        return Err(refused(
            "it does not listen: the socket unit needs Accept=no",
        ));
    }
    let listener = StdListener::from(given.fd);
    let address = listener.local_addr().ok();
    let path = address.as_ref().and_then(|address| address.as_pathname());
    let path = path
        .ok_or_else(|| {
            refused("it has no path, and runners would not find it: give ListenStream= a path")
        })?
        .to_owned();
    let there = std::fs::symlink_metadata(&path);
    if !there.is_ok_and(|meta| meta.file_type().is_socket()) {
        return Err(refused(
            "nobody can connect, for its file was removed: restart the socket unit",
        ));
    }
    Ok((listener, path))
}

impl Listener {
    /// Makes a socket of the daemon's own. The instance lock is held: a socket
    /// of an earlier life that nobody answers on is ours to replace. `named` says
    /// that the operator has chosen the place: its directory may be there for more.
    /// `open` lets others come as far as the socket.
    ///
    /// # Errors
    /// If something else is there, or the system refuses.
    pub async fn bind(path: PathBuf, named: bool, open: bool) -> Result<Self, ListenError> {
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(ListenError::TooLong(path));
        }
        let refused = |doing, source| ListenError::Io {
            doing,
            path: path.clone(),
            source,
        };
        if let Some(dir) = path.parent() {
            make_private(dir).map_err(|source| ListenError::Io {
                doing: "make",
                path: dir.to_owned(),
                source,
            })?;
        }
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if !meta.file_type().is_socket() => return Err(ListenError::NoSocket(path)),
            Ok(_) => {
                // A runner that an earlier life was about to start when it was
                // killed may hold its socket open until its own program begins.
                let mut looks = 0;
                while UnixStream::connect(&path).is_ok() {
                    looks += 1;
                    if looks > LOOKS {
                        return Err(ListenError::Taken(path));
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                std::fs::remove_file(&path).map_err(|error| refused("replace", error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused("look at", error)),
        }
        let socket = UnixListener::bind(&path).map_err(|error| refused("listen on", error))?;
        let door = Door {
            socket: path.clone(),
            dir: path.parent().filter(|_| !named).map(Path::to_owned),
        };
        door.set(open)
            .map_err(|error| refused("set the mode of", error))?;
        Ok(Self {
            socket,
            path,
            door: Some(door),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::OwnedFd, os::unix::net::UnixDatagram};

    use super::*;

    fn given(fd: impl Into<OwnedFd>, name: &str) -> Given {
        Given {
            name: name.to_owned(),
            fd: fd.into(),
        }
    }

    fn taken(given: Vec<Given>, named: Option<&Path>) -> Result<Option<PathBuf>, String> {
        let mut manager = Manager {
            given,
            ..Manager::default()
        };
        let found = manager.listener(named);
        let found = found.map(|found| found.map(|listener| listener.path));
        found.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn one_listening_socket_with_a_path_is_taken_and_its_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let bound = |name: &str| StdListener::bind(at(name)).unwrap();
        assert_eq!(taken(Vec::new(), None), Ok(None));
        let one = taken(vec![given(bound("one"), "agentd.socket")], None);
        assert_eq!(one, Ok(Some(at("one"))));
        assert!(at("one").exists());
        let two = vec![given(bound("two"), "other"), given(bound("three"), NAME)];
        assert_eq!(taken(two, Some(&at("three"))), Ok(Some(at("three"))));
    }

    #[tokio::test]
    async fn others_come_to_it_only_while_somebody_else_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        for (named, open_dir) in [(false, 0o711), (true, 0o700)] {
            let place = dir.path().join(format!("run-{named}"));
            let path = place.join("s");
            let listener = Listener::bind(path.clone(), named, false).await.unwrap();
            assert_eq!((mode(&path), mode(&place)), (0o600, 0o700));
            let door = listener.door.unwrap();
            door.set(true).unwrap();
            assert_eq!((mode(&path), mode(&place)), (0o666, open_dir));
            door.set(false).unwrap();
            assert_eq!((mode(&path), mode(&place)), (0o600, 0o700));
            // Somebody has set it so.
            std::fs::set_permissions(&place, Permissions::from_mode(0o750)).unwrap();
            door.set(true).unwrap();
            assert_eq!((mode(&path), mode(&place)), (0o666, 0o750));
        }
    }

    #[tokio::test]
    async fn whatever_else_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let bound = |name: &str| StdListener::bind(at(name)).unwrap();
        let removed = bound("removed");
        std::fs::remove_file(at("removed")).unwrap();
        let (connected, _other) = UnixStream::pair().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::open(dir.path()).unwrap();
        for (passed, named, word) in [
            (given(file, "x"), None, "\"x\": it is no socket"),
            (given(tcp, "x"), None, "no Unix socket"),
            (
                given(UnixDatagram::bind(at("d")).unwrap(), "x"),
                None,
                "no stream socket",
            ),
            (given(connected, "x"), None, "Accept=no"),
            (given(removed, "x"), None, "restart the socket unit"),
            (given(bound("s"), "x"), Some(at("t")), "--socket names"),
        ] {
            let refused = taken(vec![passed], named.as_deref()).unwrap_err();
            assert!(refused.contains(word), "{word}: {refused}");
        }
        let several = vec![given(bound("a"), "p"), given(bound("b"), "q")];
        let refused = taken(several, None).unwrap_err();
        assert!(refused.contains("2 sockets (p, q)"), "{refused}");
    }
}
