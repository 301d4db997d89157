//! Transcripts: from an offset on, over all attempts if asked, as they grow.

use std::{io, sync::Arc};

use agentd_proto::v1::{self, log_line::Stream as Wire};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::{
    Shared,
    error::Failure,
    from_proto,
    readable::Rendering,
    tail::{Start, Tail},
    to_proto,
};
use crate::{
    dispatcher::Unavailable,
    task::{
        attempt::{Attempt, Phase},
        id::{AttemptId, Revision, TaskId},
        state::Task,
    },
    transcript::{Follower, Page, Reader},
};

/// Transcript bytes of one message; far below the limit of a message.
const PAGE: usize = 256 * 1024;

type Sender = mpsc::Sender<Result<v1::LogsResponse, Status>>;

/// Where the reading is.
struct Place {
    attempt: u32,
    offset: u64,
    /// Lines from there on that are left out.
    skip: u64,
}

/// One attempt that is read.
struct Reading<'a> {
    request: &'a v1::LogsRequest,
    attempt: AttemptId,
    rendering: Option<Rendering>,
    skip: u64,
}

/// Sends the transcript that was asked for until its end.
pub(super) async fn send(shared: Arc<Shared>, request: v1::LogsRequest, to: Sender) {
    let done = follow(&shared, request, &to).await;
    if let Err(failure) = done {
        // Who asked may have gone.
        drop(to.send(Err(failure.into())).await);
    }
}

async fn follow(
    shared: &Arc<Shared>,
    request: v1::LogsRequest,
    to: &Sender,
) -> Result<(), Failure> {
    let id = from_proto::task_id(request.task)?;
    let mut revisions = shared.dispatcher.revisions();
    let mut task = load(shared, id).await?;
    let mut place = begin(shared, &request, &task).await?;
    loop {
        if place.attempt > 0 {
            let attempt = AttemptId {
                task: id,
                number: place.attempt,
            };
            let reading = Reading {
                request: &request,
                attempt,
                rendering: request
                    .readable
                    .then(|| Rendering::of(task.spec.agent_type))
                    .flatten(),
                skip: place.skip,
            };
            if !read_attempt(shared, reading, &mut place, &mut revisions, to).await? {
                return Ok(());
            }
            task = load(shared, id).await?;
        }
        // The attempts after it, if all are wanted.
        let goes_on = request.follow && request.attempt == 0;
        if !goes_on || (!task.state.is_active() && task.attempts <= place.attempt) {
            return Ok(());
        }
        while task.attempts <= place.attempt {
            if !task.state.is_active() || !next(&mut revisions, to).await? {
                return Ok(());
            }
            task = load(shared, id).await?;
        }
        place = Place {
            attempt: place.attempt + 1,
            offset: 0,
            skip: 0,
        };
    }
}

fn count(attempts: u32) -> String {
    match attempts {
        0 => "none yet".to_owned(),
        1 => "one".to_owned(),
        count => count.to_string(),
    }
}

/// Where to begin. Following without a place to go on from begins with the
/// newest attempt; one that has not begun yet has the number 0.
async fn begin(
    shared: &Arc<Shared>,
    request: &v1::LogsRequest,
    task: &Task,
) -> Result<Place, Failure> {
    let attempt = match request.attempt {
        0 => task.attempts,
        number if number <= task.attempts => number,
        number => {
            return Err(Failure::new(
                Code::NotFound,
                agentd_proto::reason::TASK_NOT_FOUND,
                format!(
                    "task {} has no attempt {number}: it has {}",
                    task.id,
                    count(task.attempts)
                ),
            )
            .hint(format!("agentctl show {} shows all", task.id)));
        }
    };
    let place = Place {
        attempt,
        offset: request.offset,
        skip: 0,
    };
    if request.tail == 0 || request.offset > 0 || attempt == 0 {
        return Ok(place);
    }
    let id = AttemptId {
        task: task.id,
        number: attempt,
    };
    let Start { offset, skip } = tail(shared, request, id, task).await?;
    Ok(Place {
        offset,
        skip,
        ..place
    })
}

/// Where the last lines begin: those that are sent, not those of the transcript.
async fn tail(
    shared: &Arc<Shared>,
    request: &v1::LogsRequest,
    id: AttemptId,
    task: &Task,
) -> Result<Start, Failure> {
    let agent_type = task.spec.agent_type;
    if !request.readable || Rendering::of(agent_type).is_none() {
        let lines = usize::try_from(request.tail).unwrap_or(usize::MAX);
        let offset = blocking(shared, id, move |reader| reader.tail(lines)).await?;
        return Ok(Start { offset, skip: 0 });
    }
    let row = shared.read(move |reader| reader.attempt(id)).await?;
    let used = row.as_ref().and_then(Rendering::used);
    let tail = Tail {
        agent_type,
        wanted: request.tail,
        behind: used
            .filter(|line| is_wanted(request, line))
            .map_or(0, |_| 1),
        ended: row.is_some_and(|row| row.phase == Phase::Ended),
        page: PAGE,
    };
    let request = *request;
    let find = move |reader: &Reader| tail.find(reader, |line| is_wanted(&request, line));
    blocking(shared, id, find).await
}

