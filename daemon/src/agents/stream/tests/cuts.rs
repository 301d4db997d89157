//! Streams that are cut, or come in pieces: everywhere.

use super::*;

/// What ends the output of a run that came to its end; `None`: nothing does.
fn last_word(agent_type: AgentType) -> Option<&'static str> {
    match agent_type {
        AgentType::Claude | AgentType::Gemini => Some(r#""type":"result""#),
        AgentType::Codex => Some(r#""type":"turn.completed""#),
        AgentType::Command | AgentType::Opencode => None,
    }
}

/// What is known of a stream that is cut is what was known before the line that
/// the cut is in, but for what half a complaint says.
fn agrees(recording: &Recording, source: Source, known: &Seen, cut: &Seen) {
    let name = &recording.name;
    if source == Source::Output {
        assert_eq!(known, cut, "{name}: half a line was understood");
        return;
    }
    stays(known, cut, name);
    let but_trouble = |seen: &Seen| {
        let mut known = seen.observed.clone();
        (known.fault, known.limited) = (None, None);
        known
    };
    assert_eq!(but_trouble(known), but_trouble(cut), "{name}: a complaint");
}

/// However a run ends of which so much was printed, it has succeeded only with
/// its last word, and its driver says something.
fn is_judged(recording: &Recording, seen: &Seen, has_ended: bool) {
    let needs = last_word(recording.agent_type).is_some();
    for exit in [recording.head.exit, 0, 1, 41, 130, -9, -11] {
        for lingered in [false, true] {
            // A runner waits for one that has said its last word.
            if lingered && !seen.over {
                continue;
            }
            let verdict = judge(recording.agent_type, exit, lingered, &seen.observed);
            let name = &recording.name;
            assert!(!verdict.message.is_empty(), "{name}");
            let succeeded = verdict.outcome == Outcome::Succeeded;
            assert!(!succeeded || exit == 0 || lingered, "{name}: {verdict:?}");
            assert!(!succeeded || !needs || has_ended, "{name}: {verdict:?}");
        }
    }
}

/// At every byte of every recording: what was known stays known, nothing is
/// known of what has not come yet, and a run that ends there is judged by that.
#[test]
fn a_stream_may_end_at_any_byte() {
    let mut cuts = 0;
    for recording in recordings() {
        let name = &recording.name;
        let mut stream = Stream::at(recording.reads(), now);
        let mut has_ended = false;
        for (source, line) in &recording.lines {
            let known = stream.seen().clone();
            for (at, byte) in line.bytes().enumerate() {
                let mut cut = stream.clone();
                cut.finish();
                agrees(&recording, *source, &known, cut.seen());
                is_judged(&recording, cut.seen(), has_ended);
                assert!(!stream.feed(*source, &[byte]), "{name}: {line:.at$}");
                cuts += 1;
            }
            let said = |word| *source == Source::Output && line.contains(word);
            has_ended |= last_word(recording.agent_type).is_some_and(said);
            // With and without the end of its last line.
            let mut cut = stream.clone();
            cut.finish();
            let new = stream.feed(*source, b"\n");
            assert_eq!(new, *stream.seen() != known, "{name}: {line}");
            assert_eq!(cut.seen(), stream.seen(), "{name}: {line}");
            is_judged(&recording, stream.seen(), has_ended);
            stays(&known, stream.seen(), name);
        }
        stream.finish();
        assert_eq!(*stream.seen(), seen(&recording), "{name}: byte by byte");
    }
    assert!(cuts > 100_000, "{cuts} cuts");
}

/// Lines that come one after the other come in pieces of any length.
#[test]
fn pieces_of_any_length_say_the_same() {
    for recording in recordings() {
        let whole = seen(&recording);
        for length in [1, 2, 3, 5, 7, 64, 1000, usize::MAX] {
            let mut stream = Stream::at(recording.reads(), now);
            let mut waiting = (Source::Output, Vec::new());
            for (source, line) in &recording.lines {
                if *source != waiting.0 {
                    stream.feed(waiting.0, &waiting.1);
                    waiting = (*source, Vec::new());
                }
                waiting.1.extend_from_slice(line.as_bytes());
                waiting.1.push(b'\n');
                while waiting.1.len() >= length {
                    let rest = waiting.1.split_off(length);
                    stream.feed(*source, &std::mem::replace(&mut waiting.1, rest));
                }
            }
            stream.feed(waiting.0, &waiting.1);
            stream.finish();
            assert_eq!(*stream.seen(), whole, "{}: by {length}", recording.name);
        }
    }
}
