//! Text of others: made harmless, bounded, and broken into rows.

use anstream::adapter::strip_str;
use unicode_width::UnicodeWidthChar as _;

use crate::output::table::one_line;

/// Most characters of a text in the table.
const SHORT: usize = 300;
/// Most characters of a line of a transcript.
const LINE: usize = 4_000;
/// Columns between tab stops.
const TAB: usize = 4;

/// One line that cannot steer the terminal, of a length that can be kept for
/// thousands of tasks.
pub(super) fn short(text: &str) -> String {
    bounded(&one_line(text), SHORT)
}

/// A line of a transcript: without escape sequences and control characters,
/// tabs as spaces. Of a line that was written over, what was seen last.
pub(super) fn transcript(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = strip_str(&text).to_string();
    let seen = text.trim_end_matches(['\r', '\n']).rsplit('\r').next();
    let mut line = String::new();
    for c in seen.unwrap_or_default().chars() {
        if c == '\t' {
            let at = line.chars().count();
            line.extend(std::iter::repeat_n(' ', TAB - at % TAB));
        } else if !c.is_control() {
            line.push(c);
        }
    }
    bounded(&line, LINE)
}

fn bounded(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The text in rows of so many columns, broken at spaces where there are some;
/// at least one row.
pub(super) fn wrap(text: &str, width: usize) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut rest = text;
    loop {
        let end = fitting(rest, width);
        let (fits, more) = rest.split_at(end);
        if more.is_empty() {
            rows.push(rest);
            return rows;
        }
        let cut = match fits.rfind(' ') {
            _ if more.starts_with(' ') => end,
            // A row of spaces alone helps nobody.
            Some(space) if !fits[..space].trim().is_empty() => space,
            Some(_) | None => end,
        };
        rows.push(rest[..cut].trim_end_matches(' '));
        rest = rest[cut..].trim_start_matches(' ');
        if rest.is_empty() {
            return rows;
        }
    }
}

/// Where the longest beginning ends that fits; it has at least one character.
fn fitting(text: &str, width: usize) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width && at > 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_a_terminal_is_not_in_a_transcript() {
        for (bytes, line) in [
            (&b"\x1b[31mred\x1b[0m and plain\n"[..], "red and plain"),
            (b"\x1b]0;title\x07text", "text"),
            (b"10%\r55%\r100%\r\n", "100%"),
            (b"    four\tand a tab ", "    four    and a tab "),
            (b"bell\x07 del\x7f c1\xc2\x9b2J", "bell del c12J"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"", ""),
        ] {
            assert_eq!(transcript(bytes), line, "{bytes:?}");
        }
        let long = transcript("x".repeat(10_000).as_bytes());
        assert_eq!(long.chars().count(), LINE + 1);
    }

    #[test]
    fn rows_break_at_spaces() {
        for (text, width, rows) in [
            ("", 5, &[""][..]),
            ("short", 5, &["short"]),
            ("two words", 5, &["two", "words"]),
            ("two words", 4, &["two", "word", "s"]),
            ("    indented text", 10, &["    indent", "ed text"]),
            ("漢字漢字", 5, &["漢字", "漢字"]),
            ("漢", 1, &["漢"]),
            ("a  b", 2, &["a", "b"]),
            // Other blanks are characters like any.
            ("a\u{2000} b", 2, &["a\u{2000}", "b"]),
        ] {
            assert_eq!(wrap(text, width), rows, "{text:?} in {width}");
        }
    }

    /// Columns that the characters take, one by one.
    fn columns(text: &str) -> usize {
        text.chars().map(|c| c.width().unwrap_or(0)).sum()
    }

    proptest! {
        #[test]
        fn any_bytes_make_harmless_rows(bytes: Vec<u8>, width in 1..40_usize) {
            let line = transcript(&bytes);
            prop_assert!(!line.contains(char::is_control), "{line:?}");
            let rows = wrap(&line, width);
            prop_assert!(!rows.is_empty());
            for row in &rows {
                // A wide character does not fit into one column.
                prop_assert!(columns(row) <= width.max(2), "{row:?}");
            }
            let bare = |text: &str| text.replace(' ', "");
            prop_assert_eq!(bare(&rows.concat()), bare(&line));
        }
    }
}
