//! The gRPC services: convert, call the handle, convert.
//!
//! Nothing here decides about tasks or keeps anything. Reads go to snapshots
//! of the store, off the async threads; changes go to the dispatcher. Proto
//! types end here.

mod accept;
mod agents;
mod backup;
mod cancel;
mod control;
mod diagnose;
mod error;
mod explain;
mod from_proto;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod guard;
mod hold;
mod issue;
mod list;
mod logs;
mod metrics;
mod names;
mod pause;
mod peer;
mod prune;
mod query;
mod quota;
mod readable;
mod reload;
mod rerun;
mod runner;
mod schedules;
mod send;
mod sessions;
mod status;
mod tail;
mod to_proto;
mod until;
mod usage;
mod wait;
mod watch;
mod workspace;

use std::{path::PathBuf, sync::Arc};

use agentd_proto::{
    MAX_MESSAGE,
    v1::{self, control_server::ControlServer, runner_server::RunnerServer},
};
use tokio::{net::UnixListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{service::interceptor::InterceptedService, transport::Server};

use self::{
    control::ControlService,
    error::Failure,
    guard::Guard,
    query::{Around, shown},
    runner::RunnerService,
    to_proto::ShownHold,
};
use crate::{
    agents::Surveys,
    backup::Backups,
    config::Config,
    dispatcher::{Handle, Phase, Submitted, Trouble},
    notify::Notices,
    process::Containment,
    reload::Reloader,
    retention::Collector,
    scrape::Scraper,
    spool::StateDir,
    store::{Reader, Store, StoreError},
    task::{
        id::{TaskId, Timestamp},
        state::{State, Task},
    },
};

/// Connections that may wait to be served.
const WAITING: usize = 64;
/// Calls that one connection may have under way; more wait in the client.
const STREAMS: u32 = 128;
/// Longest list of headers of a call, bytes.
const HEADERS: u32 = 16 * 1024;

/// What the services work with.
#[derive(Debug)]
pub struct Shared {
    /// The way to change anything.
    pub dispatcher: Handle,
    /// The way to read.
    pub store: Arc<Store>,
    /// Who copies the store.
    pub backups: Arc<Backups>,
    /// Who reads the configuration anew.
    pub reloader: Arc<Reloader>,
    /// Where transcripts are.
    pub state: StateDir,
    /// Where we listen.
    pub socket: PathBuf,
    /// What the trees of attempts are held by.
    pub containment: Arc<Containment>,
    /// What was seen of agents.
    pub surveys: Arc<Surveys>,
    /// Who collects what is old.
    pub collector: Collector,
    /// Who tells all figures.
    pub scraper: Scraper,
    /// Who sends word of ends.
    pub notices: Arc<Notices>,
    /// When this incarnation began.
    pub started_at: Timestamp,
    /// Cancelled when the daemon is to stop.
    pub stop: CancellationToken,
}

impl Shared {
    /// What holds every queued task.
    fn around(&self) -> Around {
        Around {
            disk_full: matches!(self.dispatcher.trouble(), Some(Trouble::Disk { .. })),
            draining: self.dispatcher.phase() == Phase::Draining,
            recovering: self.dispatcher.phase() == Phase::Recovering,
            now: self.dispatcher.moment(),
            config: self.dispatcher.config(),
        }
    }

    /// A task, with what holds it.
    async fn load(&self, id: TaskId) -> Result<(Task, ShownHold), Failure> {
        let around = self.around();
        let found = self.read(move |reader| {
            let task = reader.task(id)?;
            task.map(|task| shown(reader, task, &around)).transpose()
        });
        self.known(id, found.await?).await
    }

    /// What is answered once a task is stored.
    async fn submitted(&self, submitted: Submitted) -> Result<v1::SubmitResponse, Failure> {
        let Submitted {
            task,
            existing,
            replaced,
        } = submitted;
        // A new one is as it was committed; what has become of an older one, and
        // what a new one waits for, has to be looked up.
        let waits = matches!(task.state, State::Queued(_));
        let (task, hold) = if existing || waits {
            self.load(task.id).await?
        } else {
            (task, ShownHold::None)
        };
        Ok(v1::SubmitResponse {
            task: Some(to_proto::task(&task, hold)),
            existing,
            replaced: replaced.into_iter().map(TaskId::get).collect(),
        })
    }

    /// What was found of a task, or whether it was there once.
    async fn known<T>(&self, id: TaskId, found: Option<T>) -> Result<T, Failure> {
        match found {
            Some(found) => Ok(found),
            None if id < self.read(Reader::next_task).await? => Err(Failure::forgotten(id)),
            None => Err(Failure::not_found(id)),
        }
    }

    /// Runs something that asks the file system or git.
    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Config) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let config = self.dispatcher.config();
        let acting = tokio::task::spawn_blocking(move || act(&config));
        acting.await.unwrap_or_else(|error| {
            let message = error.to_string();
            Err(Failure::new(
                tonic::Code::Internal,
                agentd_proto::reason::STORE_UNAVAILABLE,
                message,
            ))
        })
    }

    /// Reads from a snapshot, off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        let store = Arc::clone(&self.store);
        let reading = tokio::task::spawn_blocking(move || read(&store.reader()?));
        match reading.await {
            Ok(answer) => Ok(answer?),
            Err(error) => Err(Failure::new(
                tonic::Code::Internal,
                agentd_proto::reason::STORE_UNAVAILABLE,
                error.to_string(),
            )),
        }
    }
}

/// Answers on `listener` until `shared.stop`, then lets what is under way end.
///
/// # Errors
/// If the server cannot be set up or fails as a whole.
pub async fn serve(shared: Arc<Shared>, listener: UnixListener) -> anyhow::Result<()> {
    let stop = shared.stop.clone();
    let tracker = TaskTracker::new();
    let runner = RunnerService {
        dispatcher: shared.dispatcher.clone(),
        state: shared.state.clone(),
        tracker: tracker.clone(),
        stop: stop.clone(),
    };
    let (accepted, connections) = mpsc::channel(WAITING);
    let accepting = accept::accept(listener, accepted);
    let until = stop.clone();
    tracker.spawn(async move { until.run_until_cancelled(accepting).await });
    let dispatcher = shared.dispatcher.clone();
    let knows = shared.dispatcher.clone();
    let may_look = move |request| peer::may_look(request, &knows.config().access);
    let control = ControlService::new(shared, tracker.clone());
    let control = ControlServer::new(control)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let control = Guard::new(control, dispatcher);
    let runner = RunnerServer::new(runner).max_decoding_message_size(MAX_MESSAGE);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<ControlServer<ControlService>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Server::builder()
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(HEADERS)
        .add_service(control)
        .add_service(InterceptedService::new(runner, peer::own))
        .add_service(InterceptedService::new(health_service, may_look.clone()))
        .add_service(InterceptedService::new(reflection, may_look))
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), stop.cancelled())
        .await?;
    tracker.close();
    tracker.wait().await;
    Ok(())
}
