//! What can be asked of the daemon.
//!
//! Every question here may be asked twice without harm (a submit carries a
//! request id), so a call that was lost because the daemon restarts is made
//! again for a while. Streams are not: only whoever reads one knows where to
//! go on, see [`crate::follow`].

use std::{path::Path, sync::Arc, time::Duration};

use agentd_proto::{
    MAX_MESSAGE,
    v1::{self, control_client::ControlClient, metrics_request::Format},
};
use tokio::time::timeout;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::{
    error::{Error, Kind, is_lost},
    reconnect::{Backoff, QUESTION},
    socket::{Refusal, Sockets, most_telling},
};

/// How long a question may take before the daemon counts as stuck.
const ANSWER: Duration = Duration::from_secs(30);

type Control = ControlClient<Channel>;

/// A connection to the daemon; it comes back by itself when it was lost.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    control: Control,
    patience: Duration,
    /// The command that starts a daemon where this one was; empty: nobody knows.
    start: Arc<str>,
}

impl Client {
    /// Connects to the first socket that answers.
    ///
    /// # Errors
    /// Why each one tried did not.
    pub(crate) async fn connect(sockets: &Sockets) -> Result<Self, Vec<Refusal>> {
        let mut refusals = Vec::new();
        for path in &sockets.paths {
            match Self::connect_to(path).await {
                Ok(client) => {
                    return Ok(Self {
                        start: sockets.start.as_str().into(),
                        ..client
                    });
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(refusals)
    }

    /// Connects, or says why not.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) async fn reach(sockets: &Sockets) -> Result<Self, Error> {
        let connected = Self::connect(sockets).await;
        connected.map_err(|refusals| unreachable(refusals, &sockets.start))
    }

    /// Connects to one socket.
    ///
    /// # Errors
    /// Why it does not answer.
    pub(crate) async fn connect_to(path: &Path) -> Result<Self, Refusal> {
        if let Some(refusal) = Refusal::beforehand(path) {
            return Err(refusal);
        }
        let endpoint = Endpoint::from_shared(format!("unix://{}", path.display()))
            .map_err(|error| Refusal::of(path, &error))?
            .connect_timeout(Duration::from_secs(5));
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| Refusal::of(path, &error))?;
        Ok(Self {
            control: ControlClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
            patience: QUESTION,
            start: "".into(),
        })
    }

    /// The command that starts a daemon where this one was; empty: nobody knows.
    pub(crate) fn start(&self) -> &Arc<str> {
        &self.start
    }

    /// The same connection, whose questions wait longer for a daemon that
    /// went away.
    pub(crate) fn patient(&self, patience: Duration) -> Self {
        Self {
            patience,
            ..self.clone()
        }
    }

    /// Makes one call, again if it was lost on the way.
    async fn ask<Q, R>(
        &self,
        question: Q,
        call: impl AsyncFn(Control, Request<Q>) -> Result<Response<R>, Status>,
    ) -> Result<R, Error>
    where
        Q: Clone,
    {
        self.ask_anew(|_| question.clone(), call).await
    }

    /// As [`Self::ask`], for a question that says whether it was sent before.
    async fn ask_anew<Q, R>(
        &self,
        question: impl Fn(bool) -> Q,
        call: impl AsyncFn(Control, Request<Q>) -> Result<Response<R>, Status>,
    ) -> Result<R, Error> {
        let mut backoff = Backoff::new(self.patience);
        loop {
            let request = Request::new(question(!backoff.is_fresh()));
            match timeout(ANSWER, call(self.control.clone(), request)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) if is_lost(&status) && backoff.pause().await => {}
                Ok(Err(status)) => return Err(status.into()),
                Err(_) => return Err(stuck()),
            }
        }
    }

    pub(crate) async fn submit(&self, q: v1::SubmitRequest) -> Result<v1::SubmitResponse, Error> {
        self.ask(q, async |mut c, q| c.submit(q).await).await
    }

    pub(crate) async fn rerun(&self, q: v1::RerunRequest) -> Result<v1::SubmitResponse, Error> {
        self.ask(q, async |mut c, q| c.rerun(q).await).await
    }

    pub(crate) async fn get(&self, id: u64) -> Result<v1::GetResponse, Error> {
        let q = v1::GetRequest { id };
        self.ask(q, async |mut c, q| c.get(q).await).await
    }

