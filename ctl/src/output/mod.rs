//! The one writer: data to stdout, messages to stderr, colours where they are
//! seen. That stdout was closed by its reader comes back as an error of a kind
//! that ends the program quietly; what cannot be said on stderr is not said.

pub(crate) mod json;
pub(crate) mod limits;
pub(crate) mod list;
pub(crate) mod page;
pub(crate) mod progress;
pub(crate) mod sessions;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod tasks;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, BufWriter, IsTerminal, Write},
    os::fd::AsFd,
    process::ExitCode,
};

use anstream::{AutoStream, ColorChoice};
use jiff::{Timestamp, tz::TimeZone};
use terminal_size::terminal_size_of;

use crate::error::Error;

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Also into a pipe.
    Always,
    /// Not at all.
    Never,
}

impl Color {
    fn for_stream(self, stream: &impl anstream::stream::RawStream) -> bool {
        match self {
            Self::Auto => AutoStream::choice(stream) != ColorChoice::Never,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Where everything is written.
pub(crate) struct Output {
    stdout: Box<dyn Write>,
    stderr: Box<dyn Write>,
    /// Colours on stdout.
    pub(crate) color: bool,
    /// Colours on stderr.
    pub(crate) color_err: bool,
    /// Columns of the terminal; `None` where nothing has to fit.
    pub(crate) width: Option<usize>,
    /// Columns of the terminal on stderr; `None`: nobody sees how far it is.
    pub(crate) live: Option<usize>,
    /// Notes are left out.
    pub(crate) quiet: bool,
    /// The line that is to be written over.
    in_place: Option<String>,
    /// The same for everything printed by one command.
    pub(crate) now: Timestamp,
    zone: Option<TimeZone>,
}

impl Output {
    /// The process's own streams.
    pub(crate) fn of_process(color: Color) -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let width = columns(&stdout);
        let live = columns(&stderr);
        Self {
            color: color.for_stream(&stdout),
            color_err: color.for_stream(&stderr),
            stdout: Box::new(BufWriter::new(stdout)),
            stderr: Box::new(stderr),
            width,
            live,
            quiet: false,
            in_place: None,
            now: Timestamp::now(),
            zone: None,
        }
    }

    /// Into memory.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn into(stdout: Box<dyn Write>, stderr: Box<dyn Write>, now: Timestamp) -> Self {
        Self {
            stdout,
            stderr,
            color: false,
            color_err: false,
            width: None,
            live: None,
            quiet: false,
            in_place: None,
            now,
            zone: Some(TimeZone::UTC),
        }
    }

    /// This machine's time zone, read when it is first needed.
    pub(crate) fn zone(&mut self) -> TimeZone {
        self.zone.get_or_insert_with(TimeZone::system).clone()
    }

    /// Bytes to stdout, as they are; seen after [`Self::flush`].
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.clear();
        Ok(self.stdout.write_all(bytes)?)
    }

    /// One line of data.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Error> {
        self.clear();
        self.stdout.write_all(text.as_bytes())?;
        Ok(self.stdout.write_all(b"\n")?)
    }

    /// One JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &impl serde::Serialize) -> Result<(), Error> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.line(&without_controls(&text))
    }

    /// One document; it ends in a newline.
    pub(crate) fn document(
        &mut self,
        script: json::Script,
        value: &impl serde::Serialize,
    ) -> Result<(), Error> {
        match script {
            json::Script::Json => self.json(value),
            json::Script::Yaml => {
                let text = serde_saphyr::to_string(value).map_err(io::Error::other)?;
                self.line(text.trim_end_matches('\n'))
            }
        }
    }

    /// Makes what was written seen.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.stdout.flush()?)
    }

    /// Bytes of the agent's stderr, as they are.
    pub(crate) fn bytes_err(&mut self, bytes: &[u8]) -> Result<(), Error> {
        // Kept in order with what went to stdout before.
        self.flush()?;
        self.clear();
        self.stderr.write_all(bytes).or_else(closed_is_fine)?;
        Ok(())
    }

    /// A message for a person.
    pub(crate) fn message(&mut self, text: &str) {
        self.say(text);
    }

    /// A question to whoever sits at the terminal; the answer is typed behind it.
    pub(crate) fn ask(&mut self, text: &str) {
        self.clear();
        let said = write!(self.stderr, "{text} ").and_then(|()| self.stderr.flush());
        // Who does not see the question does not say yes.
        drop(said);
    }

    /// A message of less weight.
    pub(crate) fn note(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        let text = style::paint(style::DIM, text, self.color_err);
        self.say(&text);
    }

    /// An error; nothing if stdout was merely closed.
    pub(crate) fn error(&mut self, error: &Error) {
        if error.kind() == crate::error::Kind::ClosedPipe {
            return;
        }
        let text = error.render();
        let text = match text.strip_prefix("agentctl:") {
            Some(rest) => format!(
                "{}{rest}",
                style::paint(style::ERROR, "agentctl:", self.color_err)
            ),
            None => text,
        };
        self.say(&text);
    }

    /// Flushes and gives the process's exit code.
    pub(crate) fn finish(&mut self, code: u8) -> ExitCode {
        self.clear();
        match self.flush() {
            Ok(()) => ExitCode::from(code),
            Err(error) => {
                self.error(&error);
                ExitCode::from(code.max(error.kind().exit_code()))
            }
        }
    }

    fn say(&mut self, text: &str) {
        // Data written before a message is seen before it; a failure shows
        // again at the next write.
        let flushed = self.stdout.flush();
        self.clear();
        let said = writeln!(self.stderr, "{text}");
        drop((flushed, said));
    }
}

/// Of a terminal.
fn columns(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    let size = stream.is_terminal().then(|| terminal_size_of(stream))?;
    size.map(|(width, _)| usize::from(width.0))
}

/// JSON has to escape the control characters below the space only; the others
/// steer terminals too. They can be in strings only.
fn without_controls(json: &str) -> Cow<'_, str> {
    if !json.contains(char::is_control) {
        return Cow::Borrowed(json);
    }
    let escaped = json.chars().fold(String::new(), |mut escaped, c| {
        if c.is_control() {
            // Writing to a String cannot fail.
            write!(escaped, "\\u{:04x}", u32::from(c)).unwrap_or_default();
        } else {
            escaped.push(c);
        }
        escaped
    });
    Cow::Owned(escaped)
}

/// Nobody reads stderr: not a reason to stop.
fn closed_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Ok(())
    } else {
        Err(error)
    }
}
