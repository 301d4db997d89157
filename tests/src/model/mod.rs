//! The project's own model endpoint: what real agent CLIs speak to in tests,
//! instead of the APIs of models.
//!
//! It speaks Anthropic Messages (Claude Code), OpenAI Responses (Codex), OpenAI
//! Chat Completions (opencode) and Gemini's generateContent (Gemini CLI) on
//! loopback. What it answers is a [`Script`] of the test; what it was asked it
//! keeps, which proves for example that a resumed agent knew what was said
//! before. It knows nothing of models: no key is checked, no word is understood.
//! README.md beside this file says what each CLI sends and needs.

mod anthropic;
mod api;
mod body;
mod chat;
mod cli;
mod gemini;
mod request;
mod responses;
mod script;
mod server;
mod tools;

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::{net::TcpSocket, sync::watch};

use self::server::{Shared, Wanted};
pub use self::{
    api::{By, Said},
    cli::{claude, codex, gemini, opencode},
    request::{Purpose, Request},
    script::{Answer, ApiError, Call, Course, Reply, Script, Stop, Usage},
};
use crate::wait::wait_until;

/// A running endpoint. It ends when this is dropped.
#[derive(Debug)]
pub struct ModelEndpoint {
    url: String,
    shared: Arc<Shared>,
    wanted: watch::Sender<Wanted>,
    server: Option<JoinHandle<io::Result<()>>>,
    /// Keeps the port while nobody listens at it.
    _port: TcpSocket,
}

impl ModelEndpoint {
    /// Starts one at a free port.
    ///
    /// # Panics
    /// If the system has none.
    #[must_use]
    pub fn start(script: Script) -> Self {
        Self::start_at(0, script).expect("there is a free port")
    }

    /// Starts one at this port; 0 is any that is free.
    ///
    /// # Errors
    /// The port is taken, or the system refuses.
    pub fn start_at(port: u16, script: Script) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (socket, address) = server::socket(port)?;
        let shared = Arc::new(Shared::new(script));
        let (wanted, receiver) = watch::channel(Wanted::Listen);
        let served = server::serve(shared.clone(), address.port(), receiver);
        let server = thread::Builder::new().name("model endpoint".to_owned());
        let endpoint = Self {
            url: format!("http://{address}"),
            shared,
            wanted,
            server: Some(server.spawn(move || runtime.block_on(served))?),
            _port: socket,
        };
        endpoint.listen(true);
        Ok(endpoint)
    }

    /// What agents are told: `http://127.0.0.1:PORT`. Those that speak OpenAI's
    /// APIs want `/v1` behind it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Environment that has an agent ask the endpoint, too, for whatever it wants
    /// from elsewhere, and get nothing: see [`Purpose::Elsewhere`].
    #[must_use]
    pub fn proxy(&self) -> [(&'static str, &str); 2] {
        [("HTTPS_PROXY", &self.url), ("NO_PROXY", "127.0.0.1")]
    }

    /// What it was asked, oldest first; the first thousand.
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<Request>> {
        self.shared.requests()
    }

    /// Those of them that are steps of an agent's work.
    #[must_use]
    pub fn turns(&self) -> Vec<Arc<Request>> {
        let mut requests = self.requests();
        requests.retain(|request| request.purpose == Purpose::Turn);
        requests
    }

    /// From now on it answers by this script.
    pub fn set_script(&self, script: Script) {
        self.shared.set_script(script);
    }

    /// Nobody listens any more: connections are refused, and those that are
    /// there are closed.
    ///
    /// # Panics
    /// If the server does not obey.
    pub fn refuse(&self) {
        self.listen(false);
    }

    /// Listens again, at the same port.
    ///
    /// # Panics
    /// If the server does not obey.
    pub fn listen_again(&self) {
        self.listen(true);
    }

    fn listen(&self, listen: bool) {
        let wanted = if listen {
            Wanted::Listen
        } else {
            Wanted::Refuse
        };
        // A server that is told what it does already would begin anew.
        self.wanted
            .send_if_modified(|now| std::mem::replace(now, wanted) != wanted);
        wait_until("the endpoint obeys", || self.shared.listening() == listen);
    }
}

impl Drop for ModelEndpoint {
    fn drop(&mut self) {
        self.wanted.send_replace(Wanted::Stop);
        let Some(server) = self.server.take() else {
            return;
        };
        let served = server.join();
        if !thread::panicking() {
            served
                .expect("the endpoint does not panic")
                .expect("the endpoint can listen");
        }
    }
}