    pub(crate) async fn explain(&self, id: u64) -> Result<v1::ExplainResponse, Error> {
        let q = v1::ExplainRequest { id };
        self.ask(q, async |mut c, q| c.explain(q).await).await
    }

    pub(crate) async fn list(&self, q: v1::ListRequest) -> Result<v1::ListResponse, Error> {
        self.ask(q, async |mut c, q| c.list(q).await).await
    }

    /// Cancels what the question names, or kills its agents; whether the
    /// question was sent before is added.
    pub(crate) async fn cancel(
        &self,
        question: v1::CancelRequest,
        kill: bool,
    ) -> Result<v1::CancelResponse, Error> {
        let q = |repeated| v1::CancelRequest {
            repeated,
            ..question.clone()
        };
        if kill {
            self.ask_anew(q, async |mut c, q| c.kill(q).await).await
        } else {
            self.ask_anew(q, async |mut c, q| c.cancel(q).await).await
        }
    }

    pub(crate) async fn hold(&self, id: u64) -> Result<v1::HoldResponse, Error> {
        let q = v1::HoldRequest { id };
        self.ask(q, async |mut c, q| c.hold(q).await).await
    }

    pub(crate) async fn release(&self, id: u64) -> Result<v1::HoldResponse, Error> {
        let q = v1::HoldRequest { id };
        self.ask(q, async |mut c, q| c.release(q).await).await
    }

    pub(crate) async fn pause(&self, agent: String) -> Result<v1::PauseResponse, Error> {
        let q = v1::PauseRequest { agent };
        self.ask(q, async |mut c, q| c.pause(q).await).await
    }

    pub(crate) async fn resume(&self, agent: String) -> Result<v1::PauseResponse, Error> {
        let q = v1::PauseRequest { agent };
        self.ask(q, async |mut c, q| c.resume(q).await).await
    }

    pub(crate) async fn schedules(&self) -> Result<v1::SchedulesResponse, Error> {
        let q = v1::SchedulesRequest {};
        self.ask(q, async |mut c, q| c.schedules(q).await).await
    }

    pub(crate) async fn status(&self) -> Result<v1::StatusResponse, Error> {
        let q = v1::StatusRequest {};
        self.ask(q, async |mut c, q| c.status(q).await).await
    }

    pub(crate) async fn diagnose(&self) -> Result<v1::DiagnoseResponse, Error> {
        let q = v1::DiagnoseRequest {};
        self.ask(q, async |mut c, q| c.diagnose(q).await).await
    }

    pub(crate) async fn quota(&self) -> Result<v1::QuotaResponse, Error> {
        let q = v1::QuotaRequest {};
        self.ask(q, async |mut c, q| c.quota(q).await).await
    }

    pub(crate) async fn quota_clear(
        &self,
        account: String,
    ) -> Result<v1::QuotaClearResponse, Error> {
        let q = v1::QuotaClearRequest { account };
        self.ask(q, async |mut c, q| c.quota_clear(q).await).await
    }

    pub(crate) async fn usage(&self, q: v1::UsageRequest) -> Result<v1::UsageResponse, Error> {
        self.ask(q, async |mut c, q| c.usage(q).await).await
    }

    pub(crate) async fn session_list(
        &self,
        q: v1::SessionListRequest,
    ) -> Result<v1::SessionListResponse, Error> {
        self.ask(q, async |mut c, q| c.session_list(q).await).await
    }

    pub(crate) async fn session_show(&self, q: v1::SessionRequest) -> Result<v1::Session, Error> {
        self.ask(q, async |mut c, q| c.session_show(q).await).await
    }

    pub(crate) async fn session_forget(&self, q: v1::SessionRequest) -> Result<v1::Session, Error> {
        self.ask(q, async |mut c, q| c.session_forget(q).await)
            .await
    }

    pub(crate) async fn agents(&self) -> Result<v1::AgentsResponse, Error> {
        let q = v1::AgentsRequest {};
        self.ask(q, async |mut c, q| c.agents(q).await).await
    }

    pub(crate) async fn recover(&self) -> Result<v1::RecoverResponse, Error> {
        let q = v1::RecoverRequest {};
        self.ask(q, async |mut c, q| c.recover(q).await).await
    }

