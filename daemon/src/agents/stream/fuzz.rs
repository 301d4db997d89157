//! What holds for any bytes that an agent prints.

use std::sync::LazyLock;

use super::{Seen, Stream};
use crate::{
    spool::Reads,
    task::{
        id::Timestamp,
        limits::MAX_MESSAGE,
        signs::{Key, Rules, Sign},
        usage::Usage,
    },
    transcript::Source,
};

/// An input is cut into so many pieces, or a byte each.
const MOST_PIECES: usize = 4096;

/// One of each rule; the values of times are left to a test of its own, since
/// they depend on the clock.
pub(crate) fn rules() -> Rules {
    let pattern = |sign: &Sign| {
        let word = sign.as_str();
        let pattern = match sign {
            Sign::Limited | Sign::RateLimited => format!("^{word}"),
            Sign::Session
            | Sign::Model
            | Sign::Progress
            | Sign::Declined
            | Sign::SessionLost
            | Sign::ContextOverflow
            | Sign::SessionPoisoned
            | Sign::AuthFailed
            | Sign::InvalidModel
            | Sign::PermissionBlocked
            | Sign::ProviderUnreachable => format!("^{word}:? *(.*)$"),
        };
        (*sign, pattern)
    };
    Rules {
        patterns: Sign::ALL.iter().map(pattern).collect(),
        keys: Key::ALL
            .iter()
            .map(|key| (*key, format!("/{}", key.as_str())))
            .collect(),
        adds_up: true,
    }
}

/// A stream of each kind at its beginning. Made once, since reading the rules
/// takes longer than all else.
fn ways() -> &'static [Stream] {
    static WAYS: LazyLock<Vec<Stream>> = LazyLock::new(|| {
        let mut ways = vec![Reads::Nothing, Reads::Lines(rules())];
        for resumed in [None, Some("asked".to_owned())] {
            let before = Usage::default();
            let again = || resumed.clone();
            ways.extend([
                Reads::Claude {
                    before,
                    resumed: again(),
                },
                Reads::Codex {
                    before,
                    resumed: again(),
                },
                Reads::Gemini { resumed: again() },
                Reads::Opencode { resumed: again() },
            ]);
        }
        // What is said of times depends on the clock.
        let stream = |reads| Stream::at(reads, || Timestamp(1_795_262_400_000));
        ways.into_iter().map(stream).collect()
    });
    &WAYS
}

/// What is known does not depend on where pieces end, and is bounded.
pub fn check(data: &[u8]) {
    // The first byte, a digit, says who reads it; the second where to cut, and
    // whether it is standard error.
    let [way, cut, text @ ..] = data else {
        return;
    };
    let way = &ways()[usize::from(way.wrapping_sub(b'0')) % ways().len()];
    let source = match cut & 1 {
        0 => Source::Output,
        _ => Source::Errors,
    };
    let cut = usize::from(*cut) * text.len() / 256;
    let seen = known(way, source, &[text]);
    assert_eq!(known(way, source, &[&text[..cut], &text[cut..]]), seen);
    // Byte by byte, unless that takes long.
    let pieces: Vec<&[u8]> = text.chunks(1 + text.len() / MOST_PIECES).collect();
    assert_eq!(known(way, source, &pieces), seen);
    let known = seen.observed;
    assert_eq!(known.clone().bounded(), known);
    let texts = [known.session, known.model, known.progress, known.declined];
    assert!(texts.iter().flatten().all(|text| text.len() <= MAX_MESSAGE));
}

fn known(way: &Stream, source: Source, pieces: &[&[u8]]) -> Seen {
    let mut stream = way.clone();
    for piece in pieces {
        // Without the end of a line nothing new can be known.
        let before = piece.contains(&b'\n').then(|| stream.seen().clone());
        let new = stream.feed(source, piece);
        assert_eq!(new, before.is_some_and(|before| before != *stream.seen()));
    }
    stream.finish();
    stream.seen().clone()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_stream_is_cut(
            lines in prop::collection::vec(line(), 0..12),
            cuts in prop::collection::vec(0_usize..400, 0..6),
            errors: bool,
        ) {
            let text = lines.join("\n").into_bytes();
            let source = if errors { Source::Errors } else { Source::Output };
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.min(&text.len()).to_owned()).collect();
            cuts.sort_unstable();
            for way in ways() {
                let mut pieces = Vec::new();
                let mut from = 0;
                for &cut in &cuts {
                    pieces.push(&text[from..cut]);
                    from = cut;
                }
                pieces.push(&text[from..]);
                prop_assert_eq!(known(way, source, &pieces), known(way, source, &[&text]));
            }
        }
    }

    fn line() -> impl Strategy<Value = String> {
        let sign = prop::sample::select(Sign::ALL).prop_map(|sign| sign.as_str());
        let key = prop::sample::select(Key::ALL).prop_map(|key| key.as_str());
        prop_oneof![
            (sign, "[: ]{0,2}[a-z0-9é]{0,9}\r?").prop_map(|(sign, rest)| format!("{sign}{rest}")),
            (key.clone(), 0_u32..).prop_map(|(key, n)| format!("{{\"{key}\": {n}}}")),
            (key, "[a-z]{0,5}").prop_map(|(key, text)| format!("{{\"{key}\": \"{text}\"}}")),
            "\\PC{0,20}",
        ]
    }
}
