//! What is in workspaces: listed, shown, restored, removed.
//!
//! Which attempt is meant is looked up here; everything else is the workspace
//! room's. All of it runs git and blocks.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use agentd_proto::{reason, v1};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Code, Status};

use super::{Shared, error::Failure, from_proto, send::send};
use crate::{
    dispatcher::Unavailable,
    retention::{User, Users, teardown_of},
    store::Store,
    task::{
        attempt::Attempt,
        id::{AttemptId, TaskId},
        limits::MAX_TEXT,
    },
    workspace,
    workspace::{Found, RemoveError, Terms, WorkspaceError},
};

/// Text of one message, bytes; far below the limit of a message.
const PIECE: usize = 256 * 1024;
/// Longest path, bytes.
const MAX_PATH: usize = 4096;
/// Reasons and snapshots that are told of one worktree.
const MAX_TOLD: usize = 100;
/// How long it is waited for what an ended attempt left to be recorded.
const CLOSING: Duration = Duration::from_secs(15);
/// Between two looks at whether it is.
const LOOK: Duration = Duration::from_millis(50);
/// Messages that the list may be ahead of its client.
const AHEAD: usize = 16;
/// Worktrees that are looked at at once, whoever asks.
static LOOKS: Semaphore = Semaphore::const_new(4);

type Info = Result<v1::WorkspaceInfo, Status>;

/// Every worktree, in the order of their paths.
pub(super) fn list(shared: Arc<Shared>, tracker: &TaskTracker) -> ReceiverStream<Info> {
    let (to, found) = mpsc::channel(AHEAD);
    tracker.spawn(async move {
        let stop = shared.stop.clone();
        let sent = stop.run_until_cancelled(send_all(&shared, &to)).await;
        if let Err(failure) = sent.unwrap_or(Err(Unavailable::Stopping.into())) {
            // Who asked may have gone.
            send(&to, Err(failure.into())).await;
        }
    });
    ReceiverStream::new(found)
}

/// No thread is kept while a client reads: it may take its time.
async fn send_all(shared: &Arc<Shared>, to: &mpsc::Sender<Info>) -> Result<(), Failure> {
    let state = shared.state.clone();
    let paths = look(move || {
        workspace::worktrees(state.path()).map_err(|error| {
            let dir = state.path().display();
            failed(format!("{dir}: {error}"))
        })
    })
    .await?;
    let state = shared.state.clone();
    let users = shared.read(move |reader| Users::read(reader, state.path()));
    let users = Arc::new(users.await?);
    for path in paths {
        let (shared, users) = (Arc::clone(shared), Arc::clone(&users));
        let info = look(move || info(&shared.store, &users, workspace::inspect(&path)));
        if !send(to, Ok(info.await?)).await {
            return Ok(());
        }
    }
    Ok(())
}

/// Looks at a worktree once others have done so.
async fn look<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let stopping = |_| Failure::from(Unavailable::Stopping);
    let place = LOOKS.acquire().await.map_err(stopping)?;
    let looking = tokio::task::spawn_blocking(move || {
        let found = act();
        drop(place);
        found
    });
    looking.await.map_err(|error| failed(error.to_string()))?
}

fn info(store: &Store, users: &Users, found: Found) -> Result<v1::WorkspaceInfo, Failure> {
    let had_by = match found.attempt {
        Some(attempt) => store.reader()?.task(attempt.task)?,
        None => None,
    };
    let user = users.of(&found.path);
    let mut stays_for: Vec<String> = user.iter().map(User::to_string).collect();
    stays_for.extend(found.stays_for());
    stays_for.truncate(MAX_TOLD);
    let spec = had_by.map(|task| task.spec);
    let repo = spec.as_ref().and_then(|spec| spec.repo.as_ref());
    Ok(v1::WorkspaceInfo {
        path: found.path.to_string_lossy().into_owned(),
        branch: found.branch.unwrap_or_default(),
        task: found.attempt.map_or(0, |attempt| attempt.task.get()),
        attempt: found.attempt.map_or(0, |attempt| attempt.number),
        repo: repo.map_or_else(String::new, |path| path.to_string_lossy().into_owned()),
        agent: spec
            .as_ref()
            .map_or_else(String::new, |spec| spec.agent.clone()),
        issue: spec.and_then(|spec| spec.issue).unwrap_or_default(),
        active_task: user.map_or(0, |user| user.task.get()),
        uncommitted: found.uncommitted,
        unmerged: found.unmerged,
        snapshots: found.snapshots.into_iter().take(MAX_TOLD).collect(),
        stays_for,
    })
}

