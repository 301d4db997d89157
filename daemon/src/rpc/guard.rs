//! Keeps agents from what is not theirs: the processes of an attempt may look,
//! and change nothing but what they report of themselves.
//!
//! An agent runs with its user's rights, so this is no wall against one that
//! breaks in; it is one against an agent that thinks it is helping. It stands
//! before the service and knows which calls only read: a call that is added
//! later is refused until it is named here.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use tonic::{
    body::Body,
    codegen::{Service, http},
    server::NamedService,
};

use super::{
    error::Failure,
    peer::{self, Connection},
};
use crate::dispatcher::Handle;

/// The calls that change nothing.
const READS: [&str; 17] = [
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

/// A service that agents may only read from.
#[derive(Debug, Clone)]
pub(super) struct Guard<S> {
    inner: S,
    /// Knows whether the operator lets them do more now.
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
        let open = self.dispatcher.config().agents_may_control;
        if open || is_free(request.uri().path()) {
            return Box::pin(inner.call(request));
        }
        let caller = request.extensions().get::<Connection>();
        let caller = caller.and_then(|connection| connection.0);
        Box::pin(async move {
            let allowed = match caller {
                Some(peer) => peer.may_control().await,
                None => Err(peer::nobody()),
            };
            match allowed {
                Ok(()) => inner.call(request).await,
                Err(failure) => Ok(refusal(failure)),
            }
        })
    }
}

fn refusal(failure: Failure) -> http::Response<Body> {
    tonic::Status::from(failure).into_http()
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
            assert!(!is_free(&format!("/agentd.v1.Control/{change}")));
        }
        assert!(!is_free("") && !is_free("/agentd.v1.Control/ReportX"));
    }
}
