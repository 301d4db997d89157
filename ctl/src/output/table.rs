//! Columns of text that fit the terminal.
//!
//! Columns are as wide as their widest cell. Where that is too much, the ones
//! that say so give way, the last first; where that is not enough, the ones
//! that may be missed are left out. A line is never broken in two.

use anstyle::Style;
use jiff::{Timestamp, tz::TimeZone};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::style::{HEAD, paint};

const GAP: usize = 2;

/// One column of a table of `T`: its head, when it is shown, how it fits, and
/// what stands in it.
#[derive(Debug)]
pub(crate) struct Column<T> {
    /// What `--columns` knows it by; its head is the same in capitals.
    pub(crate) key: &'static str,
    /// Which tables it is in without being asked for.
    pub(crate) shown: Shown,
    /// Narrowest width; `None`: never cut.
    least: Option<usize>,
    /// Left out of a table that is too wide, the highest first; 0: never.
    spare: u8,
    /// Numbers stand at the right.
    right: bool,
    cell: fn(&T, &Look) -> Cell,
}

/// Which tables a column is in without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// In all.
    Always,
    /// Only where it has to fit: another one tells more.
    Narrow,
    /// Only in the wide one.
    Wide,
    /// In none.
    Asked,
}

/// What cells are told relative to.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// Ages count up to here.
    pub(crate) now: Timestamp,
    /// Points in time are told in it.
    pub(crate) zone: TimeZone,
    /// There is room for whole paths.
    pub(crate) wide: bool,
}

impl<T> Column<T> {
    /// In every table, and never cut.
    pub(crate) const fn new(key: &'static str, cell: fn(&T, &Look) -> Cell) -> Self {
        Self {
            key,
            shown: Shown::Always,
            least: None,
            spare: 0,
            right: false,
            cell,
        }
    }

    /// Of numbers.
    pub(crate) const fn number(key: &'static str, cell: fn(&T, &Look) -> Cell) -> Self {
        let mut column = Self::new(key, cell);
        column.right = true;
        column
    }

    /// Cut to `least` if need be.
    pub(crate) const fn cut(mut self, least: usize) -> Self {
        self.least = Some(least);
        self
    }

    /// Left out if need be, before those of a lower `order`.
    pub(crate) const fn spare(mut self, order: u8) -> Self {
        self.spare = order;
        self
    }

    /// In these tables only.
    pub(crate) const fn shown(mut self, shown: Shown) -> Self {
        self.shown = shown;
        self
    }

    fn head(&self) -> String {
        self.key.to_ascii_uppercase().replace('-', " ")
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

    /// A number.
    pub(crate) fn number(number: impl ToString) -> Self {
        Self::from(number.to_string())
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
pub(crate) fn render<T>(
    columns: &[&Column<T>],
    rows: &[T],
    look: &Look,
    layout: Layout,
) -> Vec<String> {
    let rows: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| columns.iter().map(|c| (c.cell)(row, look)).collect())
        .collect();
    let mut parts: Vec<Part> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let head = Cell::styled(column.head(), HEAD);
            let head = (!layout.no_headers).then_some(head);
            let cells = rows.iter().map(move |row| &row[at]);
            let widths = head.iter().chain(cells).map(|cell| cell.text.width());
            Part {
                at,
                width: widths.max().unwrap_or(0),
                least: column.least,
                spare: column.spare,
                right: column.right,
                head,
            }
        })
        .collect();
    if let Some(available) = layout.width {
        leave_out(&mut parts, available);
        shrink(&mut parts, available);
    }
    let heads: Option<Vec<&Cell>> = parts.iter().map(|part| part.head.as_ref()).collect();
    let heads = heads.filter(|_| !layout.no_headers);
    let cells = rows
        .iter()
        .map(|row| parts.iter().map(|part| &row[part.at]).collect());
    heads
        .into_iter()
        .chain(cells)
        .map(|cells: Vec<&Cell>| line(&cells, &parts, layout))
        .collect()
}

/// A column as it is shown.
struct Part {
    at: usize,
    width: usize,
    least: Option<usize>,
    spare: u8,
    right: bool,
    head: Option<Cell>,
}

