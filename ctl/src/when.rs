//! Times and durations that people write, and how they are shown.

use std::{str::FromStr, time::Duration};

use jiff::{Timestamp, civil, tz::TimeZone};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Why a text is no time or duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseTimeError {
    /// Not a duration.
    #[error("not a duration (write for example 90s, 15m, 2h, 1h30m or 7d)")]
    Duration,
    /// A number alone.
    #[error("a duration needs a unit (write for example 90s, 15m, 2h or 7d)")]
    Unit,
    /// More than can be counted.
    #[error("the duration is too long")]
    TooLong,
    /// Not a time.
    #[error("not a time (write for example 2h, 2026-03-01 or 2026-03-01T08:00:00Z)")]
    Time,
}

/// A duration as people write it: `500ms`, `90s`, `1h30m`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(u64);

impl Span {
    /// Milliseconds, as the interface counts.
    pub(crate) fn as_millis(self) -> u64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(ParseTimeError::Duration);
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, behind) = rest.split_at(digits);
            let letters = behind.len()
                - behind
                    .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                    .len();
            let (unit, behind) = behind.split_at(letters);
            let unit = match unit {
                "ms" => 1,
                "s" | "sec" => SECOND,
                "m" | "min" => MINUTE,
                "h" => HOUR,
                "d" => DAY,
                "w" => 7 * DAY,
                "" if behind.is_empty() && !number.is_empty() => return Err(ParseTimeError::Unit),
                _ => return Err(ParseTimeError::Duration),
            };
            if number.is_empty() {
                return Err(ParseTimeError::Duration);
            }
            let number: u64 = number.parse().map_err(|_| ParseTimeError::TooLong)?;
            total = number
                .checked_mul(unit)
                .and_then(|part| total.checked_add(part))
                .filter(|&total| i64::try_from(total).is_ok())
                .ok_or(ParseTimeError::TooLong)?;
            rest = behind;
        }
        Ok(Self(total))
    }
}

/// A point in time: so long ago, or a date with or without a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// So long before now.
    Ago(Span),
    /// A point in time with a zone.
    At(Timestamp),
    /// A date and time of day of this machine's time zone.
    Local(civil::DateTime),
}

impl When {
    /// The same where a duration means one from now on.
    pub(crate) fn ahead(self, now: Timestamp, zone: &TimeZone) -> i64 {
        match self {
            Self::Ago(span) => now.as_millisecond().saturating_add_unsigned(span.0),
            Self::At(_) | Self::Local(_) => self.as_millis(now, zone),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn as_millis(self, now: Timestamp, zone: &TimeZone) -> i64 {
        match self {
            Self::Ago(span) => now
                .as_millisecond()
                .saturating_sub(i64::try_from(span.0).unwrap_or(i64::MAX)),
            Self::At(at) => at.as_millisecond(),
            Self::Local(at) => zone
                .to_ambiguous_timestamp(at)
                .compatible()
                .unwrap_or(now)
                .as_millisecond(),
        }
    }
}

impl FromStr for When {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        if let Ok(at) = text.parse() {
            return Ok(Self::Local(at));
        }
        // As one says it.
        let span = text.strip_suffix("ago").unwrap_or(text);
        match span.parse() {
            Ok(span) => Ok(Self::Ago(span)),
            Err(ParseTimeError::Unit) => Err(ParseTimeError::Unit),
            Err(_) => Err(ParseTimeError::Time),
        }
    }
}

/// A point in time that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// A point in time with a zone.
    At(Timestamp),
    /// A date and time of day of this machine's time zone.
    Local(civil::DateTime),
    /// The next time that this machine's clock shows it.
    Daily(civil::Time),
}

impl Due {
    /// When it is next; `None` if that is more than can be counted. A time that
    /// the clock leaves out is the one just after, of two it is the first.
    pub(crate) fn next(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = |at| zone.to_ambiguous_timestamp(at).compatible().ok();
        match self {
            Self::At(at) => Some(at),
            Self::Local(at) => local(at),
            Self::Daily(time) => {
                let today = now.to_zoned(zone.clone()).date();
                let next = local(today.to_datetime(time)).filter(|at| *at > now);
                next.or_else(|| local(today.tomorrow().ok()?.to_datetime(time)))
            }
        }
    }
}

impl FromStr for Due {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        // A number alone would be a date, too.
        let (has_time, has_date) = (text.contains(':'), text.contains('-'));
        let wrong = || {
            "not a time (write for example 04:00, 2026-03-01, 2026-03-01 04:00 or \
             2026-03-01T04:00:00Z; for a while from now there is --delay)"
                .to_owned()
        };
        if let Some(time) = text.parse().ok().filter(|_| has_time && !has_date) {
            return Ok(Self::Daily(time));
        }
        let at = text.parse().ok().filter(|_| has_time || has_date);
        at.map(Self::Local).ok_or_else(wrong)
    }
}

/// A duration in the two largest units that say something: `3.2s`, `2m05s`.
pub(crate) fn human(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match millis {
        0..SECOND => format!("{millis}ms"),
        SECOND..MINUTE => format!("{}.{}s", millis / SECOND, millis % SECOND / 100),
        MINUTE..HOUR => format!("{}m{:02}s", millis / MINUTE, millis % MINUTE / SECOND),
        HOUR..DAY => format!("{}h{:02}m", millis / HOUR, millis % HOUR / MINUTE),
        DAY.. => format!("{}d{:02}h", millis / DAY, millis % DAY / HOUR),
    }
}

