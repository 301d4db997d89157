//! Who is at the other end of the socket.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use agentd_proto::reason;
use nix::{sys::prctl::get_no_new_privs, unistd::geteuid};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    sync::Semaphore,
    time::timeout,
};
use tonic::{Code, Request, Status, transport::server::Connected};

use super::{accept::Place, error::Failure};
use crate::{
    config::{Access, Role},
    process::{Origin, origin, peer_groups, start_ticks},
    task::attempt::ProcessIdentity,
};

/// How long finding out where a process comes from may take. One that holds
/// that up does so on purpose.
const ORIGIN: Duration = Duration::from_secs(2);
/// How many of that may go on at once, those included who were given up: a
/// process can hold up for ever who looks at it, and the threads are everybody's.
static LOOKS: Semaphore = Semaphore::const_new(32);

/// The process at the other end, as the kernel named it when it connected.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) uid: u32,
    /// Its own group first. Those that it had when it connected: what files could
    /// be opened with, too. To ask who is in a group today would be to ask a
    /// directory on the network in the middle of a call.
    groups: Arc<[u32]>,
    /// Unknown if it connected from a pid namespace that is not below ours.
    pid: Option<u32>,
    /// Together with the pid its name; unknown if it was gone by then.
    start_ticks: Option<u64>,
    /// Set once it was found to come from outside, which it does for as long as
    /// it lives. That was a walk over all its ancestors.
    outside: Arc<OnceLock<()>>,
}

/// Whether it is the uid of the daemon.
fn is_own(uid: u32) -> bool {
    uid == geteuid().as_raw()
}

impl Peer {
    fn of(stream: &UnixStream) -> Option<Self> {
        let credentials = stream.peer_cred().ok()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.filter(|pid| *pid != 0);
        Some(Self {
            uid: credentials.uid(),
            groups: peer_groups(stream, credentials.gid()).into(),
            pid,
            start_ticks: pid.and_then(|pid| start_ticks(pid).ok().flatten()),
            outside: Arc::default(),
        })
    }

    /// Where it comes from.
    ///
    /// One without a pid is outside: whatever an agent starts is in our pid
    /// namespace or in one below it, and has a pid for us. One that is gone,
    /// or was when its connection was accepted, is unknown: its connection may
    /// be in anybody's hands. So is one that is not shown to us (`hidepid`), unless
    /// it is another user's and nothing that we start can become another user.
    async fn origin(&self) -> Origin {
        let (pid, start_ticks) = match (self.pid, self.start_ticks) {
            (None, _) => return Origin::Outside,
            (Some(_), None) if !is_own(self.uid) && get_no_new_privs() == Ok(true) => {
                return Origin::Outside;
            }
            (Some(_), None) => return Origin::Unknown,
            (Some(pid), Some(start_ticks)) => (pid, start_ticks),
        };
        if self.outside.get().is_some() {
            let lives = self::start_ticks(pid).ok().flatten() == Some(start_ticks);
            return if lives {
                Origin::Outside
            } else {
                Origin::Unknown
            };
        }
        let looking = within(ORIGIN, &LOOKS, move || origin(pid, start_ticks));
        match looking.await {
            Some(Ok(Origin::Outside)) => {
                self.outside.get_or_init(|| ());
                Origin::Outside
            }
            Some(Ok(origin)) => origin,
            Some(Err(error)) => {
                tracing::warn!(pid, %error, "cannot find out where a caller comes from");
                Origin::Unknown
            }
            None => Origin::Unknown,
        }
    }

    /// What it may ask for; `None`: nothing. The daemon's own user and root may
    /// do everything.
    pub(super) fn role(&self, access: &Access) -> Option<Role> {
        if is_own(self.uid) || self.uid == 0 {
            return Some(Role::Operator);
        }
        access.role(self.uid, &self.groups)
    }

    /// Whether its role depends on what the operator has set.
    pub(super) fn is_guest(&self) -> bool {
        !is_own(self.uid) && self.uid != 0
    }

