//! A daemon that says what it was told to say, on a temporary socket.

pub(crate) mod data;
mod service;

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use agentd_proto::{
    reason,
    v1::{self, State, control_server::ControlServer},
};
use tokio::{net::UnixListener, runtime::Runtime};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Code, Status, transport::Server};
use tonic_types::{ErrorDetails, StatusExt as _};

use service::Canned;

/// What to answer, and what was asked.
#[derive(Default)]
pub(crate) struct Script {
    /// Answers to Get, List and Cancel.
    pub(crate) tasks: BTreeMap<u64, v1::GetResponse>,
    /// Answers to Logs, one a call; when they are used up, calls hang.
    pub(crate) logs: VecDeque<LogsAnswer>,
    /// Answers to Wait, one a call; when they are used up, calls hang.
    pub(crate) waits: VecDeque<Result<v1::WaitResponse, Status>>,
    /// Events of Watch and how they end, one a call.
    pub(crate) watches: VecDeque<(Vec<v1::Event>, End)>,
    /// What the tasks are after the first call of Watch.
    pub(crate) later: Option<BTreeMap<u64, v1::GetResponse>>,
    /// Answers to Rerun, one a call.
    pub(crate) reruns: VecDeque<Result<v1::SubmitResponse, Status>>,
    /// Further matches that List claims.
    pub(crate) more: u64,
    /// Attempts that Status says look dead.
    pub(crate) held: u64,
    /// What Reload finds wrong.
    pub(crate) problems: Vec<String>,
    /// Every question in order.
    pub(crate) asked: Vec<Asked>,
}

/// A stream of chunks and how it ends.
pub(crate) struct LogsAnswer {
    pub(crate) chunks: Vec<v1::LogsResponse>,
    pub(crate) end: End,
}

/// How a stream ends.
pub(crate) enum End {
    Clean,
    Status(Status),
    /// Not at all.
    Open,
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asked {
    Submit(Box<v1::SubmitRequest>),
    List(v1::ListRequest),
    Logs(v1::LogsRequest),
    Wait(v1::WaitRequest),
    Watch(v1::WatchRequest),
    Rerun(Box<v1::RerunRequest>),
    Cancel(Vec<u64>),
}

/// A server; it crashes when it is dropped.
pub(crate) struct Daemon {
    pub(crate) script: Arc<Mutex<Script>>,
    runtime: Option<Runtime>,
}

impl Daemon {
    pub(crate) fn start(socket: &Path, script: Script) -> Self {
        let script = Arc::new(Mutex::new(script));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        // The socket of one that has crashed before.
        if socket.exists() {
            fs::remove_file(socket).unwrap();
        }
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(socket).unwrap()
        };
        let service = ControlServer::new(Canned(Arc::clone(&script)));
        runtime.spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(UnixListenerStream::new(listener)),
        );
        Self {
            script,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().asked.clone()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Every connection breaks here.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// A directory for a socket, and the socket's path in it.
pub(crate) fn socket() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agentd.sock");
    (dir, path)
}

/// A task with one attempt that has ended, or goes on.
pub(crate) fn task(id: u64, state: State, code: Option<i32>) -> v1::GetResponse {
    let ended_at = if code.is_some() { 4_200 } else { 0 };
    let attempt = v1::Attempt {
        task: id,
        number: 1,
        started_at: 1_000,
        ended_at,
        exit: code.map(|code| v1::Exit {
            code: Some(code),
            ..v1::Exit::default()
        }),
        ..v1::Attempt::default()
    };
    let task = v1::Task {
        id,
        revision: id * 10,
        agent: "shell".to_owned(),
        state: state.into(),
        created_at: 900,
        finished_at: ended_at,
        attempts: 1,
        attempt: Some(attempt.clone()),
        ..v1::Task::default()
    };
    v1::GetResponse {
        task: Some(task),
        attempts: vec![attempt],
        reruns: Vec::new(),
    }
}

/// A chunk of one line of stdout.
pub(crate) fn chunk(attempt: u32, text: &str, next_offset: u64) -> v1::LogsResponse {
    v1::LogsResponse {
        attempt,
        lines: vec![line(v1::log_line::Stream::Stdout, text)],
        next_offset,
    }
}

pub(crate) fn line(stream: v1::log_line::Stream, text: &str) -> v1::LogLine {
    v1::LogLine {
        at: 1_000,
        stream: stream.into(),
        partial: false,
        data: text.as_bytes().to_vec(),
    }
}

/// A status as the daemon words it.
pub(crate) fn status(code: Code, why: &str, message: &str) -> Status {
    let details = ErrorDetails::with_error_info(why, reason::DOMAIN, [] as [(String, String); 0]);
    Status::with_error_details(code, message, details)
}
