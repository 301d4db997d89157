//! Whole lines out of pieces.

/// Longest line that is looked at, bytes: more than a prompt and all that a
/// structured output puts around it.
pub(super) const MAX_LINE: usize = 4 * 1024 * 1024;

/// The line that was begun.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// It is too long already: the rest of it is passed over.
    skips: bool,
}

impl Lines {
    /// Takes a piece and gives every line that ends in it.
    pub(super) fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (piece, after) = rest.split_at(end);
            rest = &after[1..];
            if self.begun.is_empty() && !self.skips {
                // The usual case needs no copy.
                if piece.len() <= MAX_LINE {
                    line(trimmed(piece));
                }
            } else {
                self.keep(piece);
                self.finish(&mut line);
            }
        }
        self.keep(rest);
    }

    /// The line that was begun has ended.
    pub(super) fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        let begun = std::mem::take(&mut self.begun);
        if !std::mem::take(&mut self.skips) && !begun.is_empty() {
            line(trimmed(&begun));
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.skips || self.begun.len() + piece.len() > MAX_LINE {
            self.skips = true;
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(piece);
        }
    }
}

/// Without the carriage return of a terminal's line.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            lines.feed(piece, |line| found.push(line.to_vec()));
        }
        lines.finish(|line| found.push(line.to_vec()));
        found
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = vec![b'x'; MAX_LINE];
        let found = lines(&[b"a\n", &long, b"y\nb\r\n", &long, b"\n", b"c"]);
        let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 1, MAX_LINE, 1]);
        assert_eq!(found[1], b"b");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_pieces_end(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            cut in 0_usize..200,
        ) {
            let whole = lines(&[&bytes]);
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(&lines(&[head, tail]), &whole);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&lines(&single), &whole);
        }
    }
}