    /// Refuses it unless its role is `least` or more.
    pub(super) fn must_be_allowed(&self, least: Role, access: &Access) -> Result<(), Failure> {
        let uid = self.uid;
        let (message, ask) = match self.role(access) {
            Some(role) if role >= least => return Ok(()),
            Some(role) => (
                format!(
                    "uid {uid} is a {} here, and this takes an {}",
                    role.as_str(),
                    least.as_str()
                ),
                least,
            ),
            None => (format!("uid {uid} may not talk to this daemon"), least),
        };
        let refused = Failure::new(Code::PermissionDenied, reason::NOT_PERMITTED, message);
        Err(refused.hint(format!(
            "it belongs to uid {}, who could allow it: allow_users = {{ {uid} = \"{}\" }} in \
             [daemon] of its configuration, then agentctl reload",
            geteuid(),
            ask.as_str()
        )))
    }

    /// Refuses the processes of agents, and those that cannot be told from
    /// them.
    pub(super) async fn may_control(&self) -> Result<(), Failure> {
        let hint = "agents may only look; daemon.agents_may_control = true lets them do more";
        let outside = self.must_be_outside().await;
        outside.map_err(|failure| failure.hint(hint))
    }

    async fn must_be_outside(&self) -> Result<(), Failure> {
        let message = match self.origin().await {
            Origin::Outside => return Ok(()),
            Origin::Attempt(attempt) => {
                format!("it was asked for by a process of attempt {attempt}")
            }
            Origin::Unknown if self.start_ticks.is_none() && !is_own(self.uid) => {
                "the process that asks for it is gone, or agentd is not shown it (hidepid)"
                    .to_owned()
            }
            Origin::Unknown => "the process that asks for it is gone".to_owned(),
        };
        Err(Failure::new(
            Code::PermissionDenied,
            reason::NOT_PERMITTED,
            message,
        ))
    }

    /// Refuses all but this very process, and one that an agent has started.
    pub(super) async fn must_be(&self, runner: &ProcessIdentity) -> Result<(), Failure> {
        let named = (Some(runner.pid), Some(runner.start_ticks));
        if (self.pid, self.start_ticks) != named {
            let who = self
                .pid
                .map_or("an unknown pid".to_owned(), |pid| format!("pid {pid}"));
            let message = format!("{who} registers as another process, pid {}", runner.pid);
            return Err(Failure::field("runner", message));
        }
        self.must_be_outside().await
    }
}

/// Does something that may be held up by others, on a thread that has one of
/// `places` until it is done. `None` if it was not by then.
pub(super) async fn within<T: Send + 'static>(
    limit: Duration,
    places: &'static Semaphore,
    act: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let acting = async {
        let place = places.acquire().await.ok()?;
        let acting = tokio::task::spawn_blocking(move || {
            let done = act();
            drop(place);
            done
        });
        acting.await.ok()
    };
    timeout(limit, acting).await.ok().flatten()
}

/// A connection that knows who made it.
#[derive(Debug)]
pub(super) struct Caller {
    stream: UnixStream,
    peer: Option<Peer>,
    /// Free again when it is closed.
    _place: Place,
}

impl Caller {
    /// A connection that has found a place.
    pub(super) fn new(stream: UnixStream, peer: Option<Peer>, place: Place) -> Self {
        Self {
            stream,
            peer,
            _place: place,
        }
    }
}

/// Who is at the other end of this connection; `None` if the kernel does not say.
pub(super) fn at(stream: &UnixStream) -> Option<Peer> {
    Peer::of(stream)
}

/// Who made a connection, in the extensions of its requests.
#[derive(Debug, Clone)]
pub(super) struct Connection(pub(super) Option<Peer>);

impl Connected for Caller {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        Connection(self.peer.clone())
    }
}

