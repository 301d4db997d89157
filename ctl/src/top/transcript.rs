//! What is seen of a transcript: its newest lines, and where in them the
//! screen is.

use std::collections::VecDeque;

use agentd_proto::v1::{self, log_line::Stream};

use super::text;

/// Lines that are kept.
pub(super) const MOST_LINES: usize = 5_000;
/// Bytes that are kept.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that a line which comes in pieces grows to.
const MOST_OF_ONE: usize = 16 * 1024;

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The agent's stdout.
    Stdout,
    /// The agent's stderr.
    Stderr,
    /// The daemon, the runner, or this program.
    Note,
}

/// A line, harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) source: Source,
    pub(super) text: String,
    /// More of it may come.
    partial: bool,
}

impl Line {
    /// A note.
    pub(super) fn note(text: &str) -> Self {
        Self {
            source: Source::Note,
            text: text::short(text),
            partial: false,
        }
    }
}

impl From<v1::LogLine> for Line {
    fn from(line: v1::LogLine) -> Self {
        Self {
            source: match line.stream() {
                Stream::Stdout | Stream::Unspecified => Source::Stdout,
                Stream::Stderr => Source::Stderr,
                Stream::Note => Source::Note,
            },
            text: text::transcript(&line.data),
            partial: line.partial,
        }
    }
}

/// The place on the screen's first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Top {
    /// Whatever shows the newest line last.
    Follow,
    /// This line, counted from the first that ever came, and this row of it.
    At(u64, usize),
}

/// The transcript of one task.
#[derive(Debug, Clone)]
pub(super) struct Transcript {
    pub(super) task: u64,
    /// Which opening of a transcript it is: what an earlier one is still told
    /// is not of this one.
    pub(super) opening: u64,
    /// Nothing more comes.
    pub(super) ended: bool,
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines that were dropped at the front.
    dropped: u64,
    top: Top,
}

impl Transcript {
    /// An empty one that follows.
    pub(super) fn new(task: u64, opening: u64) -> Self {
        Self {
            task,
            opening,
            ended: false,
            lines: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            top: Top::Follow,
        }
    }

    /// Takes lines that came.
    pub(super) fn extend(&mut self, lines: Vec<Line>) {
        for line in lines {
            match self.lines.back_mut() {
                Some(last) if last.partial && last.source == line.source => {
                    last.partial = line.partial;
                    if last.text.len() < MOST_OF_ONE {
                        last.text.push_str(&line.text);
                        self.bytes += line.text.len();
                    }
                }
                Some(_) | None => {
                    self.bytes += line.text.len();
                    self.lines.push_back(line);
                }
            }
        }
        while self.lines.len() > MOST_LINES || self.bytes > MOST_BYTES {
            let Some(gone) = self.lines.pop_front() else {
                break;
            };
            self.bytes -= gone.text.len();
            self.dropped += 1;
        }
        if let Top::At(line, _) = self.top
            && line < self.dropped
        {
            self.top = Top::At(self.dropped, 0);
        }
    }

    /// Whether nothing has come.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether the newest line is always seen.
    pub(super) fn follows(&self) -> bool {
        self.top == Top::Follow
    }

    /// Lines below the screen, for its frame.
    pub(super) fn below(&self, width: usize, height: usize) -> usize {
        let shown: usize = self
            .shown(width, height)
            .map(|(line, _)| line)
            .last()
            .map_or(0, |last| last + 1);
        self.lines.len() - shown
    }

    /// What is on the screen, its first row first.
    pub(super) fn rows(&self, width: usize, height: usize) -> Vec<(Source, &str)> {
        self.shown(width, height)
            .map(|(line, row)| (self.lines[line].source, row))
            .collect()
    }

    fn shown(&self, width: usize, height: usize) -> impl Iterator<Item = (usize, &str)> {
        let (line, row) = self.first(width, height);
        self.lines
            .iter()
            .enumerate()
            .skip(line)
            .flat_map(move |(at, line)| {
                let rows = text::wrap(&line.text, width.max(1));
                rows.into_iter().map(move |row| (at, row))
            })
            .skip(row)
            .take(height)
    }

    /// The line in `lines`, and its row, that is on the first row.
    fn first(&self, width: usize, height: usize) -> (usize, usize) {
        let last = self.last(width, height);
        match self.top {
            Top::Follow => last,
            Top::At(line, row) => {
                let line = usize::try_from(line - self.dropped).unwrap_or(usize::MAX);
                let rows = self.rows_of(line, width);
                // Wider than it was: the line has fewer rows.
                (line, row.min(rows.saturating_sub(1))).min(last)
            }
        }
    }

    /// The first row of a screen that ends with the newest line.
    fn last(&self, width: usize, height: usize) -> (usize, usize) {
        self.back(self.lines.len(), 0, height, width)
    }

    /// So many rows before a place; the beginning if there are not as many.
    fn back(&self, line: usize, row: usize, rows: usize, width: usize) -> (usize, usize) {
        let (mut line, mut left) = (line, rows);
        if left <= row {
            return (line, row - left);
        }
        left -= row;
        while line > 0 {
            line -= 1;
            let has = self.rows_of(line, width);
            if has >= left {
                return (line, has - left);
            }
            left -= has;
        }
        (0, 0)
    }

    fn rows_of(&self, line: usize, width: usize) -> usize {
        self.lines
            .get(line)
            .map_or(0, |line| text::wrap(&line.text, width.max(1)).len())
    }

