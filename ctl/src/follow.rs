//! Reads a transcript, over restarts of the daemon and from one attempt to the
//! next, without losing or repeating a byte.
//!
//! The place to go on from is kept here: it moves only when a chunk has been
//! wholly written. When a stream ends, the store decides what comes next, not
//! the way in which it ended: an attempt is left behind only after the store
//! says that it has ended and its rest has been read.

mod print;

use agentd_proto::v1;
use tonic::Status;

use self::print::Printer;
use crate::{
    client::Client,
    error::{Error, is_lost},
    output::Output,
    reconnect::{Notes, Patience},
    view::is_final,
};

/// Which part of a transcript to read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// The task.
    pub(crate) task: u64,
    /// This attempt alone; else the newest, and when following those after it.
    pub(crate) attempt: Option<u32>,
    /// Begin so many lines before the end; 0: at the start.
    pub(crate) tail: u64,
    /// Leave out lines that were begun before; milliseconds since the epoch.
    pub(crate) since: i64,
    /// All attempts when following, from the first on.
    pub(crate) from_first: bool,
    /// Leave out the agent's stdout.
    pub(crate) no_stdout: bool,
    /// Leave out the agent's stderr.
    pub(crate) no_stderr: bool,
}

/// How to show it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    /// The time in front of each line.
    pub(crate) timestamps: bool,
    /// The agent's bytes and nothing else.
    pub(crate) raw: bool,
}

/// Whoever reads a transcript along.
pub(crate) trait Listener: Notes {
    /// Lines as they came.
    ///
    /// # Errors
    /// They cannot be taken: the reading ends.
    async fn lines(&mut self, lines: Vec<v1::LogLine>) -> Result<(), Error>;

    /// What comes is of this attempt, and something of another one came before.
    ///
    /// # Errors
    /// As [`Self::lines`].
    async fn attempt(&mut self, task: u64, attempt: u32) -> Result<(), Error>;

    /// Whether it wants text for people rather than the agent's bytes.
    fn readable(&self) -> bool;
}

/// Prints what there is.
///
/// # Errors
/// The daemon's, or a failed write.
pub(crate) async fn read(
    client: &Client,
    out: &mut Output,
    selection: Selection,
    look: Look,
) -> Result<(), Error> {
    let since = selection.since;
    let mut printer = Printer::new(out, look, since);
    let mut reader = Reader::new(client, &mut printer, selection, Patience::new(client));
    while let Some(how) = reader.stream(false).await? {
        reader.patience.lost(reader.listener, how).await?;
    }
    if !printer.has_shown() && !look.raw {
        let nothing = match since {
            0 => "no output",
            _ => "no output since then",
        };
        printer.note(nothing);
    }
    Ok(())
}

/// Prints what there is and what comes, until the task, or the one attempt
/// asked for, has ended. Gives the task as it was then.
///
/// # Errors
/// The daemon's, or a failed write.
pub(crate) async fn follow(
    client: &Client,
    out: &mut Output,
    selection: Selection,
    look: Look,
) -> Result<v1::Task, Error> {
    let mut printer = Printer::new(out, look, selection.since);
    listen(client, &mut printer, selection, Patience::new(client)).await
}

/// As [`follow`], for any listener; a daemon that is away is waited for as
/// long as `patience` lasts.
///
/// # Errors
/// The daemon's, or the listener's.
pub(crate) async fn listen<L: Listener>(
    client: &Client,
    listener: &mut L,
    selection: Selection,
    patience: Patience,
) -> Result<v1::Task, Error> {
    let mut reader = Reader::new(client, listener, selection, patience);
    loop {
        if let Some(how) = reader.stream(true).await? {
            reader.patience.lost(reader.listener, how).await?;
            reader.pin_first().await?;
            continue;
        }
        let got = reader.client.get(reader.selection.task).await?;
        let step = step(reader.attempt, reader.selection.attempt.is_some(), &got);
        if step == Step::Again {
            reader.patience.ended(reader.listener).await?;
            continue;
        }
        if reader.attempt != 0
            && let Some(how) = reader.stream(false).await?
        {
            reader.patience.lost(reader.listener, how).await?;
            continue;
        }
        match step {
            Step::Again => {}
            Step::Done => return Ok(got.task.unwrap_or_default()),
            Step::Attempt(next) => reader.begin(next).await?,
            Step::Change(revision) => reader.change(revision).await?,
        }
    }
}

/// What to do when a stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The attempt goes on: it was the daemon that ended.
    Again,
    /// There is a further attempt.
    Attempt(u32),
    /// Nothing more will come.
    Done,
    /// The task waits: something will happen after this revision.
    Change(u64),
}

/// Decides by what the store holds. `seen` is the attempt that was being read,
/// 0 for none.
fn step(seen: u32, alone: bool, got: &v1::GetResponse) -> Step {
    let task = got.task.clone().unwrap_or_default();
    let goes_on = |attempt: &v1::Attempt| attempt.number == seen && attempt.ended_at == 0;
    // A final task has no live attempt, whatever its rows say.
    if !is_final(task.state()) && got.attempts.iter().any(goes_on) {
        return Step::Again;
    }
    if alone {
        return Step::Done;
    }
    let newest = got.attempts.iter().map(|attempt| attempt.number).max();
    match newest {
        Some(newest) if seen == 0 => Step::Attempt(newest),
        Some(newest) if newest > seen => Step::Attempt(seen + 1),
        Some(_) | None if is_final(task.state()) => Step::Done,
        Some(_) | None => Step::Change(task.revision),
    }
}

