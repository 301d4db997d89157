//! How the rows of the registry follow the attempts.

use super::{Lesson, Session, Standing, Way, key, lesson};
use crate::task::{
    attempt::{Attempt, Phase, Status},
    id::Timestamp,
    limits::{MAX_MESSAGE, clip},
    reason::Outcome,
    state::Task,
    usage::Usage,
};

/// What a change of an attempt makes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is, or is not made.
    Stays,
    /// It is now so.
    Becomes(Box<Session>),
    /// It is taken away.
    Vanishes,
}

/// The sessions that a change of an attempt may concern: at most five.
#[must_use]
pub fn touched(before: Option<&Attempt>, after: &Attempt) -> Vec<String> {
    let mut found = Vec::new();
    for attempt in before.into_iter().chain([after]) {
        let known = attempt.known();
        let ids = [
            attempt.given.session.clone(),
            known.session,
            known.session_gone,
        ];
        for id in ids.into_iter().flatten() {
            if !found.contains(&id) {
                found.push(id);
            }
        }
    }
    found
}

/// What becomes of the row of session `id`, now that the attempt of `task`,
/// which was as `before`, is as it is there.
///
/// A row that an attempt has made goes with the attempt to the session that it
/// names later, so that each adds at most one to the registry.
#[must_use]
pub fn follow(
    row: Option<&Session>,
    id: &str,
    before: Option<&Attempt>,
    task: &Task,
    at: Timestamp,
) -> Fate {
    let Some(attempt) = &task.attempt else {
        return Fate::Stays;
    };
    // What becomes known of an attempt after its end is not of its session.
    if before.is_some_and(|before| before.phase == Phase::Ended) {
        return Fate::Stays;
    }
    let others = |row: &Session| row.user.is_some_and(|user| user != attempt.id);
    if row.is_some_and(others) {
        return Fate::Stays;
    }
    let next = if works_in(attempt, id) {
        worked_in(row, id, task, attempt, at)
    } else {
        let Some(row) = row else {
            return Fate::Stays;
        };
        let was = before.is_some_and(|before| works_in(before, id));
        if let Some(why) = gone(attempt, id) {
            settle(row, Standing::Retired, why)
        } else if was && row.first == attempt.id {
            return Fate::Vanishes;
        } else {
            row.clone()
        }
        .released()
    };
    match next {
        None => row.map_or(Fate::Stays, |_| Fate::Vanishes),
        Some(next) if row == Some(&next) => Fate::Stays,
        Some(next) => {
            let as_it_was = |row: &Session| (row.standing, &row.why) == (next.standing, &next.why);
            let changed_at = row.filter(|row| as_it_was(row)).map(|row| row.changed_at);
            Fate::Becomes(Box::new(Session {
                changed_at: changed_at.unwrap_or(at),
                ..next
            }))
        }
    }
}

impl Session {
    fn released(self) -> Option<Self> {
        Some(Self { user: None, ..self })
    }
}

/// What was given counts until the agent says something else; an id that was
/// made for it only until it names one.
fn works_in(attempt: &Attempt, id: &str) -> bool {
    let known = attempt.known();
    if known.session.as_deref() == Some(id) {
        return true;
    }
    let given = &attempt.given;
    if given.session.as_deref() != Some(id) || known.session_gone.as_deref() == Some(id) {
        return false;
    }
    match given.way {
        Way::Chosen | Way::Seen | Way::Unseen => true,
        Way::Minted => known.session.is_none(),
        Way::Fresh | Way::Gone => false,
    }
}

fn gone(attempt: &Attempt, id: &str) -> Option<String> {
    let given = &attempt.given;
    if given.way == Way::Gone && given.session.as_deref() == Some(id) {
        return Some(format!("it was not there before attempt {}", attempt.id));
    }
    let said = attempt.known().session_gone;
    (said.as_deref() == Some(id))
        .then(|| format!("the agent did not know it in attempt {}", attempt.id))
}

/// The row of a session that the attempt works in; `None`: there is none to be.
fn worked_in(
    row: Option<&Session>,
    id: &str,
    task: &Task,
    attempt: &Attempt,
    at: Timestamp,
) -> Option<Session> {
    let named = attempt.known().session.as_deref() == Some(id);
    let minted = attempt.given.way == Way::Minted;
    let mut next = match row {
        Some(row) => row.clone(),
        None if named || minted => made(id, task, attempt, at),
        None => return None,
    };
    if named || attempt.started_at.is_some() {
        next.attempt = attempt.id;
        next.agent_type = task.spec.agent_type;
        next.key = key(task.id, &task.spec);
        next.place = attempt.given.place;
        let model = attempt.known().model;
        next.model = model.or_else(|| task.spec.model.clone());
        if let Some(workspace) = &attempt.workspace {
            next.workspace.clone_from(&workspace.path);
        }
    }
    let seen = named || attempt.given.way == Way::Seen;
    if seen && next.standing != Standing::Quarantined {
        next = settle(&next, Standing::Good, String::new());
    }
    if attempt.phase != Phase::Ended {
        next.user = Some(attempt.id);
        return Some(next);
    }
    next.user = None;
    next.used = next.used.plus(attempt.known().usage.unwrap_or_default());
    let began = attempt.started_at.is_some() || attempt.exit.is_some();
    if began || named {
        return Some(ended_in(next, attempt));
    }
    // An agent that never ran has not begun the session that was made for it.
    (next.first != attempt.id).then_some(next)
}

fn made(id: &str, task: &Task, attempt: &Attempt, at: Timestamp) -> Session {
    let workspace = attempt.workspace.as_ref();
    Session {
        id: id.to_owned(),
        agent: task.spec.agent.clone(),
        agent_type: task.spec.agent_type,
        model: task.spec.model.clone(),
        key: key(task.id, &task.spec),
        workspace: workspace.map(|w| w.path.clone()).unwrap_or_default(),
        place: attempt.given.place,
        first: attempt.id,
        attempt: attempt.id,
        user: None,
        used: Usage::default(),
        standing: Standing::Unverified,
        why: "the agent has not named it yet".to_owned(),
        made_at: at,
        changed_at: at,
    }
}

/// What the end of the attempt makes of it.
fn ended_in(row: Session, attempt: &Attempt) -> Session {
    let Some(ending) = &attempt.ending else {
        return row;
    };
    if ending.outcome == Outcome::Succeeded {
        return settle(&row, Standing::Good, String::new());
    }
    // What the agent said of its conversation stands, however it ended.
    let fault = attempt.known().fault.map(|fault| fault.reason);
    let fault = fault.filter(|fault| matches!(lesson(*fault), Lesson::Poisoned | Lesson::Lost));
    let Some(reason) = fault.or(ending.reason) else {
        return row;
    };
    let killed = attempt
        .exit
        .is_some_and(|exit| matches!(exit.status, Status::Signal { .. }));
    let why = format!("{reason} in attempt {}: {}", attempt.id, ending.message);
    match lesson(reason) {
        Lesson::Poisoned => settle(&row, Standing::Quarantined, why),
        Lesson::Lost => settle(&row, Standing::Retired, why),
        Lesson::Interrupted => settle(&row, Standing::Unverified, why),
        Lesson::Left if killed => settle(&row, Standing::Unverified, why),
        Lesson::Left => row,
    }
}

/// The row in another standing. Nothing lifts a quarantine.
fn settle(row: &Session, standing: Standing, why: String) -> Session {
    if row.standing == Standing::Quarantined || row.standing == standing {
        return row.clone();
    }
    Session {
        standing,
        why: clip(&why, MAX_MESSAGE),
        ..row.clone()
    }
}
