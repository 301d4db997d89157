//! One record: a line with a header of fixed length.

use crate::task::id::Timestamp;

/// Bytes before the data: `2026-01-02T03:04:05.678Z O F `.
pub(super) const HEADER: usize = 29;
/// Most data of one record, bytes; a longer line is cut.
pub(super) const MAX_DATA: usize = 16 * 1024;

const TIME: usize = 24;
const STREAM: usize = 25;
const FULL: usize = 27;

/// Who wrote a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The agent, to its standard output.
    Output,
    /// The agent, to its standard error.
    Errors,
    /// The runner, or the reader about what is missing.
    Note,
}

impl Stream {
    fn letter(self) -> u8 {
        match self {
            Self::Output => b'O',
            Self::Errors => b'E',
            Self::Note => b'N',
        }
    }
}

/// A line of the transcript, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it was written.
    pub at: Timestamp,
    /// By whom.
    pub stream: Stream,
    /// No newline followed these bytes.
    pub partial: bool,
    /// What was written, without the newline.
    pub data: Vec<u8>,
}

impl Record {
    /// Bytes of the transcript that it takes.
    #[must_use]
    pub fn stored_size(&self) -> u64 {
        (HEADER + self.data.len() + 1) as u64
    }

    pub(super) fn note(at: Timestamp, text: &str) -> Self {
        Self {
            at,
            stream: Stream::Note,
            partial: false,
            data: text.as_bytes().to_vec(),
        }
    }

    /// The record in a line without its newline; `None` if it is not one.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let (header, data) = line.split_at_checked(HEADER)?;
        if [header[TIME], header[STREAM + 1], header[FULL + 1]] != [b' '; 3] {
            return None;
        }
        let time: jiff::Timestamp = str::from_utf8(&header[..TIME]).ok()?.parse().ok()?;
        let stream = match header[STREAM] {
            b'O' => Stream::Output,
            b'E' => Stream::Errors,
            b'N' => Stream::Note,
            _ => return None,
        };
        let partial = match header[FULL] {
            b'F' => false,
            b'P' => true,
            _ => return None,
        };
        Some(Self {
            at: Timestamp(time.as_millisecond()),
            stream,
            partial,
            data: data.to_vec(),
        })
    }
}

/// Whether this line says that it ends a line of the agent. Says nothing of
/// whether it is a good record.
pub(super) fn ends_a_line(line: &[u8]) -> bool {
    line.get(FULL) != Some(&b'P')
}

/// Part of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// In the order in which they were written.
    pub records: Vec<Record>,
    /// Where the next page begins.
    pub next_offset: u64,
}

/// The header for one moment and stream.
#[derive(Clone, Copy)]
pub(super) struct Header([u8; HEADER]);

impl Header {
    pub(super) fn new(at: Timestamp, stream: Stream) -> Self {
        let mut bytes = *b"1970-01-01T00:00:00.000Z O F ";
        // A clock that is set to a year of five digits is shown as the epoch.
        if let Ok(time) = jiff::Timestamp::from_millisecond(at.0) {
            let text = format!("{time:.3}");
            if text.len() == TIME {
                bytes[..TIME].copy_from_slice(text.as_bytes());
            }
        }
        bytes[STREAM] = stream.letter();
        Self(bytes)
    }

    /// Appends a record; `data` must not hold a newline.
    pub(super) fn write(mut self, full: bool, data: [&[u8]; 2], to: &mut Vec<u8>) {
        self.0[FULL] = if full { b'F' } else { b'P' };
        to.extend_from_slice(&self.0);
        to.extend_from_slice(data[0]);
        to.extend_from_slice(data[1]);
        to.push(b'\n');
    }
}

/// Bytes of the agent's output that these complete records hold.
pub(super) fn output_in(records: &[u8]) -> u64 {
    let lines = records.split_inclusive(|byte| *byte == b'\n');
    let bytes = lines.map(|line| match (line.get(STREAM), line.get(FULL)) {
        (Some(b'N') | None, _) => 0,
        (_, Some(b'F')) => line.len() - HEADER,
        _ => line.len() - HEADER - 1,
    });
    bytes.map(|bytes| bytes as u64).sum()
}
