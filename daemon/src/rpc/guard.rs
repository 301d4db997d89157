//! Keeps everybody from what is not theirs. Users other than the daemon's own may
//! do what their role allows, for as long as it does: it is asked for at every
//! call, and for each message of an answer that goes on. The processes of an
//! attempt may look, and change nothing but what they report of themselves.
//!
//! An agent runs with its user's rights, so this is no wall against one that
//! breaks in; it is one against an agent that thinks it is helping. It stands
//! before the service and knows which calls only read: a call that is added
//! later is refused until it is named here.

use std::{
    convert::Infallible,
    future::ready,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::Frame;
use http_body_util::Limited;
use tonic::{
    Status,
    body::Body,
    codegen::{Bytes, Service, http},
    server::NamedService,
};

use super::{
    error::Failure,
    peer::{self, Connection, Peer},
};
use crate::{config::Role, dispatcher::Handle};

/// Longest request of a guest who looks at something, bytes: there is nothing to
/// say then but what it is, and of many at once each is held in memory.
const LOOK: usize = 64 * 1024;

/// The calls that change nothing. Viewers may make them and no others.
const READS: [&str; 18] = [
    "Get",
    "Explain",
    "List",
    "ListStream",
    "Logs",
    "Watch",
    "Wait",
    "Status",
    "Quota",
    "Usage",
    "Metrics",
    "SessionList",
    "SessionShow",
    "WorkspaceList",
    "WorkspaceDiff",
    "Schedules",
    "Agents",
    "Diagnose",
];

/// The calls by which an agent changes what is its own; each asks for the
/// token of an attempt.
const OWN: [&str; 1] = ["Report"];

/// A service that viewers and agents may only read from.
#[derive(Debug, Clone)]
pub(super) struct Guard<S> {
    inner: S,
    /// Knows what the operator lets them do now.
    dispatcher: Handle,
}

impl<S> Guard<S> {
    pub(super) fn new(inner: S, dispatcher: Handle) -> Self {
        Self { inner, dispatcher }
    }
}

impl<S: NamedService> NamedService for Guard<S> {
    const NAME: &'static str = S::NAME;
}

type Answer<F> = Pin<Box<dyn Future<Output = F> + Send>>;

impl<S> Service<http::Request<Body>> for Guard<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Answer<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let other = self.inner.clone();
        // The one that was asked whether it is ready has to answer.
        let mut inner = std::mem::replace(&mut self.inner, other);
        let caller = request.extensions().get::<Connection>();
        let Some(peer) = caller.and_then(|connection| connection.0.clone()) else {
            return Box::pin(ready(Ok(refusal(peer::nobody()))));
        };
        let config = self.dispatcher.config();
        let least = least(request.uri().path());
        if let Err(failure) = peer.must_be_allowed(least, &config.access) {
            return Box::pin(ready(Ok(refusal(failure))));
        }
        let free = config.agents_may_control || is_free(request.uri().path());
        let dispatcher = self.dispatcher.clone();
        Box::pin(async move {
            if !free && let Err(failure) = peer.may_control().await {
                return Ok(refusal(failure));
            }
            if !peer.is_guest() {
                return inner.call(request).await;
            }
            let request = match least {
                Role::Viewer => request.map(|body| Body::new(Limited::new(body, LOOK))),
                Role::Operator => request,
            };
            let answer = inner.call(request).await?;
            Ok(answer.map(|body| {
                Body::new(Lent {
                    body,
                    peer,
                    least,
                    dispatcher,
                    ended: false,
                })
            }))
        })
    }
}

/// An answer to a guest, which ends when the guest may not have it any more.
struct Lent {
    body: Body,
    peer: Peer,
    least: Role,
    dispatcher: Handle,
    ended: bool,
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        let config = self.dispatcher.config();
        let Err(failure) = self.peer.must_be_allowed(self.least, &config.access) else {
            return Poll::Ready(next);
        };
        self.ended = true;
        let mut trailers = http::HeaderMap::new();
        let told = Status::from(failure).add_header(&mut trailers);
        Poll::Ready(Some(told.map(|()| Frame::trailers(trailers))))
    }
}

fn refusal(failure: Failure) -> http::Response<Body> {
    Status::from(failure).into_http()
}

/// The role that this call takes.
fn least(path: &str) -> Role {
    let method = path.rsplit('/').next().unwrap_or_default();
    match READS.contains(&method) {
        true => Role::Viewer,
        false => Role::Operator,
    }
}

/// Agents may make this call, too.
fn is_free(path: &str) -> bool {
    let method = path.rsplit('/').next().unwrap_or_default();
    READS.contains(&method) || OWN.contains(&method)
}

#[cfg(test)]
mod tests {
    use agentd_proto::v1::DESCRIPTORS;
    use prost::Message as _;

    use super::*;

    /// Every call that is not known to read is one that changes something: this
    /// fails when a call is added, so that somebody decides.
    #[test]
    fn every_call_is_known() {
        let changes = [
            "Submit",
            "Cancel",
            "Kill",
            "Rerun",
            "Pause",
            "Resume",
            "QuotaClear",
            "Recover",
            "Shutdown",
            "SessionForget",
            "WorkspaceRestore",
            "WorkspaceRemove",
            "Hold",
            "Prune",
            "Release",
            "Backup",
            "Reload",
        ];
        let set = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let services = set.file.iter().flat_map(|file| &file.service);
        let control = services.filter(|service| service.name() == "Control");
        let mut calls: Vec<&str> = control
            .flat_map(|service| &service.method)
            .map(|method| method.name())
            .collect();
        let mut known: Vec<&str> = READS.iter().chain(&OWN).chain(&changes).copied().collect();
        calls.sort_unstable();
        known.sort_unstable();
        assert_eq!(calls, known);
        assert!(is_free("/agentd.v1.Control/Get"));
        assert!(is_free("/agentd.v1.Control/Report"));
        for change in changes {
            let path = format!("/agentd.v1.Control/{change}");
            assert!(!is_free(&path) && least(&path) == Role::Operator);
        }
        // What an agent may say of itself is nothing that a viewer may.
        assert_eq!(least("/agentd.v1.Control/Report"), Role::Operator);
        assert_eq!(least("/agentd.v1.Control/Logs"), Role::Viewer);
        assert!(!is_free("") && !is_free("/agentd.v1.Control/ReportX"));
    }
}