/// Sends one attempt's transcript, until its end if the attempt has one.
/// Returns false if nobody listens any more.
async fn read_attempt(
    shared: &Arc<Shared>,
    mut reading: Reading<'_>,
    place: &mut Place,
    revisions: &mut tokio::sync::watch::Receiver<Revision>,
    to: &Sender,
) -> Result<bool, Failure> {
    let Reading {
        request, attempt, ..
    } = reading;
    let mut follower = None;
    loop {
        // Asked before reading: what is written before the end is then read.
        let row = shared.read(move |reader| reader.attempt(attempt)).await?;
        if row.as_ref().is_some_and(|row| row.pruned_at.is_some()) {
            return Err(pruned(attempt));
        }
        let ended = row.as_ref().is_none_or(|row| row.phase == Phase::Ended);
        if request.follow && !ended && follower.is_none() {
            follower = watch_growth(shared, attempt)?;
        }
        let from = place.offset;
        let page = blocking(shared, attempt, move |reader| reader.read(from, PAGE)).await?;
        if page.next_offset > place.offset {
            place.offset = page.next_offset;
            if to.send(Ok(reading.response(page))).await.is_err() {
                return Ok(false);
            }
            continue;
        }
        if ended || !request.follow {
            // Who goes on from behind the end was told it before.
            let row = row.filter(|_| place.offset == page.next_offset);
            if let Some(rest) = reading.rest(row.as_ref(), place.offset) {
                return Ok(to.send(Ok(rest)).await.is_ok());
            }
            return Ok(true);
        }
        let grown = async {
            match &mut follower {
                Some(follower) => follower.changed().await,
                // There is nothing yet; that there is comes with an event.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = grown => changed.map_err(|error| unreadable(attempt, &error))?,
            changed = revisions.changed() => changed.map_err(|_| Unavailable::Stopping)?,
            () = to.closed() => return Ok(false),
        }
    }
}

/// Watches the transcript of a live attempt; `None` if its directory has not
/// been made yet, or has been put away.
fn watch_growth(shared: &Shared, attempt: AttemptId) -> Result<Option<Follower>, Failure> {
    match Follower::new(&shared.state.attempt(attempt).transcript()) {
        Ok(follower) => Ok(Some(follower)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(attempt, &error)),
    }
}

impl Reading<'_> {
    fn response(&mut self, page: Page) -> v1::LogsResponse {
        let (lines, next_offset) = match &mut self.rendering {
            Some(rendering) => rendering.lines(page),
            None => {
                let lines = page.records.into_iter().map(to_proto::log_line);
                (lines.collect(), page.next_offset)
            }
        };
        self.answer(lines, next_offset)
    }

    /// What was begun, now that nothing more comes, and what the attempt has
    /// used, if it has ended; `None`: nothing of both.
    fn rest(&mut self, row: Option<&Attempt>, offset: u64) -> Option<v1::LogsResponse> {
        let mut lines = self.rendering.as_mut()?.rest();
        let used = row.and_then(Rendering::used);
        // Behind the end, so that it is said once.
        let next_offset = offset.saturating_add(used.iter().len() as u64);
        lines.extend(used);
        (!lines.is_empty()).then(|| self.answer(lines, next_offset))
    }

    fn answer(&mut self, mut lines: Vec<v1::LogLine>, next_offset: u64) -> v1::LogsResponse {
        lines.retain(|line| {
            let skipped = self.skip > 0;
            let wanted = is_wanted(self.request, line);
            if wanted && skipped && !line.partial {
                self.skip -= 1;
            }
            wanted && !skipped
        });
        v1::LogsResponse {
            attempt: self.attempt.number,
            lines,
            next_offset,
        }
    }
}

/// Whether a line is sent to who asks for this.
fn is_wanted(request: &v1::LogsRequest, line: &v1::LogLine) -> bool {
    match line.stream() {
        Wire::Stdout => !request.no_stdout,
        Wire::Stderr => !request.no_stderr,
        Wire::Note | Wire::Unspecified => true,
    }
}

async fn load(shared: &Arc<Shared>, id: TaskId) -> Result<Task, Failure> {
    let task = shared.read(move |reader| reader.task(id)).await?;
    shared.known(id, task).await
}

fn pruned(attempt: AttemptId) -> Failure {
    Failure::new(
        Code::FailedPrecondition,
        agentd_proto::reason::TRANSCRIPT_PRUNED,
        format!("the transcript of attempt {attempt} was removed, for its age"),
    )
    .hint(format!(
        "agentctl show {0} and agentctl explain {0} say what is still known; \
         [retention] of the configuration says how long transcripts are kept",
        attempt.task
    ))
}

/// Waits for the next change of any task. Returns false if nobody listens.
async fn next(
    revisions: &mut tokio::sync::watch::Receiver<Revision>,
    to: &Sender,
) -> Result<bool, Failure> {
    tokio::select! {
        changed = revisions.changed() => changed.map_err(|_| Unavailable::Stopping)?,
        () = to.closed() => return Ok(false),
    }
    Ok(true)
}

async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    attempt: AttemptId,
    read: impl Fn(&Reader) -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let state = shared.state.clone();
    let reading = tokio::task::spawn_blocking(move || {
        state.read_transcript(attempt, |dir| read(&Reader::open(dir)?))
    });
    let read = reading.await.map_err(io::Error::from).flatten();
    read.map_err(|error| unreadable(attempt, &error))
}

fn unreadable(attempt: AttemptId, error: &io::Error) -> Failure {
    Failure::new(
        Code::Unavailable,
        agentd_proto::reason::STORE_UNAVAILABLE,
        format!("the transcript of {attempt} cannot be read: {error}"),
    )
}