/// An attempt that was asked for, and its repository.
struct Meant {
    attempt: Attempt,
    repo: PathBuf,
}

async fn meant(shared: &Arc<Shared>, task: u64, number: u32) -> Result<Meant, Failure> {
    let id = from_proto::task_id(task)?;
    let found = shared.read(move |reader| {
        let Some(task) = reader.task(id)? else {
            return Ok(None);
        };
        let number = if number == 0 { task.attempts } else { number };
        let attempt = reader.attempt(AttemptId { task: id, number })?;
        Ok(Some((task, attempt, number)))
    });
    let (task, attempt, number) = shared.known(id, found.await?).await?;
    let hint = format!("agentctl show {id} lists its attempts");
    let attempt = attempt.ok_or_else(|| {
        let message = match number {
            0 => format!("task {id} has no attempt yet"),
            number => format!("task {id} has no attempt {number}"),
        };
        Failure::new(Code::NotFound, reason::TASK_NOT_FOUND, message).hint(hint)
    })?;
    let repo = task.spec.repo.ok_or_else(|| {
        Failure::new(
            Code::FailedPrecondition,
            reason::WORKSPACE_FAILED,
            format!("task {id} has no repository: what it did is not recorded"),
        )
    })?;
    Ok(Meant { attempt, repo })
}

/// As [`meant`], once it is recorded what an attempt that has ended left: that
/// takes a moment longer than the end.
async fn settled(shared: &Arc<Shared>, task: u64, number: u32) -> Result<Meant, Failure> {
    let mut revisions = shared.dispatcher.revisions();
    let since = Instant::now();
    loop {
        revisions.borrow_and_update();
        let meant = meant(shared, task, number).await?;
        let attempt = &meant.attempt;
        // Its files are put away when everything is recorded.
        let closing = attempt.ending.is_some()
            && attempt.workspace.is_some()
            && attempt.changes.is_none()
            && shared.state.attempt(attempt.id).path().is_dir();
        if !closing || since.elapsed() >= CLOSING {
            return Ok(meant);
        }
        // Woken by the store, or soon: an end without record changes no row.
        let look = tokio::time::timeout(LOOK, revisions.changed());
        tokio::select! {
            _ = look => {}
            () = shared.stop.cancelled() => return Err(Unavailable::Stopping.into()),
        }
    }
}

/// The pieces of what an attempt changed.
pub(super) async fn diff(
    shared: &Arc<Shared>,
    request: v1::WorkspaceDiffRequest,
) -> Result<
    impl tokio_stream::Stream<Item = Result<v1::WorkspaceDiffResponse, Status>> + use<>,
    Failure,
> {
    let Meant { attempt, repo } = settled(shared, request.task, request.attempt).await?;
    let state = shared.state.path().to_owned();
    let text = blocking(move || workspace::diff(&state, &repo, &attempt, request.stat)).await?;
    let pieces: Vec<_> = text
        .chunks(PIECE)
        .map(|piece| {
            Ok(v1::WorkspaceDiffResponse {
                text: piece.to_vec(),
            })
        })
        .collect();
    Ok(tokio_stream::iter(pieces))
}