/// A duration in one unit, for a column: `45s`, `3m`, `5h`, `12d`.
pub(crate) fn short(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match millis {
        0..MINUTE => format!("{}s", millis / SECOND),
        MINUTE..HOUR => format!("{}m", millis / MINUTE),
        HOUR..DAY => format!("{}h", millis / HOUR),
        DAY.. => format!("{}d", millis / DAY),
    }
}

/// The time between two points in milliseconds since the epoch; nothing if
/// one is not yet, zero if the clock was set back in between.
pub(crate) fn between(from: i64, to: i64) -> Option<Duration> {
    (from != 0 && to != 0)
        .then(|| Duration::from_millis(u64::try_from(to.saturating_sub(from)).unwrap_or(0)))
}

/// RFC 3339 in UTC, to the millisecond; nothing if it is not yet.
pub(crate) fn rfc3339(at: i64) -> Option<String> {
    (at != 0)
        .then(|| Timestamp::from_millisecond(at).ok())
        .flatten()
        .map(|at| format!("{at:.3}"))
}

/// Date and time of day in this machine's zone, to the second.
pub(crate) fn local(at: i64, zone: &TimeZone) -> Option<String> {
    let at = (at != 0).then(|| Timestamp::from_millisecond(at).ok())??;
    Some(
        at.to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("1w", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(text.parse(), Ok(Span(millis)), "{text}");
        }
        for (text, error) in [
            ("", ParseTimeError::Duration),
            ("90", ParseTimeError::Unit),
            ("h", ParseTimeError::Duration),
            ("-2h", ParseTimeError::Duration),
            ("1.5h", ParseTimeError::Duration),
            ("2y", ParseTimeError::Duration),
            ("99999999999999999999s", ParseTimeError::TooLong),
            ("999999999999999w", ParseTimeError::TooLong),
        ] {
            assert_eq!(text.parse::<Span>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_time_is_relative_or_absolute() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (text, at) in [
            ("2h", "2026-03-01T10:00:00Z"),
            ("30d ago", "2026-01-30T12:00:00Z"),
            ("2026-02-28T08:00:00Z", "2026-02-28T08:00:00Z"),
            ("2026-02-28T08:00:00+01:00", "2026-02-28T07:00:00Z"),
            ("2026-02-28", "2026-02-27T22:00:00Z"),
            ("2026-02-28 08:00", "2026-02-28T06:00:00Z"),
        ] {
            let when: When = text.parse().unwrap();
            let at: Timestamp = at.parse().unwrap();
            assert_eq!(when.as_millis(now, &zone), at.as_millisecond(), "{text}");
        }
        let when: When = "2h".parse().unwrap();
        let later: Timestamp = "2026-03-01T14:00:00Z".parse().unwrap();
        assert_eq!(when.ahead(now, &zone), later.as_millisecond());
        assert_eq!("yesterdayish".parse::<When>(), Err(ParseTimeError::Time));
        assert_eq!("".parse::<When>(), Err(ParseTimeError::Time));
        assert_eq!("5".parse::<When>(), Err(ParseTimeError::Unit));
    }

    #[test]
    fn a_time_to_come_is_the_next_one() {
        let now: Timestamp = "2026-03-28T12:00:00Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (text, at) in [
            ("2026-04-01T08:00:00Z", "2026-04-01T08:00:00Z"),
            ("2026-04-01 08:00", "2026-04-01T06:00:00Z"),
            // A day begins at its midnight.
            ("2026-04-01", "2026-03-31T22:00:00Z"),
            ("13:30", "2026-03-28T12:30:00Z"),
            ("13:00", "2026-03-29T11:00:00Z"),
            ("04:00", "2026-03-29T02:00:00Z"),
            // The clock goes from 02:00 to 03:00 in that night.
            ("02:30", "2026-03-29T01:30:00Z"),
        ] {
            let due: Due = text.parse().unwrap();
            let at: Timestamp = at.parse().unwrap();
            assert_eq!(due.next(now, &zone), Some(at), "{text}");
        }
        for bad in ["", "4", "25:00", "tomorrow", "2h", "2026-13-01 04:00"] {
            assert!(bad.parse::<Due>().is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_shown_in_two_units() {
        for (millis, text, brief) in [
            (7, "7ms", "0s"),
            (3_240, "3.2s", "3s"),
            (125_000, "2m05s", "2m"),
            (3_725_000, "1h02m", "1h"),
            (187_200_000, "2d04h", "2d"),
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(human(duration), text);
            assert_eq!(short(duration), brief);
        }
    }

    #[test]
    fn what_is_not_yet_has_no_time() {
        assert_eq!(between(0, 5), None);
        assert_eq!(between(5, 0), None);
        assert_eq!(between(9, 5), Some(Duration::ZERO));
        assert_eq!(rfc3339(0), None);
        assert_eq!(rfc3339(1_000).as_deref(), Some("1970-01-01T00:00:01.000Z"));
    }
}
