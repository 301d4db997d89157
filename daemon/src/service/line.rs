//! The line that `systemctl status` shows.

use jiff::{Timestamp as Instant, tz::TimeZone};

use crate::{
    dispatcher::{Overview, Phase, Trouble},
    task::{id::Timestamp, limits::clip},
};

/// Longest line, bytes.
const LONGEST: usize = 500;
/// Accounts that are named; more are counted.
const NAMED: usize = 3;

/// How things stand, in one line: times are of `zone`, those of another day
/// have a date.
pub(super) fn of(
    overview: &Overview,
    trouble: Option<&Trouble>,
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    let mut parts = Vec::new();
    match overview.phase {
        Phase::Ready => {}
        Phase::Recovering if overview.recovery.held > 0 => parts.push(format!(
            "{} attempts look dead: agentctl recover --confirm",
            overview.recovery.held
        )),
        Phase::Recovering => parts.push(format!(
            "recovering ({} of {})",
            overview.recovery.resolved(),
            overview.recovery.total
        )),
        Phase::Draining => parts.push("draining".to_owned()),
        Phase::Stopping => parts.push("stopping".to_owned()),
        // Its trouble says more.
        Phase::StoreFailed => {}
    }
    let (mut running, mut queued) = (0, 0);
    for agent in overview.agents.values() {
        running += u64::from(agent.occupied);
        queued += agent.queued;
    }
    parts.push(format!("{running} running"));
    parts.push(format!("{queued} queued"));
    if overview.paused {
        parts.push("paused".to_owned());
    }
    let waiting: Vec<_> = overview
        .parked
        .iter()
        .take(NAMED)
        .map(|(account, until)| format!("{account} until {}", time(*until, now, zone)))
        .collect();
    if !waiting.is_empty() {
        parts.push(format!("quota: {}", waiting.join(", ")));
    }
    if let more @ 1.. = overview.parked.len().saturating_sub(NAMED) {
        parts.push(format!("and {more} more"));
    }
    if let Some(trouble) = trouble {
        parts.insert(0, trouble.to_string());
    }
    // A line of the protocol ends at a newline, whatever a path contains.
    let line = parts.join(", ").replace(char::is_control, " ");
    clip(&line, LONGEST)
}

fn time(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let local = |at: Timestamp| {
        let at = Instant::from_millisecond(at.0).ok()?;
        Some(at.to_zoned(zone.clone()))
    };
    match (local(at), local(now)) {
        (Some(at), Some(now)) if at.date() == now.date() => at.strftime("%H:%M").to_string(),
        (Some(at), _) => at.strftime("%Y-%m-%d %H:%M").to_string(),
        (None, _) => "a time beyond all calendars".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        dispatcher::{AgentOverview, RecoveryCounts},
        task::id::Revision,
    };

    fn overview(phase: Phase, occupied: u32, queued: u64) -> Overview {
        let agent = AgentOverview {
            queued,
            occupied,
            paused: false,
        };
        Overview {
            phase,
            states: BTreeMap::new(),
            held: 0,
            agents: BTreeMap::from([("claude".to_owned(), agent)]),
            parked: BTreeMap::new(),
            paused: false,
            recovery: RecoveryCounts::default(),
            revision: Revision(1),
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<Instant>().unwrap().as_millisecond())
    }

    fn said(overview: &Overview, trouble: Option<&Trouble>) -> String {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        of(overview, trouble, at("2026-03-01T01:00:00Z"), &zone)
    }

    #[test]
    fn counts_limits_and_phases_are_in_it() {
        let mut ready = overview(Phase::Ready, 3, 2);
        assert_eq!(said(&ready, None), "3 running, 2 queued");
        ready.parked = BTreeMap::from([
            ("claude".to_owned(), at("2026-03-01T02:10:00Z")),
            ("codex".to_owned(), at("2026-03-04T02:10:00Z")),
        ]);
        assert_eq!(
            said(&ready, None),
            "3 running, 2 queued, quota: claude until 04:10, codex until 2026-03-04 04:10"
        );
        for name in ["x", "y", "z"] {
            ready.parked.insert(name.to_owned(), Timestamp(i64::MAX));
        }
        assert!(said(&ready, None).ends_with("calendars, and 2 more"));
        let mut recovering = overview(Phase::Recovering, 4, 0);
        recovering.recovery.total = 4;
        recovering.recovery.adopted = 1;
        assert_eq!(
            said(&recovering, None),
            "recovering (1 of 4), 4 running, 0 queued"
        );
        recovering.recovery.held = 3;
        assert!(said(&recovering, None).contains("agentctl recover --confirm"));
    }

    #[test]
    fn trouble_comes_first_and_stays_one_line() {
        let full = Trouble::Disk {
            free: 1 << 20,
            needed: 5 << 20,
        };
        let ready = overview(Phase::Ready, 1, 7);
        assert!(said(&ready, Some(&full)).starts_with("1 MiB are free"));
        let failed = Trouble::Store(format!("no\nspace {}", "é".repeat(600)));
        let line = said(&overview(Phase::StoreFailed, 1, 0), Some(&failed));
        assert!(line.starts_with("the store failed (no space "), "{line}");
        assert!(line.len() <= LONGEST && !line.contains('\n'), "{line}");
    }
}
