//! A server on loopback that is sent notices.

use std::{
    collections::VecDeque,
    io::{self, BufRead as _, BufReader, Read as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket,
};
use serde_json::Value;
use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::{schema, wait::wait_until};

/// How long a client may take with its request.
const PATIENCE: Duration = Duration::from_secs(30);

/// The authority that vouches for servers of tests at 127.0.0.1, and nothing else.
pub const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/webhook/authority.pem");
/// What it has signed, and the key to it: from 2020 to 2119.
const CERTIFICATE: &[u8] = include_bytes!("webhook/server.pem");
const KEY: &[u8] = include_bytes!("webhook/server-key.pem");

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It answers with this status and these further lines.
    Status(u16, &'static str),
    /// It never answers.
    Silence,
}

/// What somebody has sent.
#[derive(Debug, Clone)]
pub struct Posted {
    /// `POST /hooks/x HTTP/1.1`.
    pub line: String,
    /// `name: value`, the names in lower case.
    pub headers: Vec<String>,
    /// The document; it keeps to its schema.
    pub notice: Value,
}

/// A server that is told of ends. It answers 200 unless it was told otherwise.
#[derive(Debug)]
pub struct Webhook {
    address: SocketAddr,
    /// Bound, so that the port is nobody else's, and refusing until it listens.
    socket: Option<OwnedFd>,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    posted: Vec<Posted>,
    /// Connections of those who wait in vain.
    silent: Vec<Box<dyn Connection>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Webhook {
    /// A server that has a port and refuses connections.
    ///
    /// # Panics
    /// If there is no port to be had.
    #[must_use]
    pub fn down() -> Self {
        let socket = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .expect("a socket can be made");
        let any = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
        use std::os::fd::AsRawFd as _;
        bind(socket.as_raw_fd(), &any).expect("there is a free port");
        let bound: SockaddrIn = getsockname(socket.as_raw_fd()).expect("it is bound");
        Self {
            address: SocketAddr::from((bound.ip(), bound.port())),
            socket: Some(socket),
            tls: None,
            shared: Arc::default(),
            server: None,
        }
    }

    /// A server that answers whoever trusts [`AUTHORITY`].
    ///
    /// # Panics
    /// If there is no port to be had.
    #[must_use]
    pub fn secure() -> Self {
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("it is one");
        let key = PrivateKeyDer::from_pem_slice(KEY).expect("it is one");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                let config = config.with_no_client_auth();
                config.with_single_cert(vec![certificate], key)
            });
        let mut server = Self::down();
        server.tls = Some(Arc::new(config.expect("they belong together")));
        server.listen();
        server
    }

    /// A server that answers.
    #[must_use]
    pub fn up() -> Self {
        let mut server = Self::down();
        server.listen();
        server
    }

    /// Takes connections from now on.
    ///
    /// # Panics
    /// If it does so already.
    pub fn listen(&mut self) {
        let socket = self.socket.take().expect("it does not listen yet");
        listen(&socket, Backlog::MAXCONN).expect("a bound socket can listen");
        let listener = TcpListener::from(socket);
        let shared = Arc::clone(&self.shared);
        let tls = self.tls.clone();
        self.server = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                // Who leaves in the middle has sent nothing.
                if let Ok(stream) = stream {
                    accept(&shared, tls.as_ref(), stream).ok();
                }
            }
        }));
    }

    /// What it does with the next requests, one each.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.state().answers.extend(answers);
    }

    /// An address of this server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// All that was sent so far, also what it refused.
    #[must_use]
    pub fn posted(&self) -> Vec<Posted> {
        self.shared.state().posted.clone()
    }

    /// The tasks of all that was sent so far.
    #[must_use]
    pub fn tasks(&self) -> Vec<u64> {
        let posted = self.posted();
        let ids = posted.iter().filter_map(|one| one.notice["id"].as_u64());
        ids.collect()
    }

    /// Waits until so much was sent.
    #[track_caller]
    pub fn wait(&self, count: usize) {
        wait_until("it was told", || self.shared.state().posted.len() >= count);
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let Some(server) = self.server.take() else {
            return;
        };
        self.shared.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        let ended = server.join();
        assert!(ended.is_ok() || std::thread::panicking(), "it panicked");
    }
}

/// Bytes in both directions.
trait Connection: io::Read + io::Write + Send + std::fmt::Debug {}
impl<T: io::Read + io::Write + Send + std::fmt::Debug> Connection for T {}

fn accept(shared: &Shared, tls: Option<&Arc<ServerConfig>>, stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let Some(tls) = tls else {
        return serve(shared, Box::new(stream));
    };
    let connection = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
    serve(shared, Box::new(StreamOwned::new(connection, stream)))
}

/// Reads one request and answers it.
fn serve(shared: &Shared, stream: Box<dyn Connection>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        if name == "content-length" {
            length = value.parse().map_err(io::Error::other)?;
        }
        headers.push(format!("{name}: {value}"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let notice: Value = serde_json::from_slice(&body)?;
    schema::check(&notice);
    let mut stream = reader.into_inner();
    let mut state = shared.state();
    state.posted.push(Posted {
        line: line.trim_end().to_owned(),
        headers,
        notice,
    });
    match state.answers.pop_front() {
        Some(Answer::Silence) => state.silent.push(stream),
        None => reply(&mut *stream, 200, "")?,
        Some(Answer::Status(status, more)) => reply(&mut *stream, status, more)?,
    }
    Ok(())
}

fn reply(stream: &mut dyn Connection, status: u16, more: &str) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status} So\r\n{more}Content-Length: 2\r\n\r\nok");
    stream.write_all(head.as_bytes())?;
    stream.flush()
}
