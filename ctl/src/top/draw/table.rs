//! The table of tasks.

use ratatui::{buffer::Buffer, layout::Rect, style::Modifier};
use unicode_width::UnicodeWidthStr as _;

use super::{Look, Piece, Theme, put, title};
use crate::{
    output::limits::dollars,
    top::{
        layout,
        model::{Link, Model},
        row::Row,
    },
    view::state_word,
    when::short,
};

/// Between two columns.
const GAP: u16 = 2;
/// What is left for words has two columns from here on.
const TWO: u16 = 56;

/// A column of a width of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Id,
    State,
    Agent,
    Repo,
    Issue,
    Tries,
    Age,
    Took,
    Cost,
}

/// In their order: the head, columns at the most, and the width of a table from
/// which on it is shown.
const COLUMNS: [(Column, &str, u16, u16); 9] = [
    (Column::Id, "ID", 8, 0),
    (Column::State, "STATE", 11, 0),
    (Column::Agent, "AGENT", 12, 0),
    (Column::Repo, "REPO", 16, 90),
    (Column::Issue, "ISSUE", 8, 100),
    (Column::Tries, "TRY", 3, 110),
    (Column::Age, "AGE", 4, 76),
    (Column::Took, "TIME", 4, 0),
    (Column::Cost, "COST", 9, 84),
];

impl Column {
    fn piece(self, row: &Row, model: &Model) -> Piece {
        let dash = |text: String| {
            if text.is_empty() {
                "-".to_owned()
            } else {
                text
            }
        };
        let text = match self {
            Self::Id => row.id.to_string(),
            Self::State => {
                return (state_word(row.state).to_owned(), Look::State(row.state));
            }
            Self::Agent => row.agent.clone(),
            Self::Repo => row.repo.clone(),
            Self::Issue => row.issue.clone(),
            Self::Tries => row.attempts.to_string(),
            Self::Age => row.age(model.now).map(short).unwrap_or_default(),
            Self::Took => row.took(model.now).map(short).unwrap_or_default(),
            Self::Cost => row.cost.map(dollars).unwrap_or_default(),
        };
        (dash(text), Look::Plain)
    }
}

/// Draws the table with its title.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, theme: Theme) {
    let mut rows = area.rows();
    if let Some(area) = rows.next() {
        title(buffer, area, &heading(model), theme);
    }
    let shown: Vec<&Row> = model
        .shown
        .iter()
        .skip(model.first)
        .take(layout::table_rows(area))
        .filter_map(|id| model.tasks.get(*id))
        .collect();
    let columns = columns(area.width, &shown, model);
    if let Some(area) = rows.next() {
        let heads: Vec<Piece> = columns
            .iter()
            .map(|(column, _)| (COLUMNS[*column].1.to_owned(), Look::Head))
            .chain(words(area, &columns).map(|(head, _)| (head.to_owned(), Look::Head)))
            .collect();
        line(buffer, area, &columns, &heads, theme);
    }
    if shown.is_empty() {
        let area = rows.next().unwrap_or_default();
        put(buffer, area, &[(nothing(model), Look::Dim)], theme);
        return;
    }
    for (at, (row, area)) in shown.iter().zip(rows).enumerate() {
        let cells: Vec<Piece> = columns
            .iter()
            .map(|(column, _)| COLUMNS[*column].0.piece(row, model))
            .chain(said(row, model, words(area, &columns).count() == 2))
            .collect();
        line(buffer, area, &columns, &cells, theme);
        if model.first + at == model.chosen {
            // Its colours would not be readable on every terminal.
            let style = ratatui::style::Style::reset().add_modifier(Modifier::REVERSED);
            buffer.set_style(area, style);
        }
    }
}

/// `tasks · active 3 · newest first · "parser"`.
fn heading(model: &Model) -> Vec<Piece> {
    let mut pieces = vec![
        ("tasks ".to_owned(), Look::Head),
        (
            format!(
                "{} ({}) · {}",
                model.which.word(),
                model.shown.len(),
                model.sort.word()
            ),
            Look::Plain,
        ),
    ];
    if !model.filter.is_empty() {
        pieces.push((format!(" · filter {:?}", model.filter), Look::Warn));
    }
    if model.tasks.left_out > 0 {
        let text = format!(" · {} older ones are left out", model.tasks.left_out);
        pieces.push((text, Look::Warn));
    }
    pieces
}

/// Why there is no row.
fn nothing(model: &Model) -> String {
    if model.link == Link::Connecting {
        "asking the daemon …".to_owned()
    } else if !model.filter.is_empty() {
        "nothing matches the filter: Esc clears it".to_owned()
    } else if model.tasks.len() > 0 {
        format!("no {} tasks: a shows others", model.which.word())
    } else {
        "no tasks yet: agentctl submit makes one".to_owned()
    }
}

/// The columns that fit, and how wide each is.
fn columns(width: u16, rows: &[&Row], model: &Model) -> Vec<(usize, u16)> {
    let fits = |from: u16| width >= from;
    (0..COLUMNS.len())
        .filter(|&at| fits(COLUMNS[at].3))
        .map(|at| {
            let (column, head, most, _) = COLUMNS[at];
            let widest = rows.iter().map(|row| column.piece(row, model).0.width());
            let widest = widest.max().unwrap_or(0).max(head.width());
            // States change all the time: the column stays as wide.
            let widest = if column == Column::State {
                usize::from(most)
            } else {
                widest
            };
            (at, u16::try_from(widest).unwrap_or(most).min(most))
        })
        .collect()
}

/// The columns of words that share what is left, and their widths.
fn words(
    area: Rect,
    columns: &[(usize, u16)],
) -> impl Iterator<Item = (&'static str, u16)> + use<> {
    let used: u16 = columns.iter().map(|(_, width)| width + GAP).sum();
    let left = area.width.saturating_sub(used);
    let parts = if left >= TWO {
        let now = left * 2 / 5;
        vec![("NOW", now), ("TITLE", left - now - GAP)]
    } else {
        vec![("NOW · TITLE", left)]
    };
    parts.into_iter()
}

fn said(row: &Row, model: &Model, two: bool) -> Vec<Piece> {
    let doing = row.doing(model.now);
    let title = (row.title.clone(), Look::Plain);
    match (two, doing.is_empty()) {
        (true, true) => vec![("-".to_owned(), Look::Dim), title],
        (true, false) => vec![(doing, Look::Plain), title],
        (false, true) => vec![title],
        (false, false) => vec![(format!("{doing} · {}", row.title), Look::Plain)],
    }
}

/// One row of cells.
fn line(buffer: &mut Buffer, area: Rect, columns: &[(usize, u16)], cells: &[Piece], theme: Theme) {
    let widths = columns.iter().map(|(_, width)| *width);
    let widths: Vec<u16> = widths
        .chain(words(area, columns).map(|(_, width)| width))
        .collect();
    let mut x = area.x;
    for (width, cell) in widths.into_iter().zip(cells) {
        let place = Rect { x, width, ..area }.intersection(area);
        put(buffer, place, std::slice::from_ref(cell), theme);
        x = x.saturating_add(width + GAP);
    }
}
