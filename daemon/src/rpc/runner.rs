//! The runners' service: one stream each.

use agentd_proto::v1::{self, runner_message::Message};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};

use super::{
    error::Failure,
    from_proto, peer, to_proto,
    until::{Answers, until},
};
use crate::{
    dispatcher::{Handle, Unavailable},
    spool::StateDir,
    supervisor::{Outbox, Report},
    task::event::{AttemptRef, Event, Stage, Teller},
};

/// Serves runners.
#[derive(Debug)]
pub(super) struct RunnerService {
    pub(super) dispatcher: Handle,
    pub(super) state: StateDir,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
}

#[tonic::async_trait]
impl v1::runner_server::Runner for RunnerService {
    type AttachStream = Answers<v1::DaemonMessage>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::RunnerMessage>>,
    ) -> Result<Response<Answers<v1::DaemonMessage>>, Status> {
        let peer = peer::of(&request);
        let mut incoming = request.into_inner();
        let first = incoming.message().await?.and_then(|first| first.message);
        let Some(Message::Register(register)) = first else {
            return Err(Failure::field("message", "the first message is not Register").into());
        };
        let from_proto::Registration {
            dir,
            attempt,
            runner,
            stage,
            result,
        } = from_proto::registration(register)?;
        if dir != self.state.attempt(attempt.id).path() {
            let refused = Failure::other_state_dir(&dir);
            tracing::debug!(task = %attempt.id.task, attempt = attempt.id.number, "a runner of another daemon: {refused}");
            return Err(refused.into());
        }
        peer.ok_or_else(peer::nobody)?.must_be(&runner).await?;
        crashpoint!("rpc.register");
        let (outbox, mut outgoing) = Outbox::new();
        let report = match result {
            Some(result) => Report::Exited {
                attempt,
                result,
                outbox: Some(outbox),
            },
            None => Report::Registered {
                attempt,
                runner,
                stage,
                outbox,
            },
        };
        self.dispatcher
            .report(report)
            .await
            .map_err(Failure::from)?;
        // The answer says whether the registration was taken; only then is
        // anything else of this connection listened to.
        let Some(answer) = outgoing.recv().await else {
            return Err(Failure::from(Unavailable::Stopping).into());
        };
        if !answer.is_last() {
            self.dispatcher.heard(attempt);
            let dispatcher = self.dispatcher.clone();
            let stop = self.stop.clone();
            self.tracker.spawn(async move {
                let listening = listen(&dispatcher, attempt, &mut incoming);
                if let Some(Err(status)) = stop.run_until_cancelled(listening).await {
                    tracing::debug!(task = %attempt.id.task, attempt = attempt.id.number, %status, "runner disconnected");
                }
            });
        }
        let messages = tokio_stream::once(answer)
            .chain(ReceiverStream::new(outgoing))
            .map(|message| Ok(to_proto::to_runner(message)));
        Ok(Response::new(until(self.stop.clone(), messages)))
    }
}

/// Hands on what a runner says until it hangs up.
async fn listen(
    dispatcher: &Handle,
    attempt: AttemptRef,
    incoming: &mut Streaming<v1::RunnerMessage>,
) -> Result<(), Status> {
    while let Some(message) = incoming.message().await? {
        dispatcher.heard(attempt);
        let report = match message.message {
            Some(Message::Started(started)) => {
                let event = match from_proto::started(started)? {
                    Stage::SettingUp { command } => Event::SettingUp { attempt, command },
                    Stage::Running { agent, at } => Event::Started { attempt, agent, at },
                    // Who waits has started nothing.
                    Stage::Waiting => continue,
                };
                Report::Event(event)
            }
            Some(Message::Observed(observed)) => Report::Event(Event::Observed {
                attempt,
                observed: Box::new(from_proto::observed(observed)?),
                by: Teller::Runner,
            }),
            Some(Message::Exited(exited)) => Report::Exited {
                attempt,
                result: from_proto::exited(exited)?,
                outbox: None,
            },
            Some(Message::Heartbeat(beat)) => {
                let beat = from_proto::beat(&beat);
                dispatcher
                    .beat(attempt, beat)
                    .await
                    .map_err(Failure::from)?;
                continue;
            }
            None => continue,
            Some(Message::Register(_)) => {
                return Err(Failure::field("message", "registered already").into());
            }
        };
        crashpoint!("rpc.report");
        dispatcher.report(report).await.map_err(Failure::from)?;
    }
    Ok(())
}
