//! A transcript on stdout and stderr.

use agentd_proto::v1::{self, log_line::Stream};

use super::{Listener, Look};
use crate::{error::Error, output::Output, reconnect::Notes, when::rfc3339};

/// Prints what it hears.
pub(super) struct Printer<'a> {
    out: &'a mut Output,
    look: Look,
    /// What was begun before is left out; milliseconds since the epoch.
    since: i64,
    /// Something was printed.
    shown: bool,
    line: LineState,
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

impl<'a> Printer<'a> {
    /// One that has printed nothing yet.
    pub(super) fn new(out: &'a mut Output, look: Look, since: i64) -> Self {
        Self {
            out,
            look,
            since,
            shown: false,
            line: LineState::default(),
        }
    }

    /// Whether something was printed.
    pub(super) fn has_shown(&self) -> bool {
        self.shown
    }

    fn print(&mut self, line: &v1::LogLine) -> Result<(), Error> {
        let mut bytes = Vec::with_capacity(line.data.len() + 32);
        let (is_err, place) = match line.stream() {
            Stream::Note => {
                if !self.look.raw && line.at >= self.since {
                    self.shown = true;
                    self.out.note(&String::from_utf8_lossy(&line.data));
                }
                return Ok(());
            }
            Stream::Stderr => (true, &mut self.line.stderr),
            Stream::Stdout | Stream::Unspecified => (false, &mut self.line.stdout),
        };
        let hidden = match *place {
            Place::Between => line.at < self.since,
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
}

impl Notes for Printer<'_> {
    fn note(&mut self, text: &str) {
        self.out.note(text);
    }
}

impl Listener for Printer<'_> {
    async fn lines(&mut self, lines: Vec<v1::LogLine>) -> Result<(), Error> {
        lines.iter().try_for_each(|line| self.print(line))?;
        self.out.flush()
    }

    async fn attempt(&mut self, task: u64, attempt: u32) -> Result<(), Error> {
        if !self.look.raw {
            self.out.note(&format!("attempt {task}.{attempt}"));
        }
        self.line = LineState::default();
        Ok(())
    }

    fn readable(&self) -> bool {
        !self.look.raw
    }
}
