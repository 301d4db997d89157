//! The head of the screen: how the daemon is.

use unicode_width::UnicodeWidthStr as _;

use super::{Look, Piece};
use crate::{
    output::limits::dollars,
    top::model::{Link, Model},
    when::{between, human, short},
};

/// Between two facts.
const GAP: &str = "  ";
/// Accounts that have a line each.
const ACCOUNTS: usize = 2;

/// Its lines, the most important first.
pub(in crate::top) fn lines(model: &Model) -> Vec<Vec<Piece>> {
    let mut lines = Vec::new();
    if let Link::Away { since, why } = &model.link {
        let gone = between(since.as_millisecond(), model.now.as_millisecond());
        let gone = gone.map(short).unwrap_or_default();
        lines.push(vec![(
            format!("the daemon is away, reconnecting (for {gone}: {why})"),
            Look::Alarm,
        )]);
    }
    let health = &model.health;
    if !health.trouble.is_empty() {
        lines.push(vec![(health.trouble.clone(), Look::Alarm)]);
    }
    lines.extend(flow(facts(model), usize::from(model.size.0)));
    lines.extend(accounts(model));
    lines
}

/// As many facts a line as fit.
fn flow(facts: Vec<Vec<Piece>>, width: usize) -> Vec<Vec<Piece>> {
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    let mut used = usize::MAX;
    for fact in facts {
        let wide: usize = fact.iter().map(|(text, _)| text.width()).sum();
        match lines.last_mut() {
            Some(line) if used.saturating_add(GAP.len() + wide) <= width => {
                line.push((GAP.to_owned(), Look::Plain));
                line.extend(fact);
                used += GAP.len() + wide;
            }
            Some(_) | None => {
                lines.push(fact);
                used = wide;
            }
        }
    }
    lines
}

fn facts(model: &Model) -> Vec<Vec<Piece>> {
    let health = &model.health;
    let plain = |text: String| (text, Look::Plain);
    let named = |name: &str, text: String| vec![(format!("{name} "), Look::Dim), plain(text)];
    if health.version.is_empty() {
        return vec![vec![plain("agentd: waiting for its answer".to_owned())]];
    }
    let look = match health.phase.as_str() {
        "ready" => Look::Head,
        _ => Look::Warn,
    };
    let mut facts = vec![vec![
        (format!("agentd {} ", health.version), Look::Head),
        (health.phase.clone(), look),
    ]];
    if health.paused {
        facts.push(vec![("PAUSED (p resumes)".to_owned(), Look::Warn)]);
    }
    if !health.paused_agents.is_empty() {
        let agents = health.paused_agents.join(", ");
        facts.push(vec![(format!("paused: {agents}"), Look::Warn)]);
    }
    if let Some(up) = between(health.started_at, model.now.as_millisecond()) {
        facts.push(named("up", human(up)));
    }
    facts.push(named("slots", format!("{}/{}", health.busy, health.slots)));
    facts.push(named("running", health.running.to_string()));
    let held = match model.tasks.held() {
        0 => String::new(),
        held => format!(" ({held} held)"),
    };
    facts.push(named("queued", format!("{}{held}", health.queued)));
    if let Some(cost) = model.today {
        facts.push(named("today", dollars(cost)));
    }
    facts.extend(health.host.iter().map(|fact| {
        let look = if fact.is_short {
            Look::Alarm
        } else {
            Look::Plain
        };
        vec![
            (format!("{} ", fact.name), Look::Dim),
            (fact.text.clone(), look),
        ]
    }));
    facts
}

/// Accounts whose tasks wait for their provider.
fn accounts(model: &Model) -> Vec<Vec<Piece>> {
    let parked = &model.health.parked;
    let mut lines: Vec<Vec<Piece>> = parked
        .iter()
        .take(ACCOUNTS)
        .map(|account| {
            let left = between(model.now.as_millisecond(), account.until);
            let left = left.map(human).unwrap_or_default();
            let text = format!("account {} waits {left}: {}", account.name, account.reason);
            vec![(text, Look::Warn)]
        })
        .collect();
    if let (Some(last), 1..) = (lines.last_mut(), parked.len().saturating_sub(ACCOUNTS)) {
        let more = parked.len() - ACCOUNTS;
        last.push((format!(" (and {more} more: agentctl quota)"), Look::Warn));
    }
    lines
}
