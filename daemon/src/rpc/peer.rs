//! Who is at the other end of the socket.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use agentd_proto::reason;
use nix::unistd::{Uid, User, geteuid};
use tonic::{Code, Request, Status, transport::server::UdsConnectInfo};

use super::error::Failure;

/// The process at the other end, as the kernel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) uid: u32,
    /// Unknown if it connected from another pid namespace.
    pub(super) pid: Option<u32>,
}

/// The peer of a request.
pub(super) fn of<T>(request: &Request<T>) -> Option<Peer> {
    let info = request.extensions().get::<UdsConnectInfo>()?;
    let credentials = info.peer_cred?;
    Some(Peer {
        uid: credentials.uid(),
        pid: credentials.pid().and_then(|pid| u32::try_from(pid).ok()),
    })
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
        None => Err(Failure::new(
            Code::PermissionDenied,
            reason::NOT_PERMITTED,
            "the kernel does not say who is calling",
        )
        .into()),
    }
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
