//! Pages of a transcript, as a person reads them.

use agentd_proto::v1::{self, log_line::Stream as Wire};

use super::to_proto;
use crate::{
    agents::readable::{Readable, Text, used},
    task::{attempt::Attempt, spec::AgentType},
    transcript::{Page, Record, Stream},
};

/// Most of a line that is put together of its pieces, bytes. What is longer is
/// shown in the pieces that it is stored in.
const MAX_LINE: usize = 1024 * 1024;

/// A line that has not ended.
#[derive(Debug)]
struct Begun {
    /// Where its first piece is.
    offset: u64,
    /// When its last piece was written.
    at: i64,
    /// Its pieces.
    data: Vec<u8>,
}

/// Reads the standard output of one attempt.
#[derive(Debug)]
pub(super) struct Rendering {
    readable: Readable,
    /// A line that has not ended.
    begun: Option<Begun>,
}

impl Rendering {
    /// For agents of this type; `None` if what they print is text already.
    pub(super) fn of(agent_type: AgentType) -> Option<Self> {
        Some(Self {
            readable: Readable::of(agent_type)?,
            begun: None,
        })
    }

    /// The lines of a page, and where to go on from if it was the last that
    /// somebody got: before a line that has not ended, so that it is read as a
    /// whole.
    pub(super) fn lines(&mut self, page: Page) -> (Vec<v1::LogLine>, u64) {
        let mut at = page.next_offset;
        let mut places: Vec<u64> = Vec::with_capacity(page.records.len());
        for record in page.records.iter().rev() {
            at = at.saturating_sub(record.stored_size());
            places.push(at);
        }
        let mut lines = Vec::new();
        for (record, at) in page.records.into_iter().zip(places.into_iter().rev()) {
            match record.stream {
                Stream::Output => self.output(record, at, &mut lines),
                Stream::Errors | Stream::Note => lines.push(to_proto::log_line(record)),
            }
        }
        let begun_at = self.begun.as_ref().map(|begun| begun.offset);
        (lines, begun_at.unwrap_or(page.next_offset))
    }

    /// What was begun and will not end.
    pub(super) fn rest(&mut self) -> Vec<v1::LogLine> {
        let Some(begun) = self.begun.take() else {
            return Vec::new();
        };
        let texts = self.readable.line(&begun.data).into_iter();
        texts.map(|text| log_line(begun.at, text)).collect()
    }

    /// What an attempt that has ended has used: the last line of all.
    pub(super) fn used(attempt: &Attempt) -> Option<v1::LogLine> {
        let usage = attempt.known().usage?;
        let at = attempt.ending.as_ref()?.at;
        Some(log_line(at.0, used(usage)))
    }

    fn output(&mut self, record: Record, offset: u64, lines: &mut Vec<v1::LogLine>) {
        let mut line = self.begun.take().unwrap_or(Begun {
            offset,
            at: 0,
            data: Vec::new(),
        });
        line.at = record.at.0;
        line.data.extend_from_slice(&record.data);
        if record.partial && line.data.len() <= MAX_LINE {
            self.begun = Some(line);
            return;
        }
        let texts = self.readable.line(&line.data).into_iter();
        lines.extend(texts.map(|text| log_line(record.at.0, text)));
    }
}

fn log_line(at: i64, text: Text) -> v1::LogLine {
    v1::LogLine {
        at,
        stream: Wire::Stdout.into(),
        partial: text.goes_on,
        data: text.text.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::id::Timestamp;

    fn record(stream: Stream, partial: bool, data: &str) -> Record {
        Record {
            at: Timestamp(1),
            stream,
            partial,
            data: data.into(),
        }
    }

    fn page(records: Vec<Record>, next_offset: u64) -> Page {
        Page {
            records,
            next_offset,
        }
    }

    #[test]
    fn a_line_is_read_when_all_of_its_pieces_are_there() {
        let mut rendering = Rendering::of(AgentType::Codex).unwrap();
        let whole = record(Stream::Output, false, r#"{"type":"turn.started"}"#);
        let begun = record(Stream::Output, true, r#"{"type":"item.completed","item":"#);
        let errors = record(Stream::Errors, false, "warning");
        let behind = begun.stored_size() + errors.stored_size();
        let (lines, next) = rendering.lines(page(vec![whole, begun, errors], 5_000));
        assert_eq!(next, 5_000 - behind);
        assert_eq!(lines.len(), 1, "the errors of the agent");
        let rest = r#"{"type":"agent_message","text":"one\ntwo"}}"#;
        let (lines, next) = rendering.lines(page(vec![record(Stream::Output, false, rest)], 6_000));
        let texts: Vec<&[u8]> = lines.iter().map(|line| &*line.data).collect();
        assert_eq!((texts, next), (vec![&b"one"[..], b"two"], 6_000));
    }
}
