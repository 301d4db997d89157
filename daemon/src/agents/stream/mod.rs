//! What agents print, read as it comes.
//!
//! A runner feeds a [`Stream`] with every piece that its agent prints, and asks
//! it what is known by then. One parser an agent type is given whole lines; it
//! never sees where a piece ended, so nothing depends on that.
//!
//! Invariants: bytes of any kind and lines of any length cost bounded memory,
//! end nothing, and never hold up the agent; a line that is too long is passed
//! over as a whole (the transcript has it).

mod claude;
mod codex;
mod common;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod gemini;
mod json;
mod lines;
mod opencode;
mod provider;
mod reset;
mod ruled;

use std::fmt;

use self::{
    claude::Claude, codex::Codex, gemini::Gemini, lines::Lines, opencode::Opencode, ruled::Ruled,
};
use crate::{
    clock,
    spool::Reads,
    task::{id::Timestamp, observed::Observed},
    transcript::Source,
};

/// What is known of a run by what was printed so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// For the daemon.
    pub observed: Observed,
    /// The agent waits for a tool that it has started.
    pub tool: bool,
    /// It has said its last word: it should end by itself soon.
    pub over: bool,
    /// It does not know the session that it was to resume, and has done
    /// nothing.
    pub stale: bool,
}

/// Reads the lines of one agent type: whole ones, without their end. A copy goes
/// on from where it was made.
#[derive(Clone)]
enum Parser {
    /// Of agents whose output means nothing to us.
    Nothing,
    Lines(Ruled),
    Claude(Claude),
    Codex(Codex),
    Gemini(Gemini),
    Opencode(Opencode),
}

impl Parser {
    fn new(reads: &Reads, now: fn() -> Timestamp) -> Self {
        match reads {
            Reads::Nothing => Self::Nothing,
            Reads::Lines(rules) => Self::Lines(Ruled::new(rules, now)),
            Reads::Claude { before, resumed } => {
                Self::Claude(Claude::new(*before, resumed.is_some(), now))
            }
            Reads::Codex { before, resumed } => {
                Self::Codex(Codex::new(*before, resumed.clone(), now))
            }
            Reads::Gemini { resumed } => Self::Gemini(Gemini::new(resumed.is_some(), now)),
            Reads::Opencode { resumed } => Self::Opencode(Opencode::new(resumed.is_some(), now)),
        }
    }

    fn line(&mut self, source: Source, line: &[u8], seen: &mut Seen) {
        match self {
            Self::Nothing => {}
            Self::Lines(parser) => parser.line(source, line, seen),
            Self::Claude(parser) => parser.line(source, line, seen),
            Self::Codex(parser) => parser.line(source, line, seen),
            Self::Gemini(parser) => parser.line(source, line, seen),
            Self::Opencode(parser) => parser.line(source, line, seen),
        }
    }
}

/// The output of one run.
#[derive(Clone)]
pub struct Stream {
    reads: Reads,
    parser: Parser,
    output: Lines,
    errors: Lines,
    seen: Seen,
    closed: bool,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("reads", &self.reads)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

impl Stream {
    /// The output of an agent that is read in this way.
    #[must_use]
    pub fn new(reads: Reads) -> Self {
        Self::at(reads, clock::now)
    }

    /// The same with a clock of its own: "resets at 3am" depends on it.
    fn at(reads: Reads, now: fn() -> Timestamp) -> Self {
        Self {
            parser: Parser::new(&reads, now),
            reads,
            output: Lines::default(),
            errors: Lines::default(),
            seen: Seen::default(),
            closed: false,
        }
    }

    /// Takes what was printed. Returns whether anything new is known.
    pub fn feed(&mut self, source: Source, bytes: &[u8]) -> bool {
        if self.closed || self.reads == Reads::Nothing {
            return false;
        }
        let mut before = None;
        let lines = match source {
            Source::Output => &mut self.output,
            Source::Errors => &mut self.errors,
        };
        lines.feed(bytes, |line| {
            before.get_or_insert_with(|| self.seen.clone());
            self.parser.line(source, line, &mut self.seen);
        });
        before.is_some_and(|before| self.seen != before)
    }

    /// Nothing more comes: lines that were begun have ended.
    pub fn finish(&mut self) {
        if self.closed {
            return;
        }
        for (source, lines) in [
            (Source::Output, &mut self.output),
            (Source::Errors, &mut self.errors),
        ] {
            lines.finish(|line| self.parser.line(source, line, &mut self.seen));
        }
    }

    /// The run did not know this session; what comes now is that of another run,
    /// and what was said before is void.
    pub fn begin_afresh(&mut self, session: &str) {
        let observed = Observed {
            session_gone: Some(session.to_owned()),
            ..Observed::default()
        };
        *self = Self {
            seen: Seen {
                observed,
                ..Seen::default()
            },
            ..Self::new(self.reads.afresh())
        };
    }

    /// What comes from now on is not read.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// What is known.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }
}

#[cfg(test)]
mod tests;
