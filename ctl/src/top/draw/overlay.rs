//! What is over everything else, and the keys at the bottom.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    widgets::{Block, Clear, Widget as _},
};
use unicode_width::UnicodeWidthStr as _;

use super::{Look, Piece, Theme, put};
use crate::top::{
    event::Action,
    model::{Mode, Model, Pane, keys::HELP},
    text,
};

/// Keys of the table, the most needed first.
const TABLE: [(&str, &str); 12] = [
    ("⏎", "logs"),
    ("d", "details"),
    ("c", "cancel"),
    ("r", "rerun"),
    ("?", "help"),
    ("q", "quit"),
    ("/", "filter"),
    ("a", "active/all/failed"),
    ("s", "sort"),
    ("h", "hold"),
    ("p", "pause"),
    ("K", "kill"),
];
/// Keys of what was opened.
const OPENED: [(&str, &str); 7] = [
    ("Esc", "back"),
    ("↑↓", "scroll"),
    ("f", "follow"),
    ("g G", "first, last"),
    ("c", "cancel"),
    ("r", "rerun"),
    ("?", "help"),
];

/// The line at the bottom.
pub(super) fn keys(model: &Model) -> Vec<Piece> {
    if let Mode::Filter { .. } = model.mode {
        return vec![
            ("filter: ".to_owned(), Look::Head),
            (model.filter.clone(), Look::Plain),
            ("   Enter keeps it, Esc drops it".to_owned(), Look::Dim),
        ];
    }
    let keys: &[(&str, &str)] = match model.pane {
        None => &TABLE,
        Some(Pane::Transcript(_) | Pane::Details(_)) => &OPENED,
    };
    let mut pieces = Vec::new();
    let mut used = 0;
    for (key, what) in keys {
        let gap = if pieces.is_empty() { "" } else { "  " };
        used += gap.len() + key.width() + 1 + what.width();
        if used > usize::from(model.size.0) {
            break;
        }
        pieces.push((gap.to_owned(), Look::Plain));
        pieces.push(((*key).to_owned(), Look::Head));
        pieces.push((format!(" {what}"), Look::Dim));
    }
    pieces
}

/// The question that y or n answers.
pub(super) fn confirm(
    buffer: &mut Buffer,
    screen: Rect,
    model: &Model,
    action: Action,
    theme: Theme,
) {
    let width = screen.width.saturating_sub(8).min(64);
    let inner = usize::from(width.saturating_sub(4));
    let title = match action {
        Action::Pause | Action::Resume => None,
        Action::Cancel(_)
        | Action::Kill(_)
        | Action::Rerun(_)
        | Action::Hold(_)
        | Action::Release(_) => model.target_row().map(|row| row.title.clone()),
    };
    let mut lines: Vec<Vec<Piece>> = text::wrap(&action.question(), inner)
        .into_iter()
        .map(|row| vec![(row.to_owned(), Look::Head)])
        .collect();
    lines.extend(
        title
            .filter(|title| !title.is_empty())
            .map(|title| vec![(title, Look::Plain)]),
    );
    lines.push(Vec::new());
    lines.push(vec![
        ("y".to_owned(), Look::Head),
        (" yes   ".to_owned(), Look::Plain),
        ("n".to_owned(), Look::Head),
        (" no".to_owned(), Look::Plain),
    ]);
    boxed(buffer, screen, width, &lines, theme);
}

/// What keys there are.
pub(super) fn help(buffer: &mut Buffer, screen: Rect, theme: Theme) {
    // On a low screen what is between the parts goes first.
    let low = usize::from(screen.height) < HELP.len() + 2;
    let shown = HELP.iter().filter(|(key, _)| !(low && key.is_empty()));
    let lines: Vec<Vec<Piece>> = shown
        .map(|(key, what)| {
            vec![
                (format!("{key:<17}"), Look::Head),
                ((*what).to_owned(), Look::Plain),
            ]
        })
        .collect();
    boxed(buffer, screen, screen.width.min(64), &lines, theme);
}

/// Lines in a box in the middle of the screen.
fn boxed(buffer: &mut Buffer, screen: Rect, width: u16, lines: &[Vec<Piece>], theme: Theme) {
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let area = Rect {
        x: (screen.width.saturating_sub(width)) / 2,
        y: (screen.height.saturating_sub(height)) / 2,
        width,
        height,
    }
    .intersection(screen);
    Clear.render(area, buffer);
    let block = Block::bordered();
    let inner = block.inner(area);
    block.render(area, buffer);
    for (line, place) in lines.iter().zip(inner.rows()) {
        let place = Rect {
            x: place.x.saturating_add(1),
            width: place.width.saturating_sub(2),
            ..place
        };
        put(buffer, place, line, theme);
    }
}
