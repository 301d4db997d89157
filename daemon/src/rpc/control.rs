//! The service that people and scripts use.

use std::sync::Arc;

use agentd_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

use super::{
    Shared,
    agents::agents,
    backup, cancel,
    diagnose::diagnose,
    error::Failure,
    explain::explain,
    from_proto, hold, list, logs, metrics,
    names::Names,
    pause, peer,
    prune::prune,
    query::whole,
    quota, reload, rerun, schedules, sessions, status,
    until::{Answers, until},
    usage, wait,
    watch::{self, CHUNK},
    workspace,
};
use crate::{
    dispatcher::Heard,
    task::id::{Revision, TaskId},
};

/// Messages that a stream may be ahead of its client.
const AHEAD: usize = 16;

/// The service.
#[derive(Debug)]
pub(super) struct ControlService {
    shared: Arc<Shared>,
    names: Names,
    tracker: TaskTracker,
}

impl ControlService {
    pub(super) fn new(shared: Arc<Shared>, tracker: TaskTracker) -> Self {
        Self {
            shared,
            names: Names::default(),
            tracker,
        }
    }

    async fn user<T: Sync>(&self, request: &Request<T>) -> String {
        self.names.of(peer::of(request)).await
    }

    async fn end(
        &self,
        request: Request<v1::CancelRequest>,
        forced: bool,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        let user = self.user(&request).await;
        let answer = cancel::cancel(&self.shared, request.into_inner(), user, forced).await?;
        Ok(Response::new(answer))
    }

