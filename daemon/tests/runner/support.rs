//! A daemon that does what a test says, and real runners.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "part of a test, which starts runners"
)]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    pin::Pin,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use agentd::{
    process::{Marker, with_marker},
    spool::{AttemptDir, Launch, LockState, Reads, Stdin},
    task::{
        attempt::RunResult,
        id::{AttemptId, Nonce, TaskId},
    },
    transcript::{Reader, Record, Stream},
};
use agentd_proto::v1::{
    self, DaemonMessage, Exited, Register, RunnerMessage, Started, daemon_message,
    runner_message::Message,
    runner_server::{Runner, RunnerServer},
};
use tokio::{net::UnixListener, runtime::Runtime, sync::mpsc as channel};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds something.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// One connection of a runner, as the daemon sees it.
pub(crate) struct Connection {
    pub(crate) register: Register,
    said: mpsc::Receiver<Message>,
    say: channel::Sender<Result<DaemonMessage, Status>>,
}

impl Connection {
    pub(crate) fn say(&self, message: daemon_message::Message) {
        let message = Some(message);
        self.say
            .blocking_send(Ok(DaemonMessage { message }))
            .unwrap();
    }

    pub(crate) fn go(&self) {
        self.say(daemon_message::Message::Go(v1::Go {}));
    }

    pub(crate) fn ack(&self) {
        self.say(daemon_message::Message::Ack(v1::Ack {}));
    }

    pub(crate) fn stop(&self, grace: Duration) {
        let grace = u64::try_from(grace.as_millis()).unwrap();
        let reason = "cancelled".to_owned();
        self.say(daemon_message::Message::Stop(v1::Stop { reason, grace }));
    }

    pub(crate) fn fence(&self) {
        let why = "replaced".to_owned();
        self.say(daemon_message::Message::Fenced(v1::Fenced { why }));
    }

    /// What the runner says next.
    pub(crate) fn next(&self) -> Message {
        self.said.recv_timeout(PATIENCE).expect("the runner speaks")
    }

    pub(crate) fn started(&self) -> Started {
        loop {
            if let Message::Started(started) = self.next() {
                return started;
            }
        }
    }

    pub(crate) fn exited(&self) -> Exited {
        loop {
            if let Message::Exited(exited) = self.next() {
                return exited;
            }
        }
    }

    pub(crate) fn heartbeat(&self) -> v1::Heartbeat {
        loop {
            if let Message::Heartbeat(beat) = self.next() {
                return beat;
            }
        }
    }
}

/// The daemon's socket, and who connects to it. Dropping it is its death.
pub(crate) struct Daemon {
    runtime: Option<Runtime>,
    connections: mpsc::Receiver<Connection>,
}

impl Daemon {
    pub(crate) fn start(socket: &Path) -> Self {
        fs::remove_file(socket).ok();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (connected, connections) = mpsc::channel();
        let _guard = runtime.enter();
        let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
        let service = RunnerServer::new(Service { connected });
        runtime.spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        let runtime = Some(runtime);
        Self {
            runtime,
            connections,
        }
    }

    /// The next runner that registers.
    pub(crate) fn connection(&self) -> Connection {
        self.connections
            .recv_timeout(PATIENCE)
            .expect("a runner registers")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

struct Service {
    connected: mpsc::Sender<Connection>,
}

#[tonic::async_trait]
impl Runner for Service {
    type AttachStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<DaemonMessage, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<RunnerMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.and_then(|first| first.message);
        let Some(Message::Register(register)) = first else {
            return Err(Status::invalid_argument("the first message registers"));
        };
        let (tell, said) = mpsc::channel();
        let (say, saying) = channel::channel(8);
        tokio::runtime::Handle::current().spawn(async move {
            while let Ok(Some(message)) = messages.message().await {
                tell.send(message.message.unwrap()).ok();
            }
        });
        let connection = Connection {
            register,
            said,
            say,
        };
        self.connected.send(connection).ok();
        Ok(Response::new(Box::pin(ReceiverStream::new(saying))))
    }
}

/// The files of one attempt, and what it is to run.
pub(crate) struct Case {
    base: tempfile::TempDir,
    pub(crate) dir: AttemptDir,
    pub(crate) launch: Launch,
}

impl Case {
    /// An attempt that runs this script.
    pub(crate) fn new(script: &str) -> Self {
        let base = tempfile::tempdir().unwrap();
        let attempt = AttemptId {
            task: TaskId::new(42).unwrap(),
            number: 1,
        };
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        let launch = Launch {
            attempt,
            nonce: Nonce(nonce),
            socket: base.path().join("s"),
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: [("PATH".to_owned(), std::env::var("PATH").unwrap())].into(),
            cwd: base.path().to_owned(),
            stdin: Stdin::Empty,
            polite_signal: 15,
            start_timeout: 60_000,
            result_grace: 10_000,
            kill_grace: 60_000,
            heartbeat: 50,
            idle_timeout: None,
            tool_idle_timeout: None,
            transcript_limit: 8 << 20,
            reads: Reads::Nothing,
            fallback: None,
            setup: None,
            sandbox: None,
            notes: Vec::new(),
            open_files: None,
            cgroup: None,
            scope: None,
            memory: None,
            pids: None,
            cpu: None,
        };
        let dir = AttemptDir::of(base.path(), attempt);
        dir.create().unwrap();
        Self { base, dir, launch }
    }

    pub(crate) fn daemon(&self) -> Daemon {
        Daemon::start(&self.launch.socket)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// Starts the runner as the daemon does.
    pub(crate) fn runner(&self) -> RunnerProcess {
        self.dir.write_launch(&self.launch, "do it\n").unwrap();
        let lock = self.dir.lock_for_runner().unwrap().into_stdin();
        self.runner_with(lock)
    }

    pub(crate) fn runner_with(&self, stdin: Stdio) -> RunnerProcess {
        let child = Command::new(env!("CARGO_BIN_EXE_agentd"))
            .arg("runner")
            .arg(self.dir.path())
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(File::create(self.dir.runner_log()).unwrap())
            .spawn()
            .unwrap();
        RunnerProcess(child)
    }

    pub(crate) fn marker(&self) -> Marker {
        Marker::new(self.launch.attempt, self.launch.nonce)
    }

    /// Fails if a process of the agent lives.
    pub(crate) fn assert_tree_is_empty(&self) {
        let left = with_marker(&self.marker()).unwrap();
        assert!(left.is_empty(), "still alive: {left:?}");
    }

    pub(crate) fn result(&self) -> Option<RunResult> {
        self.dir.read_result(self.launch.nonce).unwrap()
    }

    pub(crate) fn lock(&self) -> LockState {
        self.dir.probe_lock().unwrap()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let reader = Reader::open(&self.dir.transcript()).unwrap();
        reader.read(0, usize::MAX).unwrap().records
    }

    /// What the agent wrote there, byte for byte.
    pub(crate) fn written(&self, stream: Stream) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in self.records() {
            if record.stream == stream {
                bytes.extend_from_slice(&record.data);
                bytes.extend_from_slice(if record.partial { b"" } else { b"\n" });
            }
        }
        bytes
    }

    pub(crate) fn text(&self, stream: Stream) -> String {
        String::from_utf8_lossy(&self.written(stream)).into_owned()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.runner_log()).unwrap()
    }
}

/// A runner that does not outlive its test.
pub(crate) struct RunnerProcess(Child);

impl RunnerProcess {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_until("the runner exits", || self.0.try_wait().unwrap())
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// A figure of `/proc/PID/status`, KiB.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    }
}

impl Drop for RunnerProcess {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
