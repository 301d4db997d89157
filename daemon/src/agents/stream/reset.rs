//! When a limit is over, in the words of providers.
//!
//! "Usage limit reached|1795230000", "resets 3am (Europe/Berlin)", "resets Oct 7
//! at 3:30pm", "try again in 2 hours 5 minutes", "retry after 5s". What is not
//! understood is no time at all.

use jiff::{
    SignedDuration, Timestamp as Instant, ToSpan as _,
    civil::{Date, Time},
    tz::TimeZone,
};

use crate::task::id::Timestamp;

/// Nothing is waited for longer than this by such a word: a month and a bit.
const LONGEST: SignedDuration = SignedDuration::from_hours(40 * 24);
/// A time of day that has passed is tomorrow's unless that is further ahead than
/// this: one that has just passed is said by who is late.
const AHEAD: SignedDuration = SignedDuration::from_hours(23);
/// Seconds since 1970 that a number must be to be taken for a time.
const EPOCH: std::ops::Range<i64> = 1_500_000_000..10_000_000_000;

/// Longest text that is looked at, bytes.
const MAX_TEXT: usize = 4096;

/// The time that `text` names, if it is after `now`.
pub(super) fn until(text: &str, now: Timestamp) -> Option<Timestamp> {
    let end = text.floor_char_boundary(MAX_TEXT);
    let text = text[..end].to_ascii_lowercase();
    let now = Instant::from_millisecond(now.0).ok()?;
    let found = epoch(&text)
        .or_else(|| after(&text, now))
        .or_else(|| at(&text, now))?;
    possible(found, now)
}

/// The time so many seconds after the beginning of 1970, if it is after `now`.
pub(super) fn at_second(seconds: u64, now: Timestamp) -> Option<Timestamp> {
    let now = Instant::from_millisecond(now.0).ok()?;
    let found = Instant::from_second(i64::try_from(seconds).ok()?).ok()?;
    possible(found, now)
}

fn possible(found: Instant, now: Instant) -> Option<Timestamp> {
    let wait = found.duration_since(now);
    let possible = wait.is_positive() && wait <= LONGEST;
    possible.then(|| Timestamp(found.as_millisecond()))
}

/// `|1795230000`: seconds since 1970.
fn epoch(text: &str) -> Option<Instant> {
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    let mut seconds = numbers.filter_map(|digits| digits.parse::<i64>().ok());
    let seconds = seconds.find(|seconds| EPOCH.contains(seconds))?;
    Instant::from_second(seconds).ok()
}

/// `in 2 hours 5 minutes`, `after 5s`, `in 1h30m`.
fn after(text: &str, now: Instant) -> Option<Instant> {
    let heads = [
        "again in ",
        "retry after ",
        "resets in ",
        "reset after ",
        "retry in ",
    ];
    let rest = heads
        .iter()
        .find_map(|head| Some(text.split_once(head)?.1))?;
    let mut rest = rest.trim_start();
    let mut total = SignedDuration::ZERO;
    loop {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let Ok(number) = rest[..digits].trim_end_matches('.').parse::<f64>() else {
            break;
        };
        rest = rest[digits..].trim_start();
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "ms" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "week" | "weeks" => 7.0 * 86_400.0,
            _ => break,
        };
        let part = SignedDuration::try_from_secs_f64(number * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = rest[letters..].trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    if total.is_zero() {
        return None;
    }
    now.checked_add(total).ok()
}

/// `resets 3am`, `resets Oct 7, 3:30pm (Europe/Berlin)`, `again at 15:00`.
fn at(text: &str, now: Instant) -> Option<Instant> {
    let heads = ["resets at ", "reset at ", "resets ", "again at "];
    let rest = heads
        .iter()
        .find_map(|head| Some(text.split_once(head)?.1))?;
    let zone = rest
        .split_once('(')
        .and_then(|(_, zone)| zone.split_once(')'));
    // A zone that is not known here leaves the time unknown: a guess would be
    // hours off.
    let zone = match zone {
        Some((name, _)) => TimeZone::get(name.trim()).ok()?,
        None => TimeZone::system(),
    };
    let now = now.to_zoned(zone);
    let rest = rest.split('(').next().unwrap_or(rest);
    let mut words = rest
        .split([' ', ','])
        .filter(|word| !word.is_empty() && *word != "at" && *word != "on")
        .map(|word| word.trim_end_matches(['.', '·']))
        .peekable();
    let month = words.peek().and_then(|word| month(word));
    let date = match month {
        None => None,
        Some(month) => {
            words.next();
            let day = words
                .next()?
                .trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let day = day.parse().ok()?;
            let year = words.peek().and_then(|word| year(word));
            Some(match year {
                Some(year) => {
                    words.next();
                    Date::new(year, month, day).ok()?
                }
                None => next_date(month, day, now.date())?,
            })
        }
    };
    let time = words
        .next()
        .and_then(|word| clock(word, words.peek().copied()));
    let on = |date: Date, time| {
        let zoned = date.to_datetime(time).to_zoned(now.time_zone().clone());
        zoned.ok()
    };
    let found = match (date, time) {
        (None, None) => return None,
        (Some(date), None) => on(date, Time::midnight())?,
        (date, Some(time)) => {
            let named = on(date.unwrap_or(now.date()), time)?;
            // Seconds are left out: in the minute of the reset it is not over.
            let end = named.checked_add(1.minute()).ok()?;
            if named <= now && end > now {
                end
            } else if named <= now && date.is_none() {
                let tomorrow = on(now.date().checked_add(1.day()).ok()?, time)?;
                let wait = tomorrow.timestamp().duration_since(now.timestamp());
                if wait > AHEAD {
                    return None;
                }
                tomorrow
            } else {
                named
            }
        }
    };
    Some(found.timestamp())
}

/// The month that a word begins with.
fn month(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let begin = word.get(..3)?;
    let index = MONTHS.iter().position(|month| *month == begin)?;
    i8::try_from(index + 1).ok()
}

/// `2026`: four digits and nothing else.
fn year(word: &str) -> Option<i16> {
    let digits = word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok()).flatten()
}

