//! The registry of sessions, as people ask for it.

use agentd_proto::{reason, v1};
use tonic::{Code, Request, Response};

use super::{Shared, error::Failure, to_proto};
use crate::{
    dispatcher::ForgetError,
    store::{COUNT_BOUND, SessionFilter},
    task::{
        limits::clip,
        observed::is_session,
        session::{Session, Standing},
    },
};

/// Rows of an answer if the client names no number, and at the most.
const PAGE: (usize, usize) = (50, 1000);
/// Of what was asked for, what an answer repeats, bytes.
const SHOWN: usize = 200;

/// The newest matching sessions.
pub(super) async fn list(
    shared: &Shared,
    request: Request<v1::SessionListRequest>,
) -> Result<Response<v1::SessionListResponse>, Failure> {
    let request = request.into_inner();
    let standings = request.standings.iter().map(|word| {
        let found = Standing::ALL.into_iter().find(|s| s.as_str() == word);
        found.ok_or_else(|| {
            let word = clip(word, SHOWN);
            Failure::field("standings", format!("unknown standing {word:?}"))
        })
    });
    let filter = SessionFilter {
        agent: (!request.agent.is_empty()).then_some(request.agent),
        standings: standings.collect::<Result<_, _>>()?,
    };
    let limit = match usize::try_from(request.page_size).unwrap_or(usize::MAX) {
        0 => PAGE.0,
        size => size.min(PAGE.1),
    };
    let listing = shared
        .read(move |reader| reader.sessions(&filter, limit))
        .await?;
    Ok(Response::new(v1::SessionListResponse {
        sessions: listing.sessions.iter().map(to_proto::session).collect(),
        more: listing.more,
        more_is_bound: listing.more >= COUNT_BOUND,
    }))
}

/// One session.
pub(super) async fn show(
    shared: &Shared,
    request: Request<v1::SessionRequest>,
) -> Result<Response<v1::Session>, Failure> {
    let session = find(shared, request).await?;
    Ok(Response::new(to_proto::session(&session)))
}

/// Takes a session out of the registry.
pub(super) async fn forget(
    shared: &Shared,
    request: Request<v1::SessionRequest>,
) -> Result<Response<v1::Session>, Failure> {
    let session = find(shared, request).await?;
    let (agent, id) = (session.agent.clone(), session.id.clone());
    let forgotten = shared.dispatcher.forget_session(agent, id).await;
    forgotten.map_err(|error| match error {
        ForgetError::NotFound => not_found(&session.id),
        ForgetError::InUse(attempt) => Failure::new(
            Code::FailedPrecondition,
            reason::SESSION_IN_USE,
            format!("session {}: {error}", session.id),
        )
        .hint(format!(
            "agentctl wait {0}, or agentctl cancel {0}, then forget it",
            attempt.task
        )),
        ForgetError::Unavailable(unavailable) => unavailable.into(),
    })?;
    Ok(Response::new(to_proto::session(&session)))
}

/// The session of this id; of this agent, or of the only one that has it.
async fn find(shared: &Shared, request: Request<v1::SessionRequest>) -> Result<Session, Failure> {
    let v1::SessionRequest { id, agent } = request.into_inner();
    if !is_session(&id) {
        return Err(Failure::field("id", "this cannot be the id of a session")
            .hint("agentctl sessions lists them"));
    }
    let wanted = id.clone();
    let found = shared.read(move |reader| reader.sessions_called(&wanted));
    let mut found = found.await?;
    found.retain(|session| agent.is_empty() || session.agent == agent);
    match found.as_slice() {
        [] => Err(not_found(&id)),
        [one] => Ok(one.clone()),
        [one, another, ..] => Err(Failure::field(
            "agent",
            format!(
                "several agents have a session {id}: {}, {}",
                one.agent, another.agent
            ),
        )
        .hint("say which with --agent")),
    }
}

fn not_found(id: &str) -> Failure {
    Failure::new(
        Code::NotFound,
        reason::SESSION_NOT_FOUND,
        format!("there is no session {id}"),
    )
    .hint("agentctl sessions lists them")
}