    async fn set_paused(
        &self,
        request: Request<v1::PauseRequest>,
        paused: bool,
    ) -> Result<Response<v1::PauseResponse>, Status> {
        let agent = request.into_inner().agent;
        let answer = pause::set_paused(&self.shared, agent, paused).await?;
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl v1::control_server::Control for ControlService {
    type ListStreamStream = Answers<v1::Task>;
    type LogsStream = Answers<v1::LogsResponse>;
    type WatchStream = Answers<v1::Event>;
    type WorkspaceListStream = Answers<v1::WorkspaceInfo>;
    type PruneStream = Answers<v1::PruneResponse>;
    type WorkspaceDiffStream = Answers<v1::WorkspaceDiffResponse>;
    type BackupStream = Answers<v1::BackupResponse>;

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let user = self.user(&request).await;
        let request = request.into_inner();
        let submission = self
            .shared
            .blocking(move |config| from_proto::submission(request, user, config))
            .await?;
        let submitted = self.shared.dispatcher.submit(submission).await;
        let submitted = submitted.map_err(Failure::from)?;
        Ok(Response::new(self.shared.submitted(submitted).await?))
    }

    async fn get(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<v1::GetResponse>, Status> {
        let id = from_proto::task_id(request.into_inner().id)?;
        let around = self.shared.around();
        let dispatcher = self.shared.dispatcher.clone();
        let found = self
            .shared
            .read(move |reader| whole(reader, id, &around, &dispatcher));
        let answer = self.shared.known(id, found.await?).await?;
        Ok(Response::new(answer))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        let id = from_proto::task_id(request.into_inner().id)?;
        Ok(Response::new(explain(&self.shared, id).await?))
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let answer = list::page(&self.shared, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn list_stream(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<Self::ListStreamStream>, Status> {
        let request = request.into_inner();
        let filter = from_proto::filter(
            request.filter.unwrap_or_default(),
            &self.shared.dispatcher.config(),
        )?;
        let before = from_proto::page_token(&request.page_token)?;
        let (sender, receiver) = mpsc::channel(CHUNK);
        let shared = Arc::clone(&self.shared);
        self.tracker
            .spawn(watch::send_rows(shared, filter, before, sender));
        let rows = ReceiverStream::new(receiver);
        Ok(Response::new(until(self.shared.stop.clone(), rows)))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        self.end(request, false).await
    }

    async fn kill(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        self.end(request, true).await
    }

    async fn hold(
        &self,
        request: Request<v1::HoldRequest>,
    ) -> Result<Response<v1::HoldResponse>, Status> {
        let user = self.user(&request).await;
        let answer = hold::hold(&self.shared, request.into_inner(), user).await?;
        Ok(Response::new(answer))
    }

    async fn release(
        &self,
        request: Request<v1::HoldRequest>,
    ) -> Result<Response<v1::HoldResponse>, Status> {
        let user = self.user(&request).await;
        let answer = hold::release(&self.shared, request.into_inner(), user).await?;
        Ok(Response::new(answer))
    }

    async fn schedules(
        &self,
        _request: Request<v1::SchedulesRequest>,
    ) -> Result<Response<v1::SchedulesResponse>, Status> {
        let answer = schedules::schedules(&self.shared).await?;
        Ok(Response::new(answer))
    }

    async fn rerun(
        &self,
        request: Request<v1::RerunRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let user = self.user(&request).await;
        let order = rerun::order(&self.shared, request.into_inner(), user).await?;
        let submitted = self.shared.dispatcher.rerun(order).await;
        let submitted = submitted.map_err(Failure::from)?;
        Ok(Response::new(self.shared.submitted(submitted).await?))
    }

    async fn logs(
        &self,
        request: Request<v1::LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let shared = Arc::clone(&self.shared);
        let stop = shared.stop.clone();
        let sending = logs::send(shared, request.into_inner(), sender);
        self.tracker.spawn(async move {
            stop.run_until_cancelled(sending).await;
        });
        let lines = ReceiverStream::new(receiver);
        Ok(Response::new(until(self.shared.stop.clone(), lines)))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let request = request.into_inner();
        let task = TaskId::new(request.task);
        let mut revisions = self.shared.dispatcher.revisions();
        let after = match (request.after_revision, request.from_start) {
            (0, false) => *revisions.borrow_and_update(),
            (revision, _) => Revision(revision),
        };
        if let Some(id) = task {
            self.shared.load(id).await?;
        }
        let (sender, receiver) = mpsc::channel(CHUNK);
        let shared = Arc::clone(&self.shared);
        self.tracker
            .spawn(watch::send(shared, revisions, after, task, sender));
        let events = ReceiverStream::new(receiver);
        Ok(Response::new(until(self.shared.stop.clone(), events)))
    }

    async fn wait(
        &self,
        request: Request<v1::WaitRequest>,
    ) -> Result<Response<v1::WaitResponse>, Status> {
        let answer = wait::wait(&self.shared, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn pause(
        &self,
        request: Request<v1::PauseRequest>,
    ) -> Result<Response<v1::PauseResponse>, Status> {
        self.set_paused(request, true).await
    }

    async fn resume(
        &self,
        request: Request<v1::PauseRequest>,
    ) -> Result<Response<v1::PauseResponse>, Status> {
        self.set_paused(request, false).await
    }

    async fn status(
        &self,
        _request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        Ok(Response::new(status::status(&self.shared).await?))
    }

    async fn quota(
        &self,
        _request: Request<v1::QuotaRequest>,
    ) -> Result<Response<v1::QuotaResponse>, Status> {
        let overview = self.shared.dispatcher.overview().await;
        let overview = overview.map_err(Failure::from)?;
        let accounts = quota::accounts(&self.shared, &overview).await?;
        Ok(Response::new(v1::QuotaResponse { accounts }))
    }

    async fn quota_clear(
        &self,
        request: Request<v1::QuotaClearRequest>,
    ) -> Result<Response<v1::QuotaClearResponse>, Status> {
        let cleared = quota::clear(&self.shared, request.into_inner().account).await?;
        Ok(Response::new(v1::QuotaClearResponse { cleared }))
    }

    async fn usage(
        &self,
        request: Request<v1::UsageRequest>,
    ) -> Result<Response<v1::UsageResponse>, Status> {
        let question = usage::question(request.into_inner())?;
        let now = self.shared.dispatcher.moment();
        let answer = self
            .shared
            .read(move |reader| usage::usage(reader, &question, now));
        Ok(Response::new(answer.await?))
    }

    async fn session_list(
        &self,
        request: Request<v1::SessionListRequest>,
    ) -> Result<Response<v1::SessionListResponse>, Status> {
        Ok(sessions::list(&self.shared, request).await?)
    }

    async fn session_show(
        &self,
        request: Request<v1::SessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        Ok(sessions::show(&self.shared, request).await?)
    }

    async fn session_forget(
        &self,
        request: Request<v1::SessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        Ok(sessions::forget(&self.shared, request).await?)
    }

    async fn agents(
        &self,
        _request: Request<v1::AgentsRequest>,
    ) -> Result<Response<v1::AgentsResponse>, Status> {
        Ok(Response::new(agents(&self.shared).await?))
    }

    async fn diagnose(
        &self,
        _request: Request<v1::DiagnoseRequest>,
    ) -> Result<Response<v1::DiagnoseResponse>, Status> {
        Ok(Response::new(diagnose(&self.shared).await?))
    }

    async fn recover(
        &self,
        _request: Request<v1::RecoverRequest>,
    ) -> Result<Response<v1::RecoverResponse>, Status> {
        let confirmed = self.shared.dispatcher.recover().await;
        Ok(Response::new(v1::RecoverResponse {
            confirmed: confirmed.map_err(Failure::from)?,
        }))
    }

    async fn workspace_list(
        &self,
        _request: Request<v1::WorkspaceListRequest>,
    ) -> Result<Response<Self::WorkspaceListStream>, Status> {
        let found = workspace::list(Arc::clone(&self.shared), &self.tracker);
        Ok(Response::new(until(self.shared.stop.clone(), found)))
    }

    async fn workspace_diff(
        &self,
        request: Request<v1::WorkspaceDiffRequest>,
    ) -> Result<Response<Self::WorkspaceDiffStream>, Status> {
        let pieces = workspace::diff(&self.shared, request.into_inner()).await?;
        Ok(Response::new(until(self.shared.stop.clone(), pieces)))
    }

    async fn workspace_restore(
        &self,
        request: Request<v1::WorkspaceRestoreRequest>,
    ) -> Result<Response<v1::WorkspaceRestoreResponse>, Status> {
        let answer = workspace::restore(&self.shared, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn workspace_remove(
        &self,
        request: Request<v1::WorkspaceRemoveRequest>,
    ) -> Result<Response<v1::WorkspaceRemoveResponse>, Status> {
        let answer = workspace::remove(&self.shared, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn backup(
        &self,
        _request: Request<v1::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let pieces = backup::backup(&self.shared, &self.tracker);
        Ok(Response::new(until(self.shared.stop.clone(), pieces)))
    }

    async fn metrics(
        &self,
        request: Request<v1::MetricsRequest>,
    ) -> Result<Response<v1::MetricsResponse>, Status> {
        let format = metrics::format(request.into_inner())?;
        let answer = metrics::metrics(&self.shared, format).await?;
        Ok(Response::new(answer))
    }

    async fn reload(
        &self,
        _request: Request<v1::ReloadRequest>,
    ) -> Result<Response<v1::ReloadResponse>, Status> {
        Ok(Response::new(reload::reload(&self.shared).await?))
    }

    async fn prune(
        &self,
        request: Request<v1::PruneRequest>,
    ) -> Result<Response<Self::PruneStream>, Status> {
        let request = request.into_inner();
        let items = prune(Arc::clone(&self.shared), request, &self.tracker);
        Ok(Response::new(until(self.shared.stop.clone(), items)))
    }

    async fn shutdown(
        &self,
        request: Request<v1::ShutdownRequest>,
    ) -> Result<Response<v1::ShutdownResponse>, Status> {
        let how = from_proto::shut_down(&request.into_inner())?;
        let running = self.shared.dispatcher.shut_down(how).await;
        Ok(Response::new(v1::ShutdownResponse {
            running: running.map_err(Failure::from)?,
        }))
    }

    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        let statement = from_proto::statement(request.into_inner())?;
        let heard = self.shared.dispatcher.say(statement).await;
        let heard = heard.map_err(Failure::from)?;
        Ok(Response::new(v1::ReportResponse {
            dropped: heard == Heard::Enough,
        }))
    }
}
