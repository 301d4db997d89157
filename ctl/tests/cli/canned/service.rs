//! The service: answers from the script, and what is the same in all tests.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use agentd_proto::{
    reason,
    v1::{self, control_server::Control},
};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status};

use super::{Asked, End, LogsAnswer, Script, data, status};

type Reply<T> = Result<Response<T>, Status>;
type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(super) struct Canned(pub(super) Arc<Mutex<Script>>);

impl Canned {
    fn ask(&self, asked: Asked) -> std::sync::MutexGuard<'_, Script> {
        let mut script = self.0.lock().unwrap();
        script.asked.push(asked);
        script
    }

    fn find(&self, id: u64) -> Result<v1::GetResponse, Status> {
        let script = self.0.lock().unwrap();
        script.tasks.get(&id).cloned().ok_or_else(|| {
            let message = format!("no task {id}");
            status(Code::NotFound, reason::TASK_NOT_FOUND, &message)
        })
    }
}

fn ending<T: Send + 'static>(items: Vec<T>, end: End) -> Items<T> {
    let items = tokio_stream::iter(items.into_iter().map(Ok));
    match end {
        End::Clean => Box::pin(items),
        End::Status(status) => Box::pin(items.chain(tokio_stream::once(Err(status)))),
        End::Open => Box::pin(items.chain(tokio_stream::pending())),
    }
}