impl AsyncRead for Caller {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Caller {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The peer of a request.
pub(super) fn of<T>(request: &Request<T>) -> Option<Peer> {
    request.extensions().get::<Connection>()?.0.clone()
}

/// Lets those in who may look.
pub(super) fn may_look(request: Request<()>, access: &Access) -> Result<Request<()>, Status> {
    let peer = of(&request).ok_or_else(nobody)?;
    peer.must_be_allowed(Role::Viewer, access)?;
    Ok(request)
}

/// Lets the daemon's own user in: runners are nobody else's.
pub(super) fn own(request: Request<()>) -> Result<Request<()>, Status> {
    let peer = of(&request).ok_or_else(nobody)?;
    if is_own(peer.uid) {
        return Ok(request);
    }
    let message = format!("uid {} has no runners here", peer.uid);
    Err(Failure::new(Code::PermissionDenied, reason::NOT_PERMITTED, message).into())
}

/// Nobody knows who is calling.
pub(super) fn nobody() -> Failure {
    Failure::new(
        Code::PermissionDenied,
        reason::NOT_PERMITTED,
        "the kernel does not say who is calling",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn peer(uid: u32, groups: &[u32]) -> Peer {
        Peer {
            uid,
            groups: groups.into(),
            pid: None,
            start_ticks: None,
            outside: Arc::default(),
        }
    }

    #[test]
    fn own_user_and_root_need_no_permission_and_others_do() {
        let own = geteuid().as_raw();
        let other = own + 1000;
        let access = Access {
            users: BTreeMap::from([(own, Role::Viewer), (other, Role::Viewer)]),
            groups: BTreeMap::from([(77, Role::Operator)]),
        };
        assert_eq!(peer(own, &[]).role(&access), Some(Role::Operator));
        assert_eq!(peer(0, &[]).role(&Access::default()), Some(Role::Operator));
        assert_eq!(peer(other, &[77]).role(&access), Some(Role::Viewer));
        assert_eq!(
            peer(other + 1, &[5, 77]).role(&access),
            Some(Role::Operator)
        );
        let stranger = peer(other + 1, &[5]);
        let refused = stranger.must_be_allowed(Role::Viewer, &access).unwrap_err();
        let words = format!("uid {} may not talk to this daemon", other + 1);
        assert_eq!(refused.to_string(), words);
        let viewer = peer(other, &[]);
        assert!(viewer.must_be_allowed(Role::Viewer, &access).is_ok());
        let refused = viewer.must_be_allowed(Role::Operator, &access).unwrap_err();
        let words = format!("uid {other} is a viewer here, and this takes an operator");
        assert_eq!(refused.to_string(), words);
    }

    #[tokio::test]
    async fn who_is_held_up_keeps_a_place_and_nobody_waits_for_long() {
        static PLACES: Semaphore = Semaphore::const_new(2);
        let soon = Duration::from_millis(20);
        let (go_on, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        for _ in 0..2 {
            let held = Arc::clone(&held);
            let stuck = move || held.lock().unwrap().recv().is_err();
            assert_eq!(within(soon, &PLACES, stuck).await, None);
        }
        assert_eq!(PLACES.available_permits(), 0);
        let begun = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let begins = Arc::clone(&begun);
        let begin = move || begins.store(true, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(within(soon, &PLACES, begin).await, None);
        drop(go_on);
        let limit = Duration::from_secs(30);
        assert_eq!(within(limit, &PLACES, || 7).await, Some(7));
        assert!(!begun.load(std::sync::atomic::Ordering::SeqCst));
    }

    #[tokio::test]
    async fn groups_are_those_that_the_kernel_knows() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = at(&ours).unwrap();
        let mut groups = nix::unistd::getgroups().unwrap();
        groups.push(nix::unistd::getegid());
        for group in groups {
            assert!(peer.groups.contains(&group.as_raw()), "{peer:?}: {group}");
        }
        assert_eq!(peer.groups[0], nix::unistd::getegid().as_raw());
    }
}
