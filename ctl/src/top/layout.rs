//! Where what is on the screen.

use ratatui::layout::Rect;

use super::{draw::head, model::Model};

/// The smallest terminal.
pub(super) const LEAST: (u16, u16) = (60, 15);
/// Columns from which the pane is beside the table.
const WIDE: u16 = 140;
/// Rows of the body from which the details are below the table.
const HIGH: u16 = 16;
/// Rows of a message.
const MESSAGE: u16 = 3;

/// Where what is. All are as wide as the screen but the two of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) head: Rect,
    /// The table, its title included.
    pub(super) table: Option<Rect>,
    /// The details or the transcript, their title included.
    pub(super) side: Option<Rect>,
    pub(super) message: Rect,
    pub(super) keys: Rect,
}

/// Nothing if the terminal is too small.
pub(super) fn areas(model: &Model) -> Option<Areas> {
    let (width, height) = model.size;
    if width < LEAST.0 || height < LEAST.1 {
        return None;
    }
    let row = |y, height| Rect::new(0, y, width, height);
    let lines = |count: usize, most: u16| u16::try_from(count).unwrap_or(most).min(most);
    let head = lines(head::lines(model).len(), height / 3);
    let message = lines(super::draw::message(model).len(), MESSAGE);
    let body = row(head, height - head - message - 1);
    let (table, side) = split(body, model.pane.is_some());
    Some(Areas {
        head: row(0, head),
        table,
        side,
        message: row(body.bottom(), message),
        keys: row(height - 1, 1),
    })
}

/// Table and pane. One that was opened takes the table's place where there is
/// no room for both.
fn split(body: Rect, opened: bool) -> (Option<Rect>, Option<Rect>) {
    if body.width >= WIDE {
        let share = if opened { 45 } else { 60 };
        let left = u16::try_from(u32::from(body.width) * share / 100).unwrap_or(body.width);
        let table = Rect {
            width: left,
            ..body
        };
        // One column stays free between them.
        let side = Rect {
            x: left + 1,
            width: body.width - left - 1,
            ..body
        };
        return (Some(table), Some(side));
    }
    if opened {
        return (None, Some(body));
    }
    if body.height < HIGH {
        return (Some(body), None);
    }
    let below = (body.height * 2 / 5).min(14);
    let table = Rect {
        height: body.height - below,
        ..body
    };
    let side = Rect {
        y: table.bottom(),
        height: below,
        ..body
    };
    (Some(table), Some(side))
}

/// Tasks that a table of this size shows: below its title and heads.
pub(super) fn table_rows(table: Rect) -> usize {
    usize::from(table.height.saturating_sub(2))
}

/// Columns and rows below a pane's title.
pub(super) fn pane_size(side: Rect) -> (usize, usize) {
    (
        usize::from(side.width),
        usize::from(side.height.saturating_sub(1)),
    )
}
