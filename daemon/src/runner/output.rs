//! The agent's output on its way into the transcript, and what is read from it.

use std::{
    future::pending,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tokio::net::unix::pipe::Receiver;

use super::machine::Stage;
use crate::{
    agents::stream::{Seen, Stream},
    clock,
    spool::Reads,
    transcript::{Source, Writer},
};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;
/// A line that was begun is written as it is after this.
const FLUSH_AFTER: Duration = Duration::from_millis(200);
/// What is read at most from each pipe once the tree is gone: more than a pipe
/// can hold. A process that is not of the tree might hold it open and write.
const LAST_BYTES: usize = 64 * 1024 * 1024;

/// Both outputs, the transcript, and what is known by them.
#[derive(Debug)]
pub(super) struct Output {
    writer: Writer,
    stream: Stream,
    stdout: Option<Receiver>,
    stderr: Option<Receiver>,
    /// Whose it is.
    of: Stage,
    buffer: Vec<u8>,
    /// When the agent last wrote something, or was started.
    last: Instant,
    flush_at: Option<Instant>,
}

impl Output {
    pub(super) fn new(transcript: PathBuf, limit: u64, reads: Reads) -> Self {
        Self {
            writer: Writer::new(transcript, limit),
            stream: Stream::new(reads),
            stdout: None,
            stderr: None,
            of: Stage::Agent,
            buffer: Vec::new(),
            last: Instant::now(),
            flush_at: None,
        }
    }

    /// This was started with these.
    pub(super) fn attach(&mut self, of: Stage, stdout: Receiver, stderr: Receiver) {
        self.of = of;
        self.stdout = Some(stdout);
        self.stderr = Some(stderr);
        self.last = Instant::now();
    }

    /// Waits until there is something to read, for ever if there will be
    /// nothing. Can be dropped at any time.
    pub(super) async fn readable(&self) -> Source {
        tokio::select! {
            () = readable(self.stdout.as_ref()) => Source::Output,
            () = readable(self.stderr.as_ref()) => Source::Errors,
        }
    }

    /// Takes one piece of what there is.
    pub(super) fn read(&mut self, source: Source) {
        let pipe = match source {
            Source::Output => &mut self.stdout,
            Source::Errors => &mut self.stderr,
        };
        let Some(open) = pipe else { return };
        self.buffer.resize(CHUNK, 0);
        match open.try_read(&mut self.buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // A pipe cannot fail otherwise; if it does, it has ended.
            Ok(0) | Err(_) => *pipe = None,
            Ok(bytes) => self.write(source, bytes),
        }
    }

    /// Takes what is left in the pipes, without waiting, and ends the
    /// transcript.
    pub(super) fn finish(&mut self) {
        self.take_rest();
        self.writer.finish(clock::now());
        self.flush_at = None;
        self.buffer = Vec::new();
    }

    /// What set the repository up is over, the agent follows.
    pub(super) fn end_setup(&mut self) {
        self.take_rest();
        self.flush();
    }

    /// The run that did not know this session is over, another one follows.
    pub(super) fn begin_afresh(&mut self, session: &str) {
        self.take_rest();
        self.flush();
        self.stream.begin_afresh(session);
    }

    /// Of a run whose tree is gone: whether it did not know its session, and so
    /// has done nothing.
    pub(super) fn is_stale(&mut self) -> bool {
        self.take_rest();
        let seen = self.stream.seen();
        seen.stale && seen.observed.declined.is_none()
    }

    /// Takes what is left in the pipes, without waiting. Nothing more comes.
    fn take_rest(&mut self) {
        for source in [Source::Output, Source::Errors] {
            let pipe = match source {
                Source::Output => self.stdout.take(),
                Source::Errors => self.stderr.take(),
            };
            let Some(pipe) = pipe else { continue };
            self.buffer.resize(CHUNK, 0);
            let mut left = LAST_BYTES;
            while left > 0 {
                // Not by way of the runtime, which may not know yet that there
                // is something to read.
                match rustix::io::read(&pipe, &mut self.buffer[..]) {
                    Ok(0) => break,
                    Ok(bytes) => {
                        left = left.saturating_sub(bytes);
                        self.write(source, bytes);
                    }
                    Err(Errno::INTR) => {}
                    Err(_) => break,
                }
            }
        }
        if self.of != Stage::Setup {
            self.stream.finish();
        }
    }

    /// What is known of the run by what it printed.
    pub(super) fn seen(&self) -> &Seen {
        self.stream.seen()
    }

    /// What it prints from now on goes to the transcript only.
    pub(super) fn read_no_more(&mut self) {
        self.stream.close();
    }

    pub(super) fn note(&mut self, text: &str) {
        self.writer.note(clock::now(), text);
    }

    /// When [`Output::flush`] is due.
    pub(super) fn flush_at(&self) -> Option<Instant> {
        self.flush_at
    }

    /// Writes the lines that were begun.
    pub(super) fn flush(&mut self) {
        self.writer.flush(clock::now());
        self.flush_at = None;
    }

    /// Bytes of transcript that were ever written.
    pub(super) fn written(&self) -> u64 {
        self.writer.end()
    }

    /// When it last printed something, or was started.
    pub(super) fn printed(&self) -> Instant {
        self.last
    }

    fn write(&mut self, source: Source, bytes: usize) {
        let bytes = &self.buffer[..bytes];
        self.writer.output(source, clock::now(), bytes);
        match self.of {
            // Whatever it prints, it says nothing of the agent.
            Stage::Setup => {}
            Stage::Agent | Stage::Afresh => {
                self.stream.feed(source, bytes);
            }
        }
        self.last = Instant::now();
        self.flush_at = match self.writer.has_begun_line() {
            true => self.flush_at.or(Some(self.last + FLUSH_AFTER)),
            false => None,
        };
    }
}

async fn readable(pipe: Option<&Receiver>) {
    match pipe {
        // An error shows again when it is read.
        Some(pipe) => drop(pipe.readable().await),
        None => pending().await,
    }
}
