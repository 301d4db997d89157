//! What is beside, below or instead of the table.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Look, Piece, Theme, put, title};
use crate::{
    top::{
        layout,
        model::{Model, Pane},
        transcript::{Source, Transcript},
    },
    view::state_word,
};

/// Draws the details, or what was opened.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, theme: Theme) {
    match &model.pane {
        Some(Pane::Transcript(open)) => transcript(buffer, area, model, open, theme),
        Some(Pane::Details(first)) => details(buffer, area, model, *first, theme),
        None => details(buffer, area, model, 0, theme),
    }
}

/// `transcript of task 42 · running · Mend the parser`.
fn heading(what: &str, model: &Model) -> Vec<Piece> {
    let Some(id) = model.target() else {
        return vec![(what.to_owned(), Look::Head)];
    };
    let mut pieces = vec![(format!("{what} of task {id}"), Look::Head)];
    if let Some(row) = model.target_row() {
        pieces.push((" · ".to_owned(), Look::Dim));
        pieces.push((state_word(row.state).to_owned(), Look::State(row.state)));
        if !row.title.is_empty() {
            pieces.push((format!(" · {}", row.title), Look::Plain));
        }
    }
    pieces
}

fn details(buffer: &mut Buffer, area: Rect, model: &Model, first: usize, theme: Theme) {
    let (width, height) = layout::pane_size(area);
    let mut places = area.rows();
    if let Some(place) = places.next() {
        title(buffer, place, &heading("details", model), theme);
    }
    let rows = match &model.detail {
        Some(detail) => detail.rows(width, model.now, &model.zone),
        None if model.target().is_some() => vec![("…".to_owned(), Look::Dim)],
        None => Vec::new(),
    };
    for (row, place) in rows.iter().skip(first).take(height).zip(places) {
        put(buffer, place, std::slice::from_ref(row), theme);
    }
}

fn transcript(buffer: &mut Buffer, area: Rect, model: &Model, open: &Transcript, theme: Theme) {
    let (width, height) = layout::pane_size(area);
    let mut places = area.rows();
    if let Some(place) = places.next() {
        let mut pieces = vec![way(open, width, height)];
        pieces.extend(heading("transcript", model));
        title(buffer, place, &pieces, theme);
    }
    if open.is_empty() {
        let place = places.next().unwrap_or_default();
        put(
            buffer,
            place,
            &[("no output yet".to_owned(), Look::Dim)],
            theme,
        );
        return;
    }
    for ((source, text), place) in open.rows(width, height).into_iter().zip(places) {
        let look = match source {
            Source::Stdout => Look::Plain,
            Source::Stderr => Look::Warn,
            Source::Note => Look::Dim,
        };
        put(buffer, place, &[(text.to_owned(), look)], theme);
    }
}

/// Whether it moves by itself.
fn way(open: &Transcript, width: usize, height: usize) -> Piece {
    if !open.follows() {
        let below = open.below(width, height);
        return (format!("[{below} lines below, f follows] "), Look::Warn);
    }
    let word = if open.ended { "[end] " } else { "[following] " };
    (word.to_owned(), Look::Dim)
}
