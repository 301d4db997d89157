//! What is old goes, when a person asks for it.

use std::sync::Arc;

use agentd_proto::{reason, v1};
use tokio::{runtime, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Code, Status};

use super::{Shared, error::Failure, send::send};
use crate::{
    retention::{Item, PruneError, Thing, Wish},
    task::retention::Retention,
};

/// Messages that a pass may be ahead of its client.
const AHEAD: usize = 64;
/// Reasons that are told of one thing.
const MAX_TOLD: usize = 100;

type Answer = Result<v1::PruneResponse, Status>;

/// Collects, and tells of each thing once it is done. Who lets go ends it, and
/// who does not read: there is one pass at a time, and others wait for it.
pub(super) fn prune(
    shared: Arc<Shared>,
    request: v1::PruneRequest,
    tracker: &TaskTracker,
) -> ReceiverStream<Answer> {
    let wish = wish(&request, shared.dispatcher.config().retention);
    let (to, items) = mpsc::channel(AHEAD);
    tracker.spawn_blocking(move || {
        let say = |answer: Answer| runtime::Handle::current().block_on(send(&to, answer));
        let mut tell = |item: Item| say(Ok(told(item)));
        if let Err(error) = shared.collector.collect(wish, &mut tell) {
            // Who asked may have gone.
            say(Err(Failure::from(error).into()));
        }
    });
    ReceiverStream::new(items)
}

/// What was asked for; ages that were not named are the operator's.
fn wish(request: &v1::PruneRequest, set: Retention) -> Wish {
    let all = !(request.tasks || request.transcripts || request.worktrees);
    let age = |chosen: bool, set: Option<u64>| {
        let age = request.older_than_ms.or(set);
        age.filter(|_| all || chosen)
    };
    Wish {
        tasks: age(request.tasks, set.tasks),
        transcripts: age(request.transcripts, set.transcripts),
        worktrees: age(request.worktrees, set.worktrees),
        // Whatever age is asked for: these hold something.
        recorded: set.worktrees,
        keep: usize::try_from(request.keep).unwrap_or(usize::MAX),
        dry_run: request.dry_run,
    }
}

fn told(item: Item) -> v1::PruneResponse {
    use v1::prune_response::Kind;

    let mut response = v1::PruneResponse {
        bytes: item.bytes,
        stays_for: item.stays_for.into_iter().take(MAX_TOLD).collect(),
        ..v1::PruneResponse::default()
    };
    let kind = match item.thing {
        Thing::Task(task) => {
            response.task = task.get();
            Kind::Task
        }
        Thing::Transcript(attempt) => {
            response.task = attempt.task.get();
            response.attempt = attempt.number;
            Kind::Transcript
        }
        Thing::Worktree {
            path,
            attempt,
            branch,
        } => {
            response.task = attempt.map_or(0, |attempt| attempt.task.get());
            response.attempt = attempt.map_or(0, |attempt| attempt.number);
            response.path = path.to_string_lossy().into_owned();
            response.branch = branch.unwrap_or_default();
            Kind::Worktree
        }
        Thing::Directory(path) => {
            response.path = path.to_string_lossy().into_owned();
            Kind::Directory
        }
    };
    response.set_kind(kind);
    response
}

impl From<PruneError> for Failure {
    fn from(error: PruneError) -> Self {
        let message = error.to_string();
        match error {
            PruneError::Busy => Self::new(Code::FailedPrecondition, reason::PRUNE_BUSY, message)
                .hint("wait until it is done, then ask again"),
            PruneError::Unwanted => Self::new(Code::Cancelled, reason::STORE_UNAVAILABLE, message),
            PruneError::Unavailable(error) => error.into(),
            PruneError::Store(error) => error.into(),
            PruneError::Io(error) => Self::new(
                Code::FailedPrecondition,
                reason::STORE_UNAVAILABLE,
                format!("{message}: {error}"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_the_operators() {
        let set = Retention {
            tasks: Some(9),
            transcripts: None,
            worktrees: Some(3),
            every: None,
        };
        let all = wish(&v1::PruneRequest::default(), set);
        assert_eq!(
            (all.tasks, all.transcripts, all.worktrees),
            (Some(9), None, Some(3))
        );
        let request = v1::PruneRequest {
            older_than_ms: Some(0),
            transcripts: true,
            ..v1::PruneRequest::default()
        };
        let one = wish(&request, set);
        assert_eq!(
            (one.tasks, one.transcripts, one.worktrees),
            (None, Some(0), None)
        );
        assert_eq!(
            one.recorded,
            Some(3),
            "what holds something is as old as it was"
        );
    }
}