#[tonic::async_trait]
impl Control for Canned {
    type ListStreamStream = Items<v1::Task>;
    type LogsStream = Items<v1::LogsResponse>;
    type WatchStream = Items<v1::Event>;
    type WorkspaceListStream = Items<v1::WorkspaceInfo>;
    type PruneStream = Items<v1::PruneResponse>;
    type WorkspaceDiffStream = Items<v1::WorkspaceDiffResponse>;
    type BackupStream = Items<v1::BackupResponse>;

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Reply<v1::SubmitResponse> {
        let script = self.ask(Asked::Submit(Box::new(request.into_inner())));
        let task = script
            .tasks
            .values()
            .next()
            .and_then(|got| got.task.clone());
        Ok(Response::new(v1::SubmitResponse {
            task,
            ..v1::SubmitResponse::default()
        }))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Reply<v1::GetResponse> {
        self.find(request.into_inner().id).map(Response::new)
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Reply<v1::ExplainResponse> {
        let got = self.find(request.into_inner().id)?;
        Ok(Response::new(data::explained(got)))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Reply<v1::ListResponse> {
        let request = request.into_inner();
        let states = request.filter.clone().unwrap_or_default().states;
        let script = self.ask(Asked::List(request));
        let tasks = script.tasks.values().rev();
        let tasks = tasks.filter_map(|got| got.task.clone());
        let of_state = |task: &v1::Task| states.is_empty() || states.contains(&task.state);
        Ok(Response::new(v1::ListResponse {
            tasks: tasks.filter(of_state).collect(),
            more: script.more,
            ..v1::ListResponse::default()
        }))
    }

    async fn list_stream(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Reply<Self::ListStreamStream> {
        let page = self.list(request).await?.into_inner();
        let items = tokio_stream::iter(page.tasks.into_iter().map(Ok));
        Ok(Response::new(Box::pin(items)))
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Reply<v1::CancelResponse> {
        let request = request.into_inner();
        let is_final = |task: &Option<v1::Task>| {
            let task = task.as_ref();
            task.is_some_and(|task| task.finished_at != 0)
        };
        if request.ids.is_empty() {
            drop(self.ask(Asked::Cancel(vec![request.id])));
            let task = self.find(request.id)?.task;
            return Ok(Response::new(v1::CancelResponse {
                already_final: is_final(&task),
                task,
                each: Vec::new(),
            }));
        }
        drop(self.ask(Asked::Cancel(request.ids.clone())));
        let each = request.ids.into_iter().map(|id| match self.find(id) {
            Ok(v1::GetResponse { task, .. }) => v1::Cancelled {
                id,
                already_final: is_final(&task),
                task,
                ..v1::Cancelled::default()
            },
            Err(status) => v1::Cancelled {
                id,
                refused: status.message().to_owned(),
                hint: "agentctl ls shows the tasks there are".to_owned(),
                ..v1::Cancelled::default()
            },
        });
        Ok(Response::new(v1::CancelResponse {
            each: each.collect(),
            ..v1::CancelResponse::default()
        }))
    }

    async fn kill(&self, request: Request<v1::CancelRequest>) -> Reply<v1::CancelResponse> {
        self.cancel(request).await
    }

    async fn rerun(&self, request: Request<v1::RerunRequest>) -> Reply<v1::SubmitResponse> {
        let mut script = self.ask(Asked::Rerun(Box::new(request.into_inner())));
        script.reruns.pop_front().unwrap().map(Response::new)
    }

    async fn logs(&self, request: Request<v1::LogsRequest>) -> Reply<Self::LogsStream> {
        let answer = self.ask(Asked::Logs(request.into_inner())).logs.pop_front();
        let Some(LogsAnswer { chunks, end }) = answer else {
            return Ok(Response::new(Box::pin(tokio_stream::pending())));
        };
        Ok(Response::new(ending(chunks, end)))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Reply<Self::WatchStream> {
        let mut script = self.ask(Asked::Watch(request.into_inner()));
        if let Some(later) = script.later.take() {
            script.tasks = later;
        }
        let (events, end) = script.watches.pop_front().unwrap();
        Ok(Response::new(ending(events, end)))
    }

    async fn wait(&self, request: Request<v1::WaitRequest>) -> Reply<v1::WaitResponse> {
        let answer = self
            .ask(Asked::Wait(request.into_inner()))
            .waits
            .pop_front();
        match answer {
            Some(answer) => answer.map(Response::new),
            None => std::future::pending().await,
        }
    }

    async fn workspace_list(
        &self,
        _: Request<v1::WorkspaceListRequest>,
    ) -> Reply<Self::WorkspaceListStream> {
        Ok(Response::new(ending(data::workspaces(), End::Clean)))
    }

    async fn workspace_diff(
        &self,
        request: Request<v1::WorkspaceDiffRequest>,
    ) -> Reply<Self::WorkspaceDiffStream> {
        let pieces = data::diff(&request.into_inner());
        Ok(Response::new(ending(pieces, End::Clean)))
    }

    async fn workspace_restore(
        &self,
        request: Request<v1::WorkspaceRestoreRequest>,
    ) -> Reply<v1::WorkspaceRestoreResponse> {
        Ok(Response::new(data::restored(&request.into_inner())))
    }

    async fn workspace_remove(
        &self,
        request: Request<v1::WorkspaceRemoveRequest>,
    ) -> Reply<v1::WorkspaceRemoveResponse> {
        Ok(Response::new(data::removed(request.into_inner())))
    }

    async fn prune(&self, _: Request<v1::PruneRequest>) -> Reply<Self::PruneStream> {
        Ok(Response::new(ending(data::pruned(), End::Clean)))
    }

    async fn report(&self, _: Request<v1::ReportRequest>) -> Reply<v1::ReportResponse> {
        Ok(Response::new(v1::ReportResponse { dropped: true }))
    }

    async fn pause(&self, _: Request<v1::PauseRequest>) -> Reply<v1::PauseResponse> {
        Ok(Response::new(v1::PauseResponse { changed: true }))
    }

    async fn resume(&self, _: Request<v1::PauseRequest>) -> Reply<v1::PauseResponse> {
        Ok(Response::new(v1::PauseResponse { changed: true }))
    }

    async fn hold(&self, request: Request<v1::HoldRequest>) -> Reply<v1::HoldResponse> {
        let got = self.find(request.into_inner().id)?;
        Ok(Response::new(data::held(got.task)))
    }

    async fn release(&self, request: Request<v1::HoldRequest>) -> Reply<v1::HoldResponse> {
        let got = self.find(request.into_inner().id)?;
        Ok(Response::new(data::held(got.task)))
    }

    async fn schedules(&self, _: Request<v1::SchedulesRequest>) -> Reply<v1::SchedulesResponse> {
        let schedules = data::schedules();
        Ok(Response::new(v1::SchedulesResponse { schedules }))
    }

    async fn agents(&self, _: Request<v1::AgentsRequest>) -> Reply<v1::AgentsResponse> {
        Ok(Response::new(v1::AgentsResponse {
            agents: data::agents(),
        }))
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Reply<v1::StatusResponse> {
        let held = self.0.lock().unwrap().held;
        Ok(Response::new(data::status(held)))
    }

    async fn quota(&self, _: Request<v1::QuotaRequest>) -> Reply<v1::QuotaResponse> {
        let accounts = data::accounts();
        Ok(Response::new(v1::QuotaResponse { accounts }))
    }

    async fn quota_clear(
        &self,
        _: Request<v1::QuotaClearRequest>,
    ) -> Reply<v1::QuotaClearResponse> {
        Ok(Response::new(v1::QuotaClearResponse { cleared: true }))
    }

    async fn usage(&self, request: Request<v1::UsageRequest>) -> Reply<v1::UsageResponse> {
        Ok(Response::new(data::usage(request.into_inner().by())))
    }

    async fn session_list(
        &self,
        _: Request<v1::SessionListRequest>,
    ) -> Reply<v1::SessionListResponse> {
        Ok(Response::new(v1::SessionListResponse {
            sessions: data::sessions(),
            more: 3,
            more_is_bound: true,
        }))
    }

    async fn session_show(&self, _: Request<v1::SessionRequest>) -> Reply<v1::Session> {
        Ok(Response::new(data::sessions().swap_remove(0)))
    }

    async fn session_forget(&self, _: Request<v1::SessionRequest>) -> Reply<v1::Session> {
        Ok(Response::new(data::sessions().swap_remove(0)))
    }

    async fn backup(&self, _: Request<v1::BackupRequest>) -> Reply<Self::BackupStream> {
        Ok(Response::new(ending(data::copied(), End::Clean)))
    }

    async fn metrics(&self, request: Request<v1::MetricsRequest>) -> Reply<v1::MetricsResponse> {
        let text = format!("{}\n", request.into_inner().format().as_str_name());
        Ok(Response::new(v1::MetricsResponse { text }))
    }

    async fn reload(&self, _: Request<v1::ReloadRequest>) -> Reply<v1::ReloadResponse> {
        let problems = self.0.lock().unwrap().problems.clone();
        Ok(Response::new(data::reloaded(problems)))
    }

    async fn diagnose(&self, _: Request<v1::DiagnoseRequest>) -> Reply<v1::DiagnoseResponse> {
        let findings = data::findings();
        Ok(Response::new(v1::DiagnoseResponse { findings }))
    }

    async fn recover(&self, _: Request<v1::RecoverRequest>) -> Reply<v1::RecoverResponse> {
        let confirmed = self.0.lock().unwrap().held;
        Ok(Response::new(v1::RecoverResponse { confirmed }))
    }

    async fn shutdown(&self, _: Request<v1::ShutdownRequest>) -> Reply<v1::ShutdownResponse> {
        Ok(Response::new(v1::ShutdownResponse { running: 1 }))
    }
}