    pub(crate) async fn metrics(&self, format: Format) -> Result<String, Error> {
        let format = format.into();
        let q = v1::MetricsRequest { format };
        let answer = self.ask(q, async |mut c, q| c.metrics(q).await).await?;
        Ok(answer.text)
    }

    pub(crate) async fn reload(&self) -> Result<v1::ReloadResponse, Error> {
        let q = v1::ReloadRequest {};
        self.ask(q, async |mut c, q| c.reload(q).await).await
    }

    pub(crate) async fn backup(&self) -> Result<Streaming<v1::BackupResponse>, Status> {
        let q = v1::BackupRequest {};
        Ok(self.control.clone().backup(q).await?.into_inner())
    }

    pub(crate) async fn report(&self, q: v1::ReportRequest) -> Result<v1::ReportResponse, Error> {
        self.ask(q, async |mut c, q| c.report(q).await).await
    }

    /// Once, without a time limit: the answer may wait for the ends of tasks,
    /// and a daemon that is gone has done what was asked.
    pub(crate) async fn shutdown(
        &self,
        q: v1::ShutdownRequest,
    ) -> Result<v1::ShutdownResponse, Status> {
        Ok(self.control.clone().shutdown(q).await?.into_inner())
    }

    /// Once: the caller knows how much of its time is left.
    pub(crate) async fn wait(&self, q: v1::WaitRequest) -> Result<v1::WaitResponse, Status> {
        Ok(self.control.clone().wait(q).await?.into_inner())
    }

    pub(crate) async fn list_stream(
        &self,
        q: v1::ListRequest,
    ) -> Result<Streaming<v1::Task>, Status> {
        Ok(self.control.clone().list_stream(q).await?.into_inner())
    }

    pub(crate) async fn logs(
        &self,
        q: v1::LogsRequest,
    ) -> Result<Streaming<v1::LogsResponse>, Status> {
        Ok(self.control.clone().logs(q).await?.into_inner())
    }

    pub(crate) async fn workspace_list(&self) -> Result<Streaming<v1::WorkspaceInfo>, Status> {
        let q = v1::WorkspaceListRequest {};
        Ok(self.control.clone().workspace_list(q).await?.into_inner())
    }

    pub(crate) async fn workspace_diff(
        &self,
        q: v1::WorkspaceDiffRequest,
    ) -> Result<Streaming<v1::WorkspaceDiffResponse>, Status> {
        Ok(self.control.clone().workspace_diff(q).await?.into_inner())
    }

    /// Once: a second time the directory is there. Git takes as long as it
    /// takes.
    pub(crate) async fn workspace_restore(
        &self,
        q: v1::WorkspaceRestoreRequest,
    ) -> Result<v1::WorkspaceRestoreResponse, Status> {
        Ok(self
            .control
            .clone()
            .workspace_restore(q)
            .await?
            .into_inner())
    }

    /// Once: a second time the worktree is gone.
    pub(crate) async fn workspace_remove(
        &self,
        q: v1::WorkspaceRemoveRequest,
    ) -> Result<v1::WorkspaceRemoveResponse, Status> {
        Ok(self.control.clone().workspace_remove(q).await?.into_inner())
    }

    /// Once: what is gone is gone.
    pub(crate) async fn prune(
        &self,
        q: v1::PruneRequest,
    ) -> Result<Streaming<v1::PruneResponse>, Status> {
        Ok(self.control.clone().prune(q).await?.into_inner())
    }

    pub(crate) async fn watch(&self, q: v1::WatchRequest) -> Result<Streaming<v1::Event>, Status> {
        Ok(self.control.clone().watch(q).await?.into_inner())
    }
}

fn stuck() -> Error {
    Error::new(Kind::Timeout, "agentd does not answer")
        .because(format!("it was given {} s", ANSWER.as_secs()))
        .hint("look into the log of agentd")
        .unanswered()
}

/// The error of sockets none of which answered.
/// `start` is the command that starts a daemon.
pub(crate) fn unreachable(refusals: Vec<Refusal>, start: &str) -> Error {
    most_telling(refusals).map_or_else(
        || Error::new(Kind::Unreachable, "no socket to reach agentd at"),
        |refusal| refusal.into_error(start),
    )
}
