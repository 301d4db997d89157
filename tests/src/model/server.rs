//! The server: connections in, answers out.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use http_body_util::{BodyExt as _, Limited};
use hyper::{
    Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    task::{JoinError, JoinSet},
};

use super::{
    api::{Api, Refusal, Turn},
    body::{Answered, Watch},
    request::{Asked, Purpose, Request},
    script::{ApiError, Course, Reply, Script},
    tools,
};

/// Requests that are kept; whoever asks more than that goes round in circles.
pub(super) const REQUESTS: usize = 1000;

/// Connections at the same time.
const CONNECTIONS: usize = 256;

/// Bytes of a request.
const BODY: usize = 64 << 20;

/// What the test wants the server to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Listen,
    Refuse,
    Stop,
}

/// What the test and the server both see.
#[derive(Debug)]
pub(super) struct Shared {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    script: Script,
    requests: Vec<Arc<Request>>,
    listening: bool,
}

impl Shared {
    pub(super) fn new(script: Script) -> Self {
        let state = State {
            script,
            requests: Vec::new(),
            listening: false,
        };
        Self {
            started: Instant::now(),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        state.expect("nobody panics while holding it")
    }

    pub(super) fn requests(&self) -> Vec<Arc<Request>> {
        self.state().requests.clone()
    }

    pub(super) fn set_script(&self, script: Script) {
        self.state().script = script;
    }

    pub(super) fn listening(&self) -> bool {
        self.state().listening
    }

    fn set_listening(&self, listening: bool) {
        self.state().listening = listening;
    }

    /// Keeps a request; its number and, for a turn, the reply it takes.
    ///
    /// Both in one step: what a test sees of the requests, it sees of the
    /// script.
    fn take(&self, request: Request) -> Option<(usize, Arc<Request>, Option<Reply>)> {
        let mut state = self.state();
        if state.requests.len() == REQUESTS {
            return None;
        }
        let is_turn = request.purpose == Purpose::Turn;
        let reply = is_turn.then(|| state.script.next(&request.prompts()));
        let request = Arc::new(request);
        state.requests.push(request.clone());
        Some((state.requests.len(), request, reply))
    }
}

/// A socket at a port of loopback, 0 for any that is free. It does not listen,
/// but keeps the port for those at the same port that do.
///
/// # Errors
/// The port is taken, or the system has none.
pub(super) fn socket(port: u16) -> io::Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    // Whoever may share a port gets a free one only if it says so later.
    socket.set_reuseaddr(port != 0)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.set_reuseaddr(true)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// Serves until it is to stop.
///
/// # Errors
/// It cannot listen, or cannot accept.
pub(super) async fn serve(
    shared: Arc<Shared>,
    port: u16,
    mut wanted: watch::Receiver<Wanted>,
) -> io::Result<()> {
    loop {
        let now = *wanted.borrow_and_update();
        match now {
            Wanted::Stop => return Ok(()),
            Wanted::Refuse => {
                shared.set_listening(false);
                if wanted.changed().await.is_err() {
                    return Ok(());
                }
            }
            Wanted::Listen => {
                let (socket, _) = socket(port)?;
                let listener = socket.listen(1024)?;
                shared.set_listening(true);
                tokio::select! {
                    failed = accept(&shared, &listener) => failed?,
                    gone = wanted.changed() => if gone.is_err() { return Ok(()) },
                }
            }
        }
    }
}

/// Takes connections. Whoever drops this closes all of them.
async fn accept(shared: &Arc<Shared>, listener: &TcpListener) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            connection = listener.accept(), if connections.len() < CONNECTIONS => {
                let (stream, _) = connection?;
                let shared = shared.clone();
                let service = service_fn(move |request| answer(shared.clone(), request));
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // It ends with an error when a client leaves or is left.
                connections.spawn(async { drop(connection.await) });
            }
            Some(ended) = connections.join_next() => passed_on(ended),
        }
    }
}