struct Reader<'a, L> {
    client: Client,
    listener: &'a mut L,
    selection: Selection,
    /// The place: which attempt, and where in its transcript.
    attempt: u32,
    offset: u64,
    /// Something was received: from now on the place counts, not the tail.
    begun: bool,
    patience: Patience,
}

impl<'a, L: Listener> Reader<'a, L> {
    fn new(client: &Client, listener: &'a mut L, selection: Selection, patience: Patience) -> Self {
        Self {
            client: client.patient(patience.limit()),
            listener,
            attempt: selection.attempt.unwrap_or(0),
            selection,
            offset: 0,
            begun: false,
            patience,
        }
    }

    /// Reads from the place on. `None`: the daemon ended the stream; else how
    /// it was lost.
    async fn stream(&mut self, follow: bool) -> Result<Option<Status>, Error> {
        let request = v1::LogsRequest {
            task: self.selection.task,
            attempt: self.attempt,
            offset: self.offset,
            follow,
            tail: if self.begun { 0 } else { self.selection.tail },
            no_stdout: self.selection.no_stdout,
            no_stderr: self.selection.no_stderr,
            readable: self.listener.readable(),
        };
        let mut stream = match self.client.logs(request).await {
            Ok(stream) => stream,
            Err(status) if is_lost(&status) => return Ok(Some(status)),
            Err(status) => return Err(status.into()),
        };
        self.patience.taken(self.listener);
        loop {
            match stream.message().await {
                Ok(Some(chunk)) => self.receive(chunk).await?,
                Ok(None) => return Ok(None),
                Err(status) if is_lost(&status) => return Ok(Some(status)),
                Err(status) => return Err(status.into()),
            }
        }
    }

    async fn receive(&mut self, chunk: v1::LogsResponse) -> Result<(), Error> {
        if chunk.attempt != self.attempt {
            self.begin(chunk.attempt).await?;
        }
        self.listener.lines(chunk.lines).await?;
        self.offset = chunk.next_offset;
        self.begun = true;
        self.patience.back();
        Ok(())
    }

    /// The newest attempt may not be the one any more that was to be the first
    /// when the connection was lost.
    async fn pin_first(&mut self) -> Result<(), Error> {
        if self.selection.from_first && self.attempt == 0 {
            let got = self.client.get(self.selection.task).await?;
            if let Some(first) = got.attempts.iter().map(|attempt| attempt.number).min() {
                self.begin(first).await?;
            }
        }
        Ok(())
    }

    async fn begin(&mut self, attempt: u32) -> Result<(), Error> {
        if self.begun {
            self.listener.attempt(self.selection.task, attempt).await?;
        }
        self.attempt = attempt;
        self.offset = 0;
        Ok(())
    }

    /// Waits until something happens to the task.
    async fn change(&mut self, after_revision: u64) -> Result<(), Error> {
        let request = v1::WatchRequest {
            after_revision,
            from_start: after_revision == 0,
            task: self.selection.task,
        };
        let lost = match self.client.watch(request).await {
            Ok(mut events) => match events.message().await {
                Ok(Some(_)) => {
                    self.patience.back();
                    return Ok(());
                }
                Ok(None) => return self.patience.ended(self.listener).await,
                Err(status) => status,
            },
            Err(status) => status,
        };
        if is_lost(&lost) {
            self.patience.lost(self.listener, lost).await
        } else {
            Err(lost.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use agentd_proto::v1::State;

    use super::*;

    fn got(state: State, attempts: &[(u32, i64)]) -> v1::GetResponse {
        v1::GetResponse {
            task: Some(v1::Task {
                state: state.into(),
                revision: 9,
                ..v1::Task::default()
            }),
            attempts: attempts
                .iter()
                .map(|&(number, ended_at)| v1::Attempt {
                    number,
                    ended_at,
                    ..v1::Attempt::default()
                })
                .collect(),
            reruns: Vec::new(),
        }
    }

    #[test]
    fn the_store_decides_what_comes_after_a_stream() {
        use State::{Failed, Queued, Running, Succeeded};
        for (seen, alone, state, attempts, expected) in [
            // Nothing was read.
            (0, false, Queued, &[][..], Step::Change(9)),
            (0, false, Running, &[(1, 0)], Step::Attempt(1)),
            (0, false, Failed, &[], Step::Done),
            // The daemon ended the stream of a live attempt.
            (1, false, Running, &[(1, 0)], Step::Again),
            (2, true, Running, &[(1, 5), (2, 0)], Step::Again),
            // It has ended; a retry is to come, has begun, or is not made.
            (1, false, Queued, &[(1, 5)], Step::Change(9)),
            (1, false, Running, &[(1, 5), (2, 0)], Step::Attempt(2)),
            (
                1,
                false,
                Succeeded,
                &[(1, 5), (2, 6), (3, 7)],
                Step::Attempt(2),
            ),
            (1, false, Failed, &[(1, 5)], Step::Done),
            // One attempt alone.
            (1, true, Running, &[(1, 5), (2, 0)], Step::Done),
        ] {
            assert_eq!(
                step(seen, alone, &got(state, attempts)),
                expected,
                "{seen} {alone} {state:?} {attempts:?}"
            );
        }
    }
}