pub(super) async fn restore(
    shared: &Arc<Shared>,
    request: v1::WorkspaceRestoreRequest,
) -> Result<v1::WorkspaceRestoreResponse, Failure> {
    let to = path("to", &request.to)?;
    let Meant { attempt, repo } = settled(shared, request.task, request.attempt).await?;
    let state = shared.state.path().to_owned();
    let before = request.before;
    let to = to.unwrap_or_else(|| {
        let when = if before { "-before" } else { "" };
        state.join("restored").join(format!("{}{when}", attempt.id))
    });
    let number = attempt.id.number;
    let restoring = move || workspace::restore(&state, &repo, &attempt, before, &to);
    let restored = blocking(restoring).await?;
    Ok(v1::WorkspaceRestoreResponse {
        path: restored.path.to_string_lossy().into_owned(),
        commit: restored.commit,
        attempt: number,
    })
}

pub(super) async fn remove(
    shared: &Arc<Shared>,
    request: v1::WorkspaceRemoveRequest,
) -> Result<v1::WorkspaceRemoveResponse, Failure> {
    let path = match (path("path", &request.path)?, request.task) {
        (Some(path), 0) => path,
        (None, task) => worktree_of(shared, from_proto::task_id(task)?).await?,
        (Some(_), _) => {
            return Err(Failure::field("path", "a path and a task are too much"));
        }
    };
    let shared = Arc::clone(shared);
    let removing = tokio::task::spawn_blocking(move || {
        let state = shared.state.path();
        let terms = Terms {
            record: request.force,
            branch: false,
            forced: request.force,
        };
        let used = |found: &Found| {
            // What is not known may be in use.
            let user = shared.store.reader();
            match user.and_then(|reader| Users::read(&reader, state)) {
                Ok(users) => users.of(&found.path).map(|user| user.to_string()),
                Err(error) => Some(format!("the store failed: {error}")),
            }
        };
        let config = shared.dispatcher.config();
        let teardown = |found: &Found| teardown_of(&config, state, found);
        workspace::remove(state, &path, terms, used, teardown)
    });
    let removed = removing.await.map_err(|error| failed(error.to_string()))?;
    let found = removed.map_err(refused)?.found;
    Ok(v1::WorkspaceRemoveResponse {
        path: found.path.to_string_lossy().into_owned(),
        branch: found.branch.unwrap_or_default(),
    })
}

async fn worktree_of(shared: &Arc<Shared>, id: TaskId) -> Result<PathBuf, Failure> {
    let task = shared.read(move |reader| reader.task(id)).await?;
    let task = shared.known(id, task).await?;
    let workspace = task.attempt.and_then(|attempt| attempt.workspace);
    workspace.map(|workspace| workspace.path).ok_or_else(|| {
        failed(format!("task {id} has had no workspace"))
            .hint("agentctl workspace ls lists the worktrees there are")
    })
}

/// An absolute path, if one is given.
fn path(field: &str, given: &str) -> Result<Option<PathBuf>, Failure> {
    if given.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(given);
    if !path.is_absolute() || given.len() > MAX_PATH || given.contains('\0') {
        let shown = crate::task::limits::clip(given, MAX_TEXT);
        let message = format!("{shown:?} is not an absolute path of at most {MAX_PATH} bytes");
        return Err(Failure::field(field, message));
    }
    Ok(Some(path))
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, WorkspaceError> + Send + 'static,
) -> Result<T, Failure> {
    let acting = tokio::task::spawn_blocking(act);
    let done = acting.await.map_err(|error| failed(error.to_string()))?;
    done.map_err(|error| failed(error.message))
}

fn failed(message: String) -> Failure {
    Failure::new(Code::FailedPrecondition, reason::WORKSPACE_FAILED, message)
}

fn refused(error: RemoveError) -> Failure {
    let message = error.to_string();
    match error {
        RemoveError::Stays { can_be_forced, .. } => {
            let failure = Failure::new(Code::FailedPrecondition, reason::WORKSPACE_STAYS, message);
            if can_be_forced {
                return failure.hint(
                    "--force records it under refs/agentd first; agentctl workspace restore brings it back",
                );
            }
            failure
        }
        RemoveError::Teardown { .. } => failed(message)
            .hint("--force removes it nevertheless, and records what is uncommitted first"),
        RemoveError::Failed(error) => failed(error.message),
    }
}