/// A panic of a connection is one of the server.
fn passed_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
) -> io::Result<Response<Answered>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY).collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    let mut asked = Asked::new(shared.started.elapsed(), &head, &body);
    let model = asked.model().to_owned();
    let streams = asked.streams;
    let purpose = asked.request.purpose;
    let api = asked.api.take();
    let Some((number, request, reply)) = shared.take(asked.request) else {
        return Err(io::Error::other("more requests than are kept"));
    };
    let watch = Watch::new(request.clone());
    let Some(api) = api else {
        return Ok(other(purpose, &head, body.len(), watch));
    };
    let mut hash = DefaultHasher::new();
    body.hash(&mut hash);
    let id = format!("{number}_{:x}", hash.finish());
    match reply.unwrap_or_else(|| Reply::text("fine")) {
        Reply::Answer(answer) => {
            let shaped = answer
                .calls
                .iter()
                .map(|call| tools::shape(call, &asked.tools));
            let calls = match shaped.collect() {
                Ok(calls) => calls,
                Err(why) => return Ok(refused(api, &wrong_script(why), watch)),
            };
            let turn = Turn {
                id,
                model: &model,
                answer: &answer,
                calls,
            };
            if streams {
                Ok(stream(api, &turn, watch))
            } else {
                whole(api, &turn, watch).await
            }
        }
        Reply::Error(error) => Ok(refused(api, &error, watch)),
        Reply::UsageLimit { resets_at } => Ok(refusal(api.usage_limit(resets_at), watch)),
        Reply::Hangup => hang_up(watch),
        Reply::NoAnswer => std::future::pending().await,
    }
}

fn other(
    purpose: Purpose,
    head: &hyper::http::request::Parts,
    bytes: usize,
    mut watch: Watch,
) -> Response<Answered> {
    // Of a HEAD nobody takes a body.
    watch.done();
    if purpose == Purpose::Count {
        // Both APIs' words for it.
        let tokens = bytes / 4;
        let body = json!({"input_tokens": tokens, "totalTokens": tokens});
        return document(StatusCode::OK, &body, watch);
    }
    let message = format!("no {} {} here", head.method, head.uri.path());
    let error = json!({"type": "not_found_error", "message": message});
    let body = json!({"type": "error", "error": error});
    document(StatusCode::NOT_FOUND, &body, watch)
}

/// A script that asks for what the agent cannot do: no agent repeats a 400.
fn wrong_script(why: String) -> ApiError {
    ApiError {
        status: 400,
        message: Some(why),
        ..ApiError::default()
    }
}

fn stream(api: &dyn Api, turn: &Turn<'_>, watch: Watch) -> Response<Answered> {
    let body = Answered::events(api.stream(turn), turn.answer.course, watch);
    let mut response = Response::new(body);
    let kind = "text/event-stream; charset=utf-8";
    let kind = kind.parse().expect("it is a valid value");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// An answer that is no stream; what would break the stream breaks it, too.
async fn whole(api: &dyn Api, turn: &Turn<'_>, watch: Watch) -> io::Result<Response<Answered>> {
    match turn.answer.course {
        Course::Whole => {}
        Course::Slow { pause_ms } => {
            let words = u64::try_from(turn.words().count()).unwrap_or(u64::MAX);
            let all = pause_ms.saturating_mul(words);
            tokio::time::sleep(std::time::Duration::from_millis(all)).await;
        }
        Course::Cut | Course::Short => return hang_up(watch),
        Course::Silent => std::future::pending().await,
        Course::Fails => {
            let overloaded = ApiError {
                status: 529,
                ..ApiError::default()
            };
            return Ok(refused(api, &overloaded, watch));
        }
    }
    Ok(document(StatusCode::OK, &api.whole(turn), watch))
}

fn refused(api: &dyn Api, error: &ApiError, watch: Watch) -> Response<Answered> {
    let body = api.error(error);
    let retry_after = error
        .retry_after
        .map(|seconds| (RETRY_AFTER.as_str(), seconds.to_string()));
    let refused = Refusal {
        status: error.status,
        headers: retry_after.into_iter().collect(),
        body,
    };
    refusal(refused, watch)
}

fn refusal(refusal: Refusal, watch: Watch) -> Response<Answered> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = document(status, &refusal.body, watch);
    for (name, value) in refusal.headers {
        let value = value.parse().expect("figures and words are valid values");
        response.headers_mut().insert(name, value);
    }
    response
}

fn document(status: StatusCode, body: &Value, watch: Watch) -> Response<Answered> {
    let mut response = Response::new(Answered::document(body.to_string(), watch));
    *response.status_mut() = status;
    let kind = "application/json".parse().expect("it is a valid value");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Hyper closes the connection of a request that fails.
fn hang_up<T>(mut watch: Watch) -> io::Result<T> {
    watch.done();
    Err(io::ErrorKind::ConnectionReset.into())
}
