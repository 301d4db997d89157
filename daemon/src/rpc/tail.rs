//! Where the last lines of a transcript begin, as a person reads them.
//!
//! A line of output may be many lines for a person, or none. So it is tried from
//! ever further back, and the lines are counted. None is kept: however many are
//! asked for, no more than a page of the transcript is in memory.

use std::io;

use agentd_proto::v1;

use super::readable::Rendering;
use crate::{task::spec::AgentType, transcript::Reader};

/// By how much further back it is tried the next time.
const FURTHER: usize = 4;

/// The last lines that somebody wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    pub(super) agent_type: AgentType,
    /// So many.
    pub(super) wanted: u64,
    /// Those of them that come behind the transcript.
    pub(super) behind: u64,
    /// Nothing more is written: a line without an end is one.
    pub(super) ended: bool,
    /// Bytes that are read at once.
    pub(super) page: usize,
}

/// Where they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Start {
    /// A place in the transcript.
    pub(super) offset: u64,
    /// So many of the lines from there on come before them.
    pub(super) skip: u64,
}

/// The lines of some pages.
#[derive(Debug, Default)]
struct Count {
    ended: u64,
    /// The last one goes on.
    open: bool,
}

impl Tail {
    /// Looks for them; only lines that `counts` says are there count.
    ///
    /// # Errors
    /// If the transcript cannot be read.
    pub(super) fn find(
        self,
        reader: &Reader,
        counts: impl Fn(&v1::LogLine) -> bool,
    ) -> io::Result<Start> {
        // What is written meanwhile is not waited for.
        let end = reader.tail(0)?;
        let mut records = usize::try_from(self.wanted).unwrap_or(usize::MAX);
        let mut found = None;
        loop {
            let offset = reader.tail(records)?;
            let begins = |start: &Start| start.offset == offset;
            if let Some(start) = found.filter(begins) {
                // There is nothing before it.
                return Ok(start);
            }
            let lines = self.count(reader, offset, end, &counts)?;
            let lines = lines.saturating_add(self.behind);
            let start = Start {
                offset,
                skip: lines.saturating_sub(self.wanted),
            };
            if lines >= self.wanted {
                return Ok(start);
            }
            found = Some(start);
            records = records.saturating_mul(FURTHER);
        }
    }

    fn count(
        self,
        reader: &Reader,
        offset: u64,
        end: u64,
        counts: impl Fn(&v1::LogLine) -> bool,
    ) -> io::Result<u64> {
        let Some(mut rendering) = Rendering::of(self.agent_type) else {
            return Ok(0);
        };
        let mut count = Count::default();
        let mut at = offset;
        while at < end {
            let page = reader.read(at, self.page)?;
            if page.next_offset <= at {
                break;
            }
            at = page.next_offset;
            count.add(rendering.lines(page).0, &counts);
        }
        if self.ended {
            count.add(rendering.rest(), &counts);
        }
        Ok(count.ended + u64::from(count.open))
    }
}

impl Count {
    fn add(&mut self, lines: Vec<v1::LogLine>, counts: impl Fn(&v1::LogLine) -> bool) {
        for line in lines.iter().filter(|line| counts(line)) {
            self.ended += u64::from(!line.partial);
            self.open = line.partial;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{
        task::id::Timestamp,
        transcript::{Source, Writer},
    };

    /// What Claude Code prints: texts of two lines, between events that say
    /// nothing to a person.
    fn written(dir: &Path, texts: usize, quiet: usize) -> Reader {
        let dir = dir.join("transcript");
        fs::create_dir_all(&dir).unwrap();
        let mut writer = Writer::new(dir.clone(), 8 << 20);
        let mut print = |line: &str| {
            writer.output(Source::Output, Timestamp(1), line.as_bytes());
            writer.output(Source::Output, Timestamp(1), b"\n");
        };
        for number in 0..texts {
            let text = format!("{number} a\\n{number} b");
            print(&format!(
                r#"{{"type":"assistant","message":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
            ));
            for _ in 0..quiet {
                print(r#"{"type":"stream_event"}"#);
            }
        }
        writer.finish(Timestamp(1));
        Reader::open(&dir).unwrap()
    }

    fn tail(wanted: u64, behind: u64) -> Tail {
        Tail {
            agent_type: AgentType::Claude,
            wanted,
            behind,
            ended: true,
            page: 300,
        }
    }

    /// What is read from there on.
    fn lines(reader: &Reader, start: Start) -> Vec<String> {
        let mut rendering = Rendering::of(AgentType::Claude).unwrap();
        let page = reader.read(start.offset, usize::MAX).unwrap();
        let lines = rendering.lines(page).0.into_iter();
        let lines = lines.map(|line| String::from_utf8(line.data).unwrap());
        lines.skip(usize::try_from(start.skip).unwrap()).collect()
    }

    #[test]
    fn as_many_lines_are_found_as_are_wanted_and_are_there() {
        let dir = tempfile::tempdir().unwrap();
        for quiet in [0, 1, 50] {
            let reader = written(&dir.path().join(quiet.to_string()), 40, quiet);
            let all = lines(&reader, Start::default());
            assert_eq!(all.len(), 80);
            for wanted in [1, 2, 3, 5, 79, 80, 81, u64::MAX] {
                let start = tail(wanted, 0).find(&reader, |_| true).unwrap();
                let most = usize::try_from(wanted).unwrap_or(usize::MAX).min(80);
                assert_eq!(lines(&reader, start), all[80 - most..], "{quiet} {wanted}");
            }
            let with_one_behind = tail(5, 1).find(&reader, |_| true).unwrap();
            assert_eq!(lines(&reader, with_one_behind), all[76..]);
            let none = tail(5, 0).find(&reader, |_| false).unwrap();
            assert_eq!(none.skip, 0);
        }
    }

    #[test]
    fn nothing_has_no_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let reader = Reader::open(&dir.path().join("none")).unwrap();
        let start = tail(5, 0).find(&reader, |_| true).unwrap();
        assert_eq!(start, Start::default());
    }

    #[test]
    fn a_line_in_pieces_is_one() {
        let piece = |partial| v1::LogLine {
            partial,
            ..v1::LogLine::default()
        };
        let mut count = Count::default();
        count.add(vec![piece(true), piece(false), piece(true)], |_| true);
        assert_eq!((count.ended, count.open), (1, true));
        count.add(vec![piece(true), piece(false)], |_| true);
        assert_eq!((count.ended, count.open), (2, false));
    }
}
