//! Reads a transcript, over restarts of the daemon and from one attempt to the
//! next, without losing or repeating a byte.
//!
//! The place to go on from is kept here: it moves only when a chunk has been
//! wholly written. When a stream ends, the store decides what comes next, not
//! the way in which it ended: an attempt is left behind only after the store
//! says that it has ended and its rest has been read.

use agentd_proto::v1::{self, log_line::Stream};
use tonic::Status;

use crate::{
    client::Client,
    error::{Error, is_lost},
    output::Output,
    reconnect::{FOLLOWING, Patience},
    view::is_final,
    when::rfc3339,
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
    let mut reader = Reader::new(client, out, selection, look);
    while let Some(how) = reader.stream(false).await? {
        reader.patience.lost(reader.out, how).await?;
    }
    if !reader.shown && !look.raw {
        let nothing = match reader.selection.since {
            0 => "no output",
            _ => "no output since then",
        };
        reader.out.note(nothing);
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
    let mut reader = Reader::new(client, out, selection, look);
    loop {
        if let Some(how) = reader.stream(true).await? {
            reader.patience.lost(reader.out, how).await?;
            reader.pin_first().await?;
            continue;
        }
        let got = reader.client.get(reader.selection.task).await?;
        let step = step(reader.attempt, reader.selection.attempt.is_some(), &got);
        if step == Step::Again {
            reader.patience.ended(reader.out).await?;
            continue;
        }
        if reader.attempt != 0
            && let Some(how) = reader.stream(false).await?
        {
            reader.patience.lost(reader.out, how).await?;
            continue;
        }
        match step {
            Step::Again => {}
            Step::Done => return Ok(got.task.unwrap_or_default()),
            Step::Attempt(next) => reader.begin(next),
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

struct Reader<'a> {
    client: Client,
    out: &'a mut Output,
    selection: Selection,
    look: Look,
    /// The place: which attempt, and where in its transcript.
    attempt: u32,
    offset: u64,
    /// Something was received: from now on the place counts, not the tail.
    begun: bool,
    /// Something was printed.
    shown: bool,
    line: LineState,
    patience: Patience,
}

/// Where each stream is.
#[derive(Debug, Default)]
struct LineState {
    stdout: Place,
    stderr: Place,
}

/// Where in its lines a stream is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Between two.
    #[default]
    Between,
    /// In one that is shown.
    Inside,
    /// In one that was begun too early.
    Hidden,
}

impl<'a> Reader<'a> {
    fn new(client: &Client, out: &'a mut Output, selection: Selection, look: Look) -> Self {
        Self {
            client: client.patient(FOLLOWING),
            out,
            attempt: selection.attempt.unwrap_or(0),
            selection,
            look,
            offset: 0,
            begun: false,
            shown: false,
            line: LineState::default(),
            patience: Patience::new(),
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
            readable: !self.look.raw,
        };
        let mut stream = match self.client.logs(request).await {
            Ok(stream) => stream,
            Err(status) if is_lost(&status) => return Ok(Some(status)),
            Err(status) => return Err(status.into()),
        };
        loop {
            match stream.message().await {
                Ok(Some(chunk)) => self.receive(&chunk)?,
                Ok(None) => return Ok(None),
                Err(status) if is_lost(&status) => return Ok(Some(status)),
                Err(status) => return Err(status.into()),
            }
        }
    }

    fn receive(&mut self, chunk: &v1::LogsResponse) -> Result<(), Error> {
        if chunk.attempt != self.attempt {
            self.begin(chunk.attempt);
        }
        for line in &chunk.lines {
            self.print(line)?;
        }
        self.out.flush()?;
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
                self.begin(first);
            }
        }
        Ok(())
    }

    fn begin(&mut self, attempt: u32) {
        if self.begun && !self.look.raw {
            let note = format!("attempt {}.{attempt}", self.selection.task);
            self.out.note(&note);
        }
        self.attempt = attempt;
        self.offset = 0;
        self.line = LineState::default();
    }

    fn print(&mut self, line: &v1::LogLine) -> Result<(), Error> {
        let mut bytes = Vec::with_capacity(line.data.len() + 32);
        let (is_err, place) = match line.stream() {
            Stream::Note => {
                if !self.look.raw && line.at >= self.selection.since {
                    self.shown = true;
                    self.out.note(&String::from_utf8_lossy(&line.data));
                }
                return Ok(());
            }
            Stream::Stderr => (true, &mut self.line.stderr),
            Stream::Stdout | Stream::Unspecified => (false, &mut self.line.stdout),
        };
        let hidden = match *place {
            Place::Between => line.at < self.selection.since,
            Place::Inside => false,
            Place::Hidden => true,
        };
        let begins = *place == Place::Between;
        *place = match (line.partial, hidden) {
            (false, _) => Place::Between,
            (true, false) => Place::Inside,
            (true, true) => Place::Hidden,
        };
        if hidden {
            return Ok(());
        }
        self.shown = true;
        if self.look.timestamps && begins {
            bytes.extend(rfc3339(line.at).unwrap_or_default().bytes());
            bytes.push(b' ');
        }
        bytes.extend_from_slice(&line.data);
        if !line.partial {
            bytes.push(b'\n');
        }
        if is_err {
            self.out.bytes_err(&bytes)
        } else {
            self.out.bytes(&bytes)
        }
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
                Ok(None) => return self.patience.ended(self.out).await,
                Err(status) => status,
            },
            Err(status) => status,
        };
        if is_lost(&lost) {
            self.patience.lost(self.out, lost).await
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