/// This day of this year, or of the next if it is long over.
fn next_date(month: i8, day: i8, today: Date) -> Option<Date> {
    let date = Date::new(today.year(), month, day).ok()?;
    if date >= today {
        return Some(date);
    }
    Date::new(today.year() + 1, month, day).ok()
}

/// `3am`, `3:30pm`, `15:00`, and `3:30 pm` with what follows.
fn clock(word: &str, next: Option<&str>) -> Option<Time> {
    let half = |text: &str| match text {
        "am" | "a.m" => Some(0),
        "pm" | "p.m" => Some(12),
        _ => None,
    };
    let digits = word
        .find(|c: char| !c.is_ascii_digit() && c != ':')
        .unwrap_or(word.len());
    let (figures, tail) = word.split_at(digits);
    let noon = match tail {
        "" => next.and_then(half),
        tail => Some(half(tail)?),
    };
    let (hour, minute) = figures.split_once(':').unwrap_or((figures, "0"));
    // A number alone is no time of day.
    if noon.is_none() && !figures.contains(':') {
        return None;
    }
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = match noon {
        None => hour,
        Some(noon) if (1..=12).contains(&hour) => hour % 12 + noon,
        Some(_) => return None,
    };
    Time::new(hour, minute, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(text: &str) -> Timestamp {
        Timestamp(text.parse::<Instant>().unwrap().as_millisecond())
    }

    #[test]
    fn the_words_of_providers() {
        let now = moment("2026-11-21T12:00:00Z");
        let of =
            |text| until(text, now).map(|at| Instant::from_millisecond(at.0).unwrap().to_string());
        for (text, expected) in [
            (
                "Claude AI usage limit reached|1795280400",
                "2026-11-21T17:00:00Z",
            ),
            (
                "You've hit your limit · resets 3pm (UTC)",
                "2026-11-21T15:00:00Z",
            ),
            (
                "You've hit your limit · resets 3am (UTC)",
                "2026-11-22T03:00:00Z",
            ),
            (
                "Weekly limit reached · resets Nov 24, 9am (UTC)",
                "2026-11-24T09:00:00Z",
            ),
            (
                "Weekly limit reached, resets Nov 24 at 9:15 pm (UTC)",
                "2026-11-24T21:15:00Z",
            ),
            (
                "hit your usage limit. Try again at Dec 2nd, 2026 (UTC)",
                "2026-12-02T00:00:00Z",
            ),
            (
                "try again at Nov 22nd, 2026 12:17 AM. (UTC)",
                "2026-11-22T00:17:00Z",
            ),
            (
                "try again at Nov 23rd, 2026 3:05 PM. (UTC)",
                "2026-11-23T15:05:00Z",
            ),
            (
                "try again at Nov 21st, 2026 12:00 PM (UTC)",
                "2026-11-21T12:01:00Z",
            ),
            ("resets Nov 22 2026 (UTC)", "2026-11-22T00:00:00Z"),
            ("resets 12am (UTC)", "2026-11-22T00:00:00Z"),
            ("try again at 15:05 (UTC)", "2026-11-21T15:05:00Z"),
            ("try again at 12:00 PM (UTC)", "2026-11-21T12:01:00Z"),
            ("try again at 10:59 AM (UTC)", "2026-11-22T10:59:00Z"),
            ("Try again in 2 hours 5 minutes.", "2026-11-21T14:05:00Z"),
            (
                "Please try again in 1 day, 3 hours and 1 minute",
                "2026-11-22T15:01:00Z",
            ),
            ("Please try again in 1.5s. Visit", "2026-11-21T12:00:01.5Z"),
            (
                "mock: rate limited\nSuggested retry after 5s.]",
                "2026-11-21T12:00:05Z",
            ),
            ("resets in 1h30m", "2026-11-21T13:30:00Z"),
        ] {
            assert_eq!(of(text).as_deref(), Some(expected), "{text}");
        }
        // Not every system has the zones.
        let berlin = TimeZone::get("Europe/Berlin").is_ok();
        let at = of("session limit reached ∙ resets 3:30pm (Europe/Berlin)");
        assert_eq!(at.is_some(), berlin);
        assert!(at.is_none_or(|at| at == "2026-11-21T14:30:00Z"));
        for none in [
            "resets 3pm (Nowhere/Else)",
            "",
            "Try again later.",
            "resets",
            "resets soon",
            "resets 3",
            "resets 25:00",
            "resets 13am",
            "resets Feb 30",
            "try again at 11:59 AM (UTC)",
            "resets 11:30am (UTC)",
            "try again at Dec 2nd, 2025 9:30 AM (UTC)",
            "try again at Jan 2nd, 2027 9:30 AM (UTC)",
            "try again in",
            "try again in 5 parsecs",
            "usage limit reached|1700000000",
            "try again in 400 days",
            "request 1795280400000",
            "again in 99999999999999999999 days",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn whatever_it_says_it_is_soon_or_never(
            head in prop::sample::select(vec!["resets ", "try again in ", "|", "again at ", "resets in "]),
            rest in "([a-z]{2,4}|[0-9]{1,12}|[ :,.()|]|am|pm|é){0,8}",
            now in 0_i64..4_000_000_000_000,
        ) {
            if let Some(found) = until(&format!("{head}{rest}"), Timestamp(now)) {
                prop_assert!(found.0 > now && found.0 - now <= 40 * 86_400_000);
            }
        }
    }
}
