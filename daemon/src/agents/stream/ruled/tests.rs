use super::*;
use crate::task::observed::Observed;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn ruled(patterns: &[(Sign, &str)], keys: &[(Key, &str)], adds_up: bool) -> Ruled {
    let text = |text: &str| text.to_owned();
    let rules = Rules {
        patterns: patterns.iter().map(|(s, p)| (*s, text(p))).collect(),
        keys: keys.iter().map(|(k, at)| (*k, text(at))).collect(),
        adds_up,
    };
    Ruled::new(&rules, || NOW)
}

fn read(mut ruled: Ruled, lines: &[&str]) -> Seen {
    let mut seen = Seen::default();
    for line in lines {
        ruled.line(Source::Output, line.as_bytes(), &mut seen);
    }
    seen
}

#[test]
fn a_line_says_what_its_pattern_means() {
    let patterns = [
        (Sign::Session, r"^session: (\S+)"),
        (Sign::Model, r"\bm-\d+"),
        (Sign::Progress, r"^\[\d+/\d+\] (.*)"),
        (Sign::Limited, r"limit reached, back at (.+)"),
        (Sign::Declined, "^I will not"),
        (Sign::AuthFailed, "^401"),
    ];
    let lines = [
        "session: abc-1",
        "session: ../../etc",
        "this is m-5, at your service",
        "[1/2] looks around",
        "  [2/2] is not at the start",
        "limit reached, back at 60",
        "401 come back with a key ",
    ];
    let seen = read(ruled(&patterns, &[], false), &lines);
    let text = |text: &str| Some(text.to_owned());
    let observed = Observed {
        session: text("abc-1"),
        model: text("m-5"),
        progress: text("looks around"),
        limited: Some(Limited {
            reason: FailureReason::UsageLimit,
            until: Some(Timestamp(NOW.0 + 60_000)),
            message: lines[5].to_owned(),
        }),
        fault: Some(Fault {
            reason: FailureReason::AuthFailed,
            message: "401 come back with a key".to_owned(),
        }),
        ..Observed::default()
    };
    assert_eq!((seen.observed, seen.stale), (observed, false));

    let seen = read(ruled(&patterns, &[], false), &["I will not do it"]);
    assert_eq!(seen.observed.declined, text("I will not do it"));
}

#[test]
fn a_session_that_is_not_known_makes_the_run_stale() {
    let lost = [(Sign::SessionLost, "^no such session")];
    let seen = read(ruled(&lost, &[], false), &["no such session: x"]);
    let fault = seen.observed.fault.unwrap();
    assert_eq!(
        (fault.reason, seen.stale),
        (FailureReason::SessionLost, true)
    );
}

const KEYS: [(Key, &str); 6] = [
    (Key::Session, "/session_id"),
    (Key::Model, "/message/model"),
    (Key::Input, "/usage/in"),
    (Key::Output, "/usage/out"),
    (Key::Turns, "/turns"),
    (Key::CostUsd, "/cost"),
];

#[test]
fn values_are_found_in_objects() {
    let lines = [
        r#"{"session_id": "s-1", "message": {"model": "m"}, "usage": {"in": 10, "out": 2}}"#,
        r#"{"session_id": 7, "usage": {"in": 30, "out": -1}, "cost": 0.0125}"#,
        r#"{"turns": 3, "cost": "much"}"#,
        r#"{"usage": {"in": 40"#,
        r#"["usage"]"#,
    ];
    let usage = |input, output, turns| Usage {
        input,
        output,
        cached: 0,
        cost: Some(12_500),
        turns,
    };
    let totals = read(ruled(&[], &KEYS, false), &lines).observed;
    assert_eq!(totals.session.as_deref(), Some("s-1"));
    assert_eq!(totals.model.as_deref(), Some("m"));
    assert_eq!(totals.usage, Some(usage(30, 2, 3)));
    let steps = read(ruled(&[], &KEYS, true), &lines).observed;
    assert_eq!(steps.usage, Some(usage(40, 2, 3)));
}

#[test]
fn what_is_kept_is_one_line() {
    let object = r#"{"message": {"model": "m\u0000\n5"}}"#;
    let seen = read(ruled(&[], &KEYS, false), &[object]);
    assert_eq!(seen.observed.model.as_deref(), Some("m  5"));
}

#[test]
fn only_standard_output_has_objects() {
    let mut ruled = ruled(&[(Sign::Progress, "^at (.*)")], &KEYS, false);
    let mut seen = Seen::default();
    ruled.line(Source::Errors, br#"{"session_id": "s-1"}"#, &mut seen);
    assert_eq!(seen, Seen::default());
    ruled.line(Source::Errors, b"at \xff work", &mut seen);
    assert_eq!(seen.observed.progress.as_deref(), Some("\u{fffd} work"));
}

#[test]
fn a_line_that_is_too_long_is_no_message() {
    let long = format!("at {}", "x".repeat(MAX_TEXT_LINE));
    let seen = read(ruled(&[(Sign::Progress, "^at")], &[], false), &[&long]);
    assert_eq!(seen, Seen::default());
    let line = format!("at {}", "x".repeat(MAX_MESSAGE));
    let seen = read(ruled(&[(Sign::Progress, "^at")], &[], false), &[&line]);
    assert!(
        seen.observed
            .progress
            .is_some_and(|text| text.len() <= MAX_MESSAGE)
    );
}

#[test]
fn a_limit_ends_at_a_time_or_after_one() {
    let then = |text: &str| until(text, || NOW).map(|time| time.0 - NOW.0);
    for (text, after) in [
        ("20", Some(20_000)),
        (" 20s ", Some(20_000)),
        ("1h30m", Some(5_400_000)),
        ("1800000060", Some(60_000)),
        ("1800000060000", Some(60_000)),
        ("2027-01-15T08:01:00Z", Some(60_000)),
        ("2027-01-15T09:01:00+01:00", Some(60_000)),
        ("-5", Some(0)),
        ("-5s", Some(0)),
        ("soon", None),
        ("", None),
        ("99999999999999999999", None),
        ("9223372036854775807 h", None),
    ] {
        assert_eq!(then(text), after, "{text:?}");
    }
}
