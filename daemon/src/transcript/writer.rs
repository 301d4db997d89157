//! The writing side: bounded, and never a reason for the agent to wait or fail.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use super::{
    record::{HEADER, Header, MAX_DATA, Stream, output_in},
    segment,
};
use crate::task::id::Timestamp;

/// The smallest limit, bytes; a smaller one is taken for this.
pub const MIN_LIMIT: u64 = 64 * 1024;

/// Segments in a full transcript.
const SEGMENTS: usize = 8;
/// Of them, those at the beginning, which are never dropped.
const HEAD: usize = SEGMENTS / 2;
/// Most bytes that are gathered for one write.
const BATCH: usize = 128 * 1024;
/// Room in a batch for the note about lost output.
const NOTE: usize = 512;

/// One of the agent's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Its standard output.
    Output,
    /// Its standard error.
    Errors,
}

impl Source {
    fn stream(self) -> Stream {
        match self {
            Self::Output => Stream::Output,
            Self::Errors => Stream::Errors,
        }
    }
}

/// Writes the transcript of one attempt. There is one writer at a time.
///
/// Nothing here returns an error: what cannot be written is dropped and
/// counted, and a note says how much once writing works again.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    /// Most bytes of one segment.
    segment: u64,
    /// Most data of one record.
    record: usize,
    /// Where the segments begin; the last one is written to.
    starts: VecDeque<u64>,
    file: Option<File>,
    /// Where the next record goes.
    end: u64,
    /// The last segment has bytes behind `end` that could not be cut off.
    torn: bool,
    scanned: bool,
    lost: Option<Lost>,
    /// The begun line of each source.
    begun: [Vec<u8>; 2],
    /// Records for the next write.
    batch: Vec<u8>,
    /// The time of the newest call.
    now: Timestamp,
}

/// Output that could not be written.
#[derive(Debug)]
struct Lost {
    bytes: u64,
    error: io::Error,
}

impl Writer {
    /// A writer into `dir`, which is made with the first record. `limit` is
    /// the most bytes that the directory may hold.
    #[must_use]
    pub fn new(dir: PathBuf, limit: u64) -> Self {
        let segment = limit.max(MIN_LIMIT) / SEGMENTS as u64;
        let room = usize::try_from(segment).unwrap_or(usize::MAX);
        Self {
            dir,
            segment,
            record: MAX_DATA.min(room - NOTE - HEADER - 1),
            starts: VecDeque::new(),
            file: None,
            end: 0,
            torn: false,
            scanned: false,
            lost: None,
            begun: [Vec::new(), Vec::new()],
            batch: Vec::new(),
            now: Timestamp(0),
        }
    }

    /// Bytes of all records that were ever written: the offset of the next.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether a line was begun and is held back until its end is known.
    #[must_use]
    pub fn has_begun_line(&self) -> bool {
        self.begun.iter().any(|begun| !begun.is_empty())
    }