fn needed(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    let gaps = GAP * widths.len().saturating_sub(1);
    widths.sum::<usize>() + gaps
}

/// Takes away what may be missed until the others fit, cut as they may be.
fn leave_out(parts: &mut Vec<Part>, available: usize) {
    let narrowest = |part: &Part| part.least.map_or(part.width, |least| part.width.min(least));
    while needed(parts.iter().map(narrowest)) > available {
        let most = parts.iter().map(|part| part.spare).max().unwrap_or(0);
        if most == 0 {
            return;
        }
        parts.retain(|part| part.spare != most);
    }
}

fn shrink(parts: &mut [Part], available: usize) {
    let mut excess = needed(parts.iter().map(|part| part.width)).saturating_sub(available);
    for part in parts.iter_mut().rev() {
        if let Some(least) = part.least {
            let cut = excess.min(part.width.saturating_sub(least));
            part.width -= cut;
            excess -= cut;
        }
    }
}

fn line(row: &[&Cell], parts: &[Part], layout: Layout) -> String {
    let mut line = String::new();
    let mut left = layout.width.unwrap_or(usize::MAX);
    for (at, (cell, part)) in row.iter().zip(parts).enumerate() {
        let width = part.width.min(left);
        let text = cut(&cell.text, width);
        let pad = width - text.width();
        let pads = if part.right { (pad, 0) } else { (0, pad) };
        line.extend(std::iter::repeat_n(' ', pads.0));
        line.push_str(&paint(cell.style, &text, layout.color));
        left = left.saturating_sub(part.width.saturating_add(GAP));
        if at + 1 == row.len() || left == 0 {
            break;
        }
        line.extend(std::iter::repeat_n(' ', pads.1 + GAP));
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

    type Row = [&'static str; 4];

    const COLUMNS: [Column<Row>; 4] = [
        Column::<Row>::new("id", |row, _| Cell::from(row[0])),
        Column::<Row>::number("size", |row, _| Cell::from(row[1])).spare(1),
        Column::<Row>::new("repo", |row, _| Cell::or_dash(row[2])).cut(4),
        Column::<Row>::new("title", |row, _| Cell::from(row[3])).cut(6),
    ];

    const ROWS: [Row; 2] = [
        ["7", "100", "frontend", "make the button blue"],
        ["1234", "9", "", "ünïcödé 漢字 wide"],
    ];

    fn look() -> Look {
        Look {
            now: Timestamp::UNIX_EPOCH,
            zone: TimeZone::UTC,
            wide: false,
        }
    }

    fn shown(width: Option<usize>) -> String {
        let layout = Layout {
            width,
            ..Layout::default()
        };
        let columns: Vec<_> = COLUMNS.iter().collect();
        render(&columns, &ROWS, &look(), layout).join("\n")
    }

    #[test]
    fn it_is_as_wide_as_it_must_be() {
        insta::assert_snapshot!(shown(None), @r"
        ID    SIZE  REPO      TITLE
        7      100  frontend  make the button blue
        1234     9  -         ünïcödé 漢字 wide
        ");
        assert_eq!(shown(None), shown(Some(80)));
    }

    #[test]
    fn it_never_exceeds_the_terminal() {
        insta::assert_snapshot!(shown(Some(30)), @r"
        ID    SIZE  REPO      TITLE
        7      100  frontend  make th…
        1234     9  -         ünïcödé…
        ");
        // What may be missed is left out before anything is cut off.
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
        let red: Column<()> = Column::new("id", |(), _| {
            Cell::styled("7", anstyle::AnsiColor::Red.on_default())
        });
        let bare: Column<()> = Column::new("repo", |(), _| Cell::or_dash(""));
        let wild: Column<()> = Column::new("title", |(), _| Cell::from("a\nb\u{1b}[2J"));
        let lines = render(&[&red, &bare, &wild], &[()], &look(), layout);
        assert_eq!(lines, ["\u{1b}[31m7\u{1b}[0m  -  a b [2J"]);
    }
}