    /// Moves by so many rows, up if negative. The end is a place that follows.
    pub(super) fn scroll(&mut self, by: isize, width: usize, height: usize) {
        let (line, row) = self.first(width, height);
        let last = self.last(width, height);
        let (mut line, mut row) = if by < 0 {
            self.back(line, row, by.unsigned_abs(), width)
        } else {
            (line, row + by.unsigned_abs())
        };
        // Rows that the line does not have are those of the lines behind it.
        while line < self.lines.len() {
            let has = self.rows_of(line, width);
            if row < has {
                break;
            }
            row -= has;
            line += 1;
        }
        self.stay_at((line, row), last);
    }

    /// To the first line that is kept.
    pub(super) fn go_to_start(&mut self, width: usize, height: usize) {
        let last = self.last(width, height);
        self.stay_at((0, 0), last);
    }

    fn stay_at(&mut self, place: (usize, usize), last: (usize, usize)) {
        self.top = if place >= last {
            Top::Follow
        } else {
            let line = u64::try_from(place.0).unwrap_or(u64::MAX);
            Top::At(self.dropped.saturating_add(line), place.1)
        };
    }

    /// To the newest line, and on with it.
    pub(super) fn follow(&mut self) {
        self.top = Top::Follow;
    }

    /// Stays where it is, or follows.
    pub(super) fn toggle(&mut self, width: usize, height: usize) {
        if self.top == Top::Follow {
            let (line, row) = self.first(width, height);
            let line = u64::try_from(line).unwrap_or(u64::MAX);
            self.top = Top::At(self.dropped.saturating_add(line), row);
        } else {
            self.top = Top::Follow;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> Line {
        Line {
            source: Source::Stdout,
            text: text.to_owned(),
            partial: false,
        }
    }

    fn numbered(range: std::ops::Range<u32>) -> Vec<Line> {
        range.map(|n| line(&format!("line {n}"))).collect()
    }

    fn seen(transcript: &Transcript, width: usize, height: usize) -> Vec<&str> {
        let rows = transcript.rows(width, height);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    #[test]
    fn it_follows_until_a_person_scrolls_up() {
        let mut transcript = Transcript::new(1, 0);
        transcript.extend(numbered(0..10));
        assert_eq!(seen(&transcript, 20, 3), ["line 7", "line 8", "line 9"]);
        transcript.scroll(-2, 20, 3);
        assert!(!transcript.follows());
        let there = ["line 5", "line 6", "line 7"];
        assert_eq!(seen(&transcript, 20, 3), there);
        assert_eq!(transcript.below(20, 3), 2);
        // What comes does not move it.
        transcript.extend(numbered(10..20));
        assert_eq!(seen(&transcript, 20, 3), there);
        transcript.scroll(100, 20, 3);
        assert!(transcript.follows());
        assert_eq!(seen(&transcript, 20, 3).last(), Some(&"line 19"));
        transcript.go_to_start(20, 3);
        assert_eq!(seen(&transcript, 20, 3)[0], "line 0");
        transcript.follow();
        assert_eq!(transcript.below(20, 3), 0);
    }

    #[test]
    fn it_keeps_its_place_when_it_stops_to_follow() {
        let mut transcript = Transcript::new(1, 0);
        transcript.extend(numbered(0..10));
        transcript.toggle(20, 3);
        transcript.extend(numbered(10..11));
        assert_eq!(seen(&transcript, 20, 3), ["line 7", "line 8", "line 9"]);
        transcript.toggle(20, 3);
        assert_eq!(seen(&transcript, 20, 3).last(), Some(&"line 10"));
    }

    #[test]
    fn pieces_of_a_line_are_one_line() {
        let piece = |text: &str, source, partial| Line {
            source,
            text: text.to_owned(),
            partial,
        };
        let mut transcript = Transcript::new(1, 0);
        transcript.extend(vec![piece("to", Source::Stdout, true)]);
        transcript.extend(vec![
            piece("gether", Source::Stdout, false),
            piece("begun ", Source::Stdout, true),
            piece("an error", Source::Stderr, false),
            piece("ended", Source::Stdout, false),
        ]);
        let rows = ["together", "begun ", "an error", "ended"];
        assert_eq!(seen(&transcript, 20, 9), rows);
    }

    #[test]
    fn it_keeps_so_much_and_no_more() {
        let mut transcript = Transcript::new(1, 0);
        transcript.extend(numbered(0..10));
        transcript.go_to_start(20, 3);
        transcript.extend(numbered(10..10_000));
        assert_eq!(transcript.lines.len(), MOST_LINES);
        // The place is gone: the oldest line that is there is seen.
        assert_eq!(seen(&transcript, 20, 1), ["line 5000"]);
        transcript.extend((0..3_000).map(|_| line(&"x".repeat(4_000))).collect());
        assert!(transcript.bytes <= MOST_BYTES, "{}", transcript.bytes);
        let counted: usize = transcript.lines.iter().map(|line| line.text.len()).sum();
        assert_eq!(transcript.bytes, counted);
    }

    proptest! {
        #[test]
        fn no_scrolling_leaves_it(
            texts in prop::collection::vec(".{0,60}", 0..20),
            moves in prop::collection::vec((-30..30_isize, 1..40_usize, 0..12_usize), 0..20),
        ) {
            let mut transcript = Transcript::new(1, 0);
            transcript.extend(texts.iter().map(|text| line(text)).collect());
            for (by, width, height) in moves {
                transcript.scroll(by, width, height);
                let all: usize = (0..texts.len()).map(|at| transcript.rows_of(at, width)).sum();
                prop_assert_eq!(transcript.rows(width, height).len(), height.min(all));
            }
        }
    }
}
