//! Colours by meaning.

use agentd_proto::v1::State;
use anstyle::{AnsiColor, Style};

/// Column heads and the names of fields.
pub(crate) const HEAD: Style = Style::new().bold();
/// What is of less weight.
pub(crate) const DIM: Style = Style::new().dimmed();
/// The start of an error.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();

/// The start of a warning.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// The colour of a state.
pub(crate) fn of_state(state: State) -> Style {
    match state {
        State::Unspecified | State::Queued => Style::new(),
        State::Starting | State::Running => AnsiColor::Cyan.on_default(),
        State::Stopping | State::Aborted => AnsiColor::Yellow.on_default(),
        State::Succeeded => AnsiColor::Green.on_default(),
        State::Failed | State::Interrupted => AnsiColor::Red.on_default(),
        State::Cancelled => DIM,
    }
}

/// The text in a style, or as it is where colours are off.
pub(crate) fn paint(style: Style, text: &str, on: bool) -> String {
    if on && style != Style::new() && !text.is_empty() {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}
