//! Columns of text that fit the terminal.
//!
//! Columns are as wide as their widest cell. Where that is too much, the ones
//! that say so give way, the last first; a line is never broken in two.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::style::{HEAD, paint};

const GAP: usize = 2;

/// A column's head, and how far it may be cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// The head.
    pub(crate) name: &'static str,
    /// Narrowest width; `None`: never cut.
    pub(crate) least: Option<usize>,
}

impl Column {
    /// Never cut.
    pub(crate) const fn fixed(name: &'static str) -> Self {
        Self { name, least: None }
    }

    /// Cut to `least` if need be.
    pub(crate) const fn flexible(name: &'static str, least: usize) -> Self {
        Self {
            name,
            least: Some(least),
        }
    }
}

/// One cell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// In a style.
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: one_line(&text.into()),
            style,
        }
    }

    /// A dash where there is nothing.
    pub(crate) fn or_dash(text: &str) -> Self {
        Self::from(if text.is_empty() { "-" } else { text })
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// How to show a table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Layout {
    /// Columns of the terminal, if it has to fit.
    pub(crate) width: Option<usize>,
    /// Whether to colour.
    pub(crate) color: bool,
    /// Without the line of heads.
    pub(crate) no_headers: bool,
}

/// The table's lines.
pub(crate) fn render(columns: &[Column], rows: &[Vec<Cell>], layout: Layout) -> Vec<String> {
    let mut widths: Vec<usize> = columns
        .iter()
        .map(|column| {
            if layout.no_headers {
                0
            } else {
                column.name.width()
            }
        })
        .collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.width());
        }
    }
    if let Some(available) = layout.width {
        shrink(&mut widths, columns, available);
    }
    let heads: Vec<Cell> = columns
        .iter()
        .map(|column| Cell::styled(column.name, HEAD))
        .collect();
    let heads = (!layout.no_headers).then_some(&heads);
    heads
        .into_iter()
        .chain(rows)
        .map(|row| line(row, &widths, layout))
        .collect()
}

fn shrink(widths: &mut [usize], columns: &[Column], available: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(available);
    for (width, column) in widths.iter_mut().zip(columns).rev() {
        if let Some(least) = column.least {
            let cut = excess.min(width.saturating_sub(least));
            *width -= cut;
            excess -= cut;
        }
    }
}

fn line(row: &[Cell], widths: &[usize], layout: Layout) -> String {
    let mut line = String::new();
    let mut left = layout.width.unwrap_or(usize::MAX);
    for (at, (cell, &width)) in row.iter().zip(widths).enumerate() {
        let text = cut(&cell.text, width.min(left));
        let used = text.width();
        line.push_str(&paint(cell.style, &text, layout.color));
        left = left.saturating_sub(width.saturating_add(GAP));
        if at + 1 == row.len() || left == 0 {
            break;
        }
        line.extend(std::iter::repeat_n(' ', width - used + GAP));
    }
    line.truncate(line.trim_end().len());
    line
}

/// The text in so many columns, with an ellipsis if something is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// Without line breaks, and without what would steer the terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::fixed("ID"),
        Column::flexible("REPO", 4),
        Column::flexible("TITLE", 6),
    ];

    fn rows() -> Vec<Vec<Cell>> {
        [
            ["7", "frontend", "make the button blue"],
            ["1234", "-", "ünïcödé 漢字 wide"],
        ]
        .map(|row| row.map(Cell::from).to_vec())
        .to_vec()
    }

    fn shown(width: Option<usize>) -> String {
        let layout = Layout {
            width,
            ..Layout::default()
        };
        render(&COLUMNS, &rows(), layout).join("\n")
    }

    #[test]
    fn it_is_as_wide_as_it_must_be() {
        insta::assert_snapshot!(shown(None), @r"
        ID    REPO      TITLE
        7     frontend  make the button blue
        1234  -         ünïcödé 漢字 wide
        ");
        assert_eq!(shown(None), shown(Some(80)));
    }

    #[test]
    fn it_never_exceeds_the_terminal() {
        insta::assert_snapshot!(shown(Some(30)), @r"
        ID    REPO      TITLE
        7     frontend  make the butt…
        1234  -         ünïcödé 漢字 …
        ");
        insta::assert_snapshot!(shown(Some(19)), @r"
        ID    REPO   TITLE
        7     fron…  make …
        1234  -      ünïcö…
        ");
        for width in 0..60 {
            for line in shown(Some(width)).lines() {
                assert!(line.width() <= width, "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn colours_take_no_room_and_heads_may_be_left_out() {
        let layout = Layout {
            width: Some(30),
            color: true,
            no_headers: true,
        };
        let rows = [vec![
            Cell::styled("7", anstyle::AnsiColor::Red.on_default()),
            Cell::or_dash(""),
            Cell::from("a\nb\u{1b}[2J"),
        ]];
        let lines = render(&COLUMNS, &rows, layout);
        assert_eq!(lines, ["\u{1b}[31m7\u{1b}[0m  -  a b [2J"]);
    }
}
