//! What holds for any bytes that an agent prints.

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

fn ways() -> Vec<Reads> {
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
    ways
}

/// What is known does not depend on where pieces end, and is bounded.
pub fn check(data: &[u8]) {
    // The first byte says where to cut, and whether it is standard error.
    let Some((first, text)) = data.split_first() else {
        return;
    };
    let source = match first & 1 {
        0 => Source::Output,
        _ => Source::Errors,
    };
    let cut = usize::from(*first) * text.len() / 256;
    for reads in ways() {
        let seen = known(&reads, source, &[text]);
        assert_eq!(known(&reads, source, &[&text[..cut], &text[cut..]]), seen);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(known(&reads, source, &bytes), seen);
        let known = seen.observed;
        assert_eq!(known.clone().bounded(), known);
        let texts = [known.session, known.model, known.progress, known.declined];
        assert!(texts.iter().flatten().all(|text| text.len() <= MAX_MESSAGE));
    }
}

fn known(reads: &Reads, source: Source, pieces: &[&[u8]]) -> Seen {
    // What is said of times depends on the clock.
    let mut stream = Stream::at(reads.clone(), || Timestamp(1_795_262_400_000));
    for piece in pieces {
        let before = stream.seen().clone();
        let new = stream.feed(source, piece);
        assert_eq!(new, *stream.seen() != before);
    }
    stream.finish();
    stream.seen().clone()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Each case reads the rules anew, several times.
        #![proptest_config(ProptestConfig::with_cases(64))]
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
            for reads in ways() {
                let mut pieces = Vec::new();
                let mut from = 0;
                for &cut in &cuts {
                    pieces.push(&text[from..cut]);
                    from = cut;
                }
                pieces.push(&text[from..]);
                prop_assert_eq!(known(&reads, source, &pieces), known(&reads, source, &[&text]));
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