    /// Adds what the agent wrote at `at`. Whole lines are written at once; a
    /// begun line when it ends, grows too long, or by [`Writer::flush`].
    pub fn output(&mut self, source: Source, at: Timestamp, bytes: &[u8]) {
        self.now = at;
        let header = Header::new(at, source.stream());
        let mut begun = std::mem::take(&mut self.begun[source as usize]);
        let mut from = 0;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            self.line(header, &mut begun, &bytes[from..newline], true);
            from = newline + 1;
        }
        if from < bytes.len() {
            self.line(header, &mut begun, &bytes[from..], false);
        }
        self.begun[source as usize] = begun;
        self.commit();
    }

    /// Writes the begun lines as they are.
    pub fn flush(&mut self, at: Timestamp) {
        self.now = at;
        for source in [Source::Output, Source::Errors] {
            let mut begun = std::mem::take(&mut self.begun[source as usize]);
            if !begun.is_empty() {
                self.push(Header::new(at, source.stream()), false, [&begun, &[]]);
            }
            begun.clear();
            self.begun[source as usize] = begun;
        }
        self.commit();
    }

    /// Adds one line of the runner's own; newlines in it become spaces, and
    /// what is too long for one record is cut.
    pub fn note(&mut self, at: Timestamp, text: &str) {
        self.now = at;
        let line: Vec<u8> = text
            .bytes()
            .take(self.record)
            .map(|byte| if byte == b'\n' { b' ' } else { byte })
            .collect();
        self.push(Header::new(at, Stream::Note), true, [&line, &[]]);
        self.commit();
    }

    /// Writes what is held back, and the note about lost output if there is
    /// any.
    pub fn finish(&mut self, at: Timestamp) {
        self.flush(at);
        if self.lost.is_some() {
            self.write_batch();
        }
    }

    /// Adds the rest of a line (`full`) or a piece of it to what was begun.
    fn line(&mut self, header: Header, begun: &mut Vec<u8>, mut piece: &[u8], full: bool) {
        if !begun.is_empty() {
            let room = (self.record - begun.len()).min(piece.len());
            let (first, rest) = piece.split_at(room);
            if rest.is_empty() && !full {
                begun.extend_from_slice(first);
                return;
            }
            self.push(header, rest.is_empty(), [begun, first]);
            begun.clear();
            if rest.is_empty() {
                return;
            }
            piece = rest;
        }
        while piece.len() > self.record {
            let (first, rest) = piece.split_at(self.record);
            self.push(header, false, [first, &[]]);
            piece = rest;
        }
        if full {
            self.push(header, true, [piece, &[]]);
        } else {
            begun.extend_from_slice(piece);
        }
    }

    fn push(&mut self, header: Header, full: bool, data: [&[u8]; 2]) {
        let len = HEADER + data[0].len() + data[1].len() + 1;
        let most = usize::try_from(self.segment).unwrap_or(BATCH).min(BATCH) - NOTE;
        if self.batch.len() + len > most {
            self.commit();
        }
        header.write(full, data, &mut self.batch);
    }

    fn commit(&mut self) {
        if !self.batch.is_empty() {
            self.write_batch();
        }
    }

    /// Writes the batch. What does not fit on the disk is counted as lost.
    fn write_batch(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        let noted = self.put_note_of_loss(&mut batch);
        let (written, error) = self.append(&batch);
        if written >= noted {
            self.lost = self.lost.take().filter(|_| noted == 0);
        }
        if let Some(error) = error {
            let bytes = output_in(&batch[written..]);
            match &mut self.lost {
                Some(lost) => lost.bytes += bytes,
                None => self.lost = Some(Lost { bytes, error }),
            }
        }
        batch.clear();
        self.batch = batch;
    }

    /// Puts the note about lost output before the batch; its length.
    fn put_note_of_loss(&self, batch: &mut Vec<u8>) -> usize {
        let Some(lost) = &self.lost else { return 0 };
        let text = format!("… {} bytes of output lost: {} …", lost.bytes, lost.error);
        let mut note = Vec::new();
        Header::new(self.now, Stream::Note).write(true, [text.as_bytes(), &[]], &mut note);
        batch.splice(..0, note.iter().copied());
        note.len()
    }

    /// Appends these records; how many bytes of them are in place, which is a
    /// number of whole records, and what stopped the rest.
    fn append(&mut self, records: &[u8]) -> (usize, Option<io::Error>) {
        if let Err(error) = self.make_room(records.len() as u64) {
            return (0, Some(error));
        }
        let (Some(file), Some(start)) = (&self.file, self.starts.back()) else {
            return (0, Some(io::Error::other("no segment")));
        };
        let at = self.end - start;
        let mut done = 0;
        let error = loop {
            match file.write_at(&records[done..], at + done as u64) {
                Ok(0) => break Some(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
            if done == records.len() {
                break None;
            }
        };
        if error.is_some() {
            let whole = memchr::memrchr(b'\n', &records[..done]).map_or(0, |last| last + 1);
            self.torn = done > whole && file.set_len(at + whole as u64).is_err();
            done = whole;
        }
        self.end += done as u64;
        (done, error)
    }

    /// Sees to it that the last segment is open, sound and has room.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        if !self.scanned {
            self.scan()?;
        }
        if let (Some(file), Some(start)) = (&self.file, self.starts.back()) {
            if self.torn {
                file.set_len(self.end - start)?;
                self.torn = false;
            }
            if self.end - start + bytes <= self.segment {
                return Ok(());
            }
        }
        while self.starts.len() >= SEGMENTS {
            let oldest_of_tail = self.starts[HEAD];
            match fs::remove_file(segment::path(&self.dir, oldest_of_tail)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.starts.remove(HEAD),
            };
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(segment::path(&self.dir, self.end))?;
        self.file = Some(file);
        self.starts.push_back(self.end);
        Ok(())
    }

    /// Goes on behind what is there: normally nothing.
    fn scan(&mut self) -> io::Result<()> {
        segment::make_dir(&self.dir)?;
        self.starts = segment::list(&self.dir)?.into();
        if let Some(start) = self.starts.back().copied() {
            let length = fs::metadata(segment::path(&self.dir, start))?.len();
            self.end = start.saturating_add(length);
            if length == 0 {
                // The next segment will have its name.
                self.starts.pop_back();
            }
        }
        self.scanned = true;
        Ok(())
    }
}
