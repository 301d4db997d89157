//! Who is at the other end of the socket.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use agentd_proto::reason;
use nix::unistd::{Uid, User, geteuid};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    time::timeout,
};
use tonic::{Code, Request, Status, transport::server::Connected};

use super::error::Failure;
use crate::{
    process::{Origin, origin, start_ticks},
    task::attempt::ProcessIdentity,
};

/// How long finding out where a process comes from may take. One that holds
/// that up does so on purpose.
const ORIGIN: Duration = Duration::from_secs(2);

/// The process at the other end, as the kernel named it when it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) uid: u32,
    /// Unknown if it connected from a pid namespace that is not below ours.
    pid: Option<u32>,
    /// Together with the pid its name; unknown if it was gone by then.
    start_ticks: Option<u64>,
}

impl Peer {
    fn of(stream: &UnixStream) -> Option<Self> {
        let credentials = stream.peer_cred().ok()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.filter(|pid| *pid != 0);
        Some(Self {
            uid: credentials.uid(),
            pid,
            start_ticks: pid.and_then(|pid| start_ticks(pid).ok().flatten()),
        })
    }

    /// Where it comes from.
    ///
    /// One without a pid is outside: whatever an agent starts is in our pid
    /// namespace or in one below it, and has a pid for us. One that is gone,
    /// or was when its connection was accepted, is unknown: its connection may
    /// be in anybody's hands.
    async fn origin(self) -> Origin {
        let (pid, start_ticks) = match (self.pid, self.start_ticks) {
            (None, _) => return Origin::Outside,
            (Some(_), None) => return Origin::Unknown,
            (Some(pid), Some(start_ticks)) => (pid, start_ticks),
        };
        let looking = tokio::task::spawn_blocking(move || origin(pid, start_ticks));
        match timeout(ORIGIN, looking).await {
            Ok(Ok(Ok(origin))) => origin,
            Ok(Ok(Err(error))) => {
                tracing::warn!(pid, %error, "cannot find out where a caller comes from");
                Origin::Unknown
            }
            Ok(Err(_)) | Err(_) => Origin::Unknown,
        }
    }

    /// Refuses the processes of agents, and those that cannot be told from
    /// them.
    pub(super) async fn may_control(self) -> Result<(), Failure> {
        let hint = "agents may only look; daemon.agents_may_control = true lets them do more";
        let outside = self.must_be_outside().await;
        outside.map_err(|failure| failure.hint(hint))
    }

    async fn must_be_outside(self) -> Result<(), Failure> {
        let message = match self.origin().await {
            Origin::Outside => return Ok(()),
            Origin::Attempt(attempt) => {
                format!("it was asked for by a process of attempt {attempt}")
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
    pub(super) async fn must_be(self, runner: &ProcessIdentity) -> Result<(), Failure> {
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

/// A connection that knows who made it.
#[derive(Debug)]
pub(super) struct Caller {
    stream: UnixStream,
    peer: Option<Peer>,
}

impl Caller {
    pub(super) fn new(stream: UnixStream) -> Self {
        let peer = Peer::of(&stream);
        Self { stream, peer }
    }
}

/// Who made a connection, in the extensions of its requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection(pub(super) Option<Peer>);

impl Connected for Caller {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        Connection(self.peer)
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
    request.extensions().get::<Connection>()?.0
}

/// Lets the daemon's own user and root in.
pub(super) fn check(request: Request<()>) -> Result<Request<()>, Status> {
    let allowed = |peer: Peer| peer.uid == geteuid().as_raw() || peer.uid == 0;
    match of(&request) {
        Some(peer) if allowed(peer) => Ok(request),
        Some(peer) => Err(Failure::new(
            Code::PermissionDenied,
            reason::NOT_PERMITTED,
            format!("uid {} may not talk to this daemon", peer.uid),
        )
        .hint(format!("it belongs to uid {}", geteuid()))
        .into()),
        None => Err(nobody().into()),
    }
}

/// Nobody knows who is calling.
pub(super) fn nobody() -> Failure {
    Failure::new(
        Code::PermissionDenied,
        reason::NOT_PERMITTED,
        "the kernel does not say who is calling",
    )
}

/// The names of users, asked once each.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<u32, String>>);

impl Names {
    /// The user's name, or the number of one that has none.
    pub(super) fn of(&self, peer: Option<Peer>) -> String {
        let Some(peer) = peer else {
            return "unknown".to_owned();
        };
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = names.entry(peer.uid).or_insert_with(|| {
            match User::from_uid(Uid::from_raw(peer.uid)) {
                Ok(Some(user)) => user.name,
                Ok(None) | Err(_) => peer.uid.to_string(),
            }
        });
        name.clone()
    }
}
