//! Reads what a source file names, without comments and literals.

use std::{iter::Peekable, str::Chars};

/// The text without comments and without what is inside literals.
pub(super) fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if next == '"' {
            1 + closing(&rest[1..], '"')
        } else if next == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

fn raw_string(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('r')?;
    let hashes = inner.len() - inner.trim_start_matches('#').len();
    inner[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let from = 1 + hashes + 1;
    Some(
        text[from..]
            .find(&end)
            .map_or(text.len(), |at| from + at + end.len()),
    )
}

/// Up to and with the end of a literal that may hold escapes.
fn closing(text: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices() {
        if next == end && !escaped {
            return at + 1;
        }
        escaped = next == '\\' && !escaped;
    }
    text.len()
}

/// The length of a character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let inner = &text[1..];
    let mut chars = inner.chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => 1 + closing(inner, '\''),
        (Some(one), Some('\'')) => 1 + one.len_utf8() + 1,
        _ => 0,
    }
}

fn is_word(next: char) -> bool {
    next.is_alphanumeric() || next == '_'
}

/// Every path behind `head`, for example `crate::`, with its trees unfolded.
pub(super) fn paths(code: &str, head: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(head) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|before| is_word(before) || before == ':') {
            continue;
        }
        unfold(
            &mut code[at + head.len()..].chars().peekable(),
            &mut Vec::new(),
            &mut found,
        );
    }
    found
}

/// Reads one path or tree; what comes behind it is left.
fn unfold(text: &mut Peekable<Chars<'_>>, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let depth = path.len();
    loop {
        while text.next_if(|next| next.is_whitespace()).is_some() {}
        match text.peek() {
            Some('{') => {
                text.next();
                loop {
                    unfold(text, path, found);
                    while text.next_if(|next| next.is_whitespace()).is_some() {}
                    match text.next() {
                        Some(',') => {}
                        // `as name`, or no tree at all.
                        Some(next) if is_word(next) => {}
                        _ => break,
                    }
                }
                break;
            }
            Some(next) if is_word(*next) => {
                let mut word = String::new();
                while let Some(next) = text.next_if(|next| is_word(*next)) {
                    word.push(next);
                }
                path.push(word);
                let mut ahead = text.clone();
                if (ahead.next(), ahead.next()) == (Some(':'), Some(':')) {
                    *text = ahead;
                    continue;
                }
                found.push(path.clone());
                break;
            }
            // `*`, the end of a list.
            _ => break,
        }
    }
    path.truncate(depth);
}
