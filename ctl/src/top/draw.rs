//! The state of the screen as cells. It decides nothing.

pub(super) mod head;
mod overlay;
mod pane;
mod table;
#[cfg(test)]
pub(super) mod tests;

use agentd_proto::v1::State;
use anstyle::{AnsiColor, Effects};
use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};
use unicode_width::UnicodeWidthStr as _;

use super::{
    layout::LEAST,
    model::{Mode, Model},
    text,
};
use crate::output::{style::of_state, table::cut};

/// What a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    /// Heads of columns and parts.
    Head,
    /// Of less weight.
    Dim,
    /// A person may want to know.
    Warn,
    /// A person must act.
    Alarm,
    /// It is in this state.
    State(State),
}

/// Whether there are colours; what is bold or dim is so without them, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Theme {
    pub(super) color: bool,
}

impl Theme {
    fn style(self, look: Look) -> Style {
        let style = Style::new();
        match look {
            Look::Plain => style,
            Look::Head => style.add_modifier(Modifier::BOLD),
            Look::Dim => style.add_modifier(Modifier::DIM),
            Look::Warn => self.colored(style, Color::Yellow),
            Look::Alarm => self.colored(style.add_modifier(Modifier::BOLD), Color::Red),
            Look::State(state) => {
                let meant = of_state(state);
                let style = if meant.get_effects().contains(Effects::DIMMED) {
                    style.add_modifier(Modifier::DIM)
                } else {
                    style
                };
                match meant.get_fg_color() {
                    Some(anstyle::Color::Ansi(color)) => self.colored(style, ansi(color)),
                    Some(anstyle::Color::Ansi256(_) | anstyle::Color::Rgb(_)) | None => style,
                }
            }
        }
    }

    fn colored(self, style: Style, color: Color) -> Style {
        if self.color { style.fg(color) } else { style }
    }
}

fn ansi(color: AnsiColor) -> Color {
    match color {
        AnsiColor::Black | AnsiColor::BrightBlack => Color::DarkGray,
        AnsiColor::Red | AnsiColor::BrightRed => Color::Red,
        AnsiColor::Green | AnsiColor::BrightGreen => Color::Green,
        AnsiColor::Yellow | AnsiColor::BrightYellow => Color::Yellow,
        AnsiColor::Blue | AnsiColor::BrightBlue => Color::Blue,
        AnsiColor::Magenta | AnsiColor::BrightMagenta => Color::Magenta,
        AnsiColor::Cyan | AnsiColor::BrightCyan => Color::Cyan,
        AnsiColor::White | AnsiColor::BrightWhite => Color::Gray,
    }
}

/// A text and what it means.
pub(super) type Piece = (String, Look);

/// Draws everything.
pub(super) fn draw(frame: &mut Frame, model: &Model, theme: Theme) {
    let screen = frame.area();
    let buffer = frame.buffer_mut();
    // It has just changed: the next frame is of the new size.
    if (screen.width, screen.height) != model.size {
        return;
    }
    let Some(areas) = model.areas() else {
        too_small(buffer, screen, theme);
        return;
    };
    for (line, area) in head::lines(model).iter().zip(areas.head.rows()) {
        put(buffer, area, line, theme);
    }
    if let Some(table) = areas.table {
        table::draw(buffer, table, model, theme);
    }
    if let Some(side) = areas.side {
        pane::draw(buffer, side, model, theme);
    }
    for (line, area) in message(model).iter().zip(areas.message.rows()) {
        put(buffer, area, std::slice::from_ref(line), theme);
    }
    let keys = overlay::keys(model);
    put(buffer, areas.keys, &keys, theme);
    match &model.mode {
        Mode::Browse => {}
        Mode::Filter { .. } => {
            let typed: usize = keys.iter().take(2).map(|(text, _)| text.width()).sum();
            let x = u16::try_from(typed).unwrap_or(u16::MAX);
            let x = areas.keys.x.saturating_add(x).min(areas.keys.right() - 1);
            frame.set_cursor_position((x, areas.keys.y));
        }
        Mode::Confirm(action) => overlay::confirm(buffer, screen, model, *action, theme),
        Mode::Help => overlay::help(buffer, screen, theme),
    }
}

fn too_small(buffer: &mut Buffer, screen: Rect, theme: Theme) {
    let (width, height) = LEAST;
    let text = format!("the terminal is too small: agentctl top needs {width}x{height} (q quits)");
    let rows = text::wrap(&text, usize::from(screen.width));
    for (row, area) in rows.into_iter().zip(screen.rows()) {
        put(buffer, area, &[(row.to_owned(), Look::Plain)], theme);
    }
}

/// The lines of the message, if there is one.
pub(super) fn message(model: &Model) -> Vec<Piece> {
    let (text, look) = match (&model.message, model.pending) {
        (_, Some(action)) => (action.under_way(), Look::Dim),
        (Some(said), None) if said.is_error => (said.text.clone(), Look::Alarm),
        (Some(said), None) => (said.text.clone(), Look::Warn),
        (None, None) => return Vec::new(),
    };
    let width = usize::from(model.size.0);
    text.lines()
        .flat_map(|line| text::wrap(line, width))
        .map(|row| (row.to_owned(), look))
        .collect()
}

/// Puts pieces into the first row of an area, one behind the other; what does
/// not fit is cut. Gives the column behind them.
fn put(buffer: &mut Buffer, area: Rect, pieces: &[Piece], theme: Theme) -> u16 {
    let area = area.intersection(buffer.area);
    let mut x = area.x;
    if area.is_empty() {
        return x;
    }
    for (text, look) in pieces {
        let left = usize::from(area.right() - x);
        if left == 0 {
            break;
        }
        let text = cut(text, left);
        (x, _) = buffer.set_stringn(x, area.y, text, left, theme.style(*look));
    }
    x
}

/// A title over the whole width: `── tasks · active ─────`.
fn title(buffer: &mut Buffer, area: Rect, pieces: &[Piece], theme: Theme) {
    let mut line = vec![("── ".to_owned(), Look::Dim)];
    line.extend_from_slice(pieces);
    line.push((" ".to_owned(), Look::Dim));
    let x = put(buffer, area, &line, theme);
    let rest = Rect {
        x,
        width: area.right().saturating_sub(x),
        ..area
    };
    let rule = "─".repeat(usize::from(rest.width));
    put(buffer, rest, &[(rule, Look::Dim)], theme);
}
