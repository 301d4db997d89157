//! Schedules: tasks that are submitted when their time comes.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use crate::task::{id::Timestamp, spec::Payload};

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// A name of the operator's choice.
    pub name: String,
    /// When.
    pub times: Times,
    /// By which agent.
    pub agent: String,
    /// What.
    pub payload: Payload,
    /// In which repository.
    pub repo: Option<PathBuf>,
    /// About which issue.
    pub issue: Option<String>,
    /// For lists.
    pub title: Option<String>,
    /// The model; `None` leaves it to the agent.
    pub model: Option<String>,
    /// For people and filters.
    pub labels: BTreeMap<String, String>,
    /// Higher runs first.
    pub priority: i32,
    /// A time that came while the daemon was away counts still, once.
    pub run_missed: bool,
    /// If its last task has not ended.
    pub busy: Busy,
}

/// What to do if the task of the time before has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// Leave this time out.
    Skip,
    /// Wait behind it.
    Queue,
    /// Cancel it.
    Replace,
}

/// The times of a schedule.
#[derive(Clone)]
pub struct Times {
    expression: String,
    zone_name: Option<String>,
    cron: croner::Cron,
    zone: TimeZone,
}

impl Times {
    /// A cron expression of five fields, or six with seconds in front, in a time
    /// zone; `None` is the machine's.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn parse(expression: &str, zone: Option<Zone>) -> Result<Self, String> {
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(expression)
            .map_err(|error| format!("not a cron expression such as \"0 3 * * *\": {error}"))?;
        let (zone_name, zone) = match zone {
            Some(Zone { name, zone }) => (Some(name), zone),
            None => (None, TimeZone::system()),
        };
        let times = Self {
            expression: expression.to_owned(),
            zone_name,
            cron,
            zone,
        };
        // The 30th of February.
        match times.next(Timestamp(0)) {
            Some(_) => Ok(times),
            None => Err("a time that never comes".to_owned()),
        }
    }

    /// The first time after another one. One that the clock leaves out in spring
    /// comes right after the gap; one that it shows twice in autumn comes once,
    /// unless it is one of every minute or hour.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = self.zoned(after)?;
        let next = self.cron.find_next_occurrence(&after, false).ok()?;
        Some(Timestamp(next.timestamp().as_millisecond()))
    }

    /// The last time that is not after another one.
    #[must_use]
    pub fn last(&self, until: Timestamp) -> Option<Timestamp> {
        let until = self.zoned(until)?;
        let last = self.cron.find_previous_occurrence(&until, true).ok()?;
        Some(Timestamp(last.timestamp().as_millisecond()))
    }

    fn zoned(&self, at: Timestamp) -> Option<jiff::Zoned> {
        let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }

    /// The cron expression.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The name of the time zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        let machine = self.zone.iana_name().unwrap_or("local");
        self.zone_name.as_deref().unwrap_or(machine)
    }

    /// What tells these times from others.
    #[must_use]
    pub fn identity(&self) -> String {
        format!(
            "{} {}",
            self.expression,
            self.zone_name.as_deref().unwrap_or("")
        )
    }
}

impl PartialEq for Times {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Times {}

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Times").field(&self.identity()).finish()
    }
}

/// A time zone with its name.
#[derive(Debug, Clone)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// The zone of a name such as `Europe/Berlin`.
    ///
    /// # Errors
    /// The system knows no such zone.
    pub fn named(name: &str) -> Result<Self, String> {
        let zone = TimeZone::get(name).map_err(|_| {
            format!("no time zone {name:?} in the system's list: expected \"Europe/Berlin\", say")
        })?;
        let name = name.to_owned();
        Ok(Self { name, zone })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let at: jiff::Timestamp = text.parse().unwrap();
        Timestamp(at.as_millisecond())
    }

    fn berlin(expression: &str) -> Times {
        let zone = Zone::named("Europe/Berlin").unwrap();
        Times::parse(expression, Some(zone)).unwrap()
    }

    #[test]
    fn a_time_comes_once_on_the_days_that_the_clock_changes() {
        for (expression, after, times) in [
            // 02:30 does not exist on the 29th: it is 03:00 then.
            (
                "30 2 * * *",
                "2026-03-28T12:00:00Z",
                ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            ),
            // 02:30 exists twice on the 25th: the first one counts.
            (
                "30 2 * * *",
                "2026-10-24T12:00:00Z",
                ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
            ),
            (
                "0 3 * * *",
                "2026-03-28T12:00:00Z",
                ["2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"],
            ),
        ] {
            let cron = berlin(expression);
            let mut after = at(after);
            for time in times {
                after = cron.next(after).unwrap();
                assert_eq!(after, at(time), "{expression}");
                assert_eq!(cron.last(after), Some(after));
            }
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "* * *",
            "61 * * * *",
            "0 0 30 2 *",
            "every day",
            "0 0 0 1 1 * 2030",
        ] {
            assert!(Times::parse(bad, None).is_err(), "{bad}");
        }
        assert!(Times::parse("*/10 * * * * *", None).is_ok());
        assert!(Zone::named("Europe/Atlantis").is_err());
    }
}
