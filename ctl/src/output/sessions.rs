//! Sessions in every format.

use agentd_proto::v1;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::{
    Output,
    json::{Document, SESSION, SESSIONS},
    page::Page,
    table::{Cell, Column, Layout, render},
    tasks::{Format, ListArgs},
};
use crate::{
    error::Error,
    when::{between, rfc3339, short},
};

/// Sessions, and how many were left out.
#[derive(Debug, Default)]
pub(crate) struct SessionList {
    sessions: Vec<v1::Session>,
    more: u64,
    more_is_bound: bool,
}

impl From<v1::SessionListResponse> for SessionList {
    fn from(answer: v1::SessionListResponse) -> Self {
        Self {
            sessions: answer.sessions,
            more: answer.more,
            more_is_bound: answer.more_is_bound,
        }
    }
}

/// A session as a script sees it.
#[derive(Debug, Serialize)]
pub(crate) struct SessionView {
    id: String,
    agent: String,
    agent_type: String,
    model: Option<String>,
    key: String,
    state: String,
    why: Option<String>,
    workspace: Option<String>,
    /// The last one that worked in it.
    attempt: String,
    first_attempt: String,
    /// The one that has it now.
    used_by: Option<String>,
    created_at: Option<String>,
    changed_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct SessionViews {
    sessions: Vec<SessionView>,
    more: u64,
    more_is_bound: bool,
}

impl From<v1::Session> for SessionView {
    fn from(session: v1::Session) -> Self {
        let text = |text: String| (!text.is_empty()).then_some(text);
        Self {
            attempt: attempt(session.task, session.attempt),
            first_attempt: attempt(session.first_task, session.first_attempt),
            used_by: user(&session),
            id: session.id,
            agent: session.agent,
            agent_type: session.agent_type,
            model: text(session.model),
            key: session.key,
            state: session.standing,
            why: text(session.why),
            workspace: text(session.workspace),
            created_at: rfc3339(session.made_at),
            changed_at: rfc3339(session.changed_at),
        }
    }
}

fn attempt(task: u64, number: u32) -> String {
    format!("{task}.{number}")
}

fn user(session: &v1::Session) -> Option<String> {
    (session.user_task != 0).then(|| attempt(session.user_task, session.user_attempt))
}

const NARROW: [Column; 7] = [
    Column::flexible("ID", 8),
    Column::flexible("AGENT", 6),
    Column::fixed("STATE"),
    Column::fixed("ATTEMPT"),
    Column::fixed("AGE"),
    Column::flexible("KEY", 10),
    Column::flexible("WORKSPACE", 10),
];
const WIDE: [Column; 10] = [
    Column::fixed("ID"),
    Column::fixed("AGENT"),
    Column::fixed("STATE"),
    Column::fixed("ATTEMPT"),
    Column::fixed("AGE"),
    Column::fixed("KEY"),
    Column::fixed("WORKSPACE"),
    Column::fixed("MODEL"),
    Column::fixed("USED BY"),
    Column::fixed("WHY"),
];

impl Output {
    /// Prints a list of sessions.
    pub(crate) fn sessions(&mut self, list: SessionList, args: ListArgs) -> Result<(), Error> {
        let SessionList {
            sessions,
            more,
            more_is_bound,
        } = list;
        match args.format() {
            Format::Table => self.session_table(&sessions, false, args),
            Format::Wide => self.session_table(&sessions, true, args),
            Format::Json => {
                let views = SessionViews {
                    sessions: sessions.into_iter().map(SessionView::from).collect(),
                    more,
                    more_is_bound,
                };
                self.json(&Document::new(SESSIONS, views))
            }
            Format::Jsonl => sessions.into_iter().try_for_each(|session| {
                self.json(&Document::new(SESSION, SessionView::from(session)))
            }),
            Format::Name => sessions.iter().try_for_each(|s| self.line(&s.id)),
        }
    }

    fn session_table(
        &mut self,
        sessions: &[v1::Session],
        wide: bool,
        args: ListArgs,
    ) -> Result<(), Error> {
        let now = self.now.as_millisecond();
        let layout = Layout {
            width: if wide { None } else { self.width },
            color: self.color,
            no_headers: args.no_headers(),
        };
        let rows: Vec<Vec<Cell>> = sessions
            .iter()
            .map(|session| {
                let age = between(session.made_at, now).map(short);
                let mut row = vec![
                    Cell::from(&session.id),
                    Cell::from(&session.agent),
                    Cell::styled(&session.standing, of_standing(&session.standing)),
                    Cell::from(attempt(session.task, session.attempt)),
                    Cell::or_dash(&age.unwrap_or_default()),
                    Cell::or_dash(&session.key),
                    Cell::or_dash(&session.workspace),
                ];
                if wide {
                    row.extend([
                        Cell::or_dash(&session.model),
                        Cell::or_dash(&user(session).unwrap_or_default()),
                        Cell::or_dash(&session.why),
                    ]);
                }
                row
            })
            .collect();
        let columns: &[Column] = if wide { &WIDE } else { &NARROW };
        render(columns, &rows, layout)
            .iter()
            .try_for_each(|line| self.line(line))
    }
}

fn of_standing(word: &str) -> Style {
    match word {
        "good" => AnsiColor::Green.on_default(),
        "unverified" => AnsiColor::Yellow.on_default(),
        "quarantined" => AnsiColor::Red.on_default(),
        _ => Style::new(),
    }
}

impl Page {
    /// A session.
    pub(crate) fn session(&mut self, session: &v1::Session) {
        self.field("session", &session.id);
        self.field("agent", &session.agent);
        self.field("state", &session.standing);
        self.field("why", &session.why);
        self.field("key", &session.key);
        self.field("workspace", &session.workspace);
        self.field("model", &session.model);
        self.field("attempt", &attempt(session.task, session.attempt));
        self.field("first", &attempt(session.first_task, session.first_attempt));
        self.field("used by", &user(session).unwrap_or_default());
        self.time("created", session.made_at);
        self.time("changed", session.changed_at);
    }
}

/// The session that an attempt works in, and how it came to it.
pub(super) fn session_text(attempt: &v1::Attempt) -> String {
    let known = match attempt.session.as_str() {
        "" => attempt.session_given.as_str(),
        named => named,
    };
    match attempt.session_way.as_str() {
        _ if !attempt.session_gone.is_empty() => match attempt.session.as_str() {
            "" => format!("a new one: {} is gone", attempt.session_gone),
            named => format!("{named} (new: {} is gone)", attempt.session_gone),
        },
        "gone" if attempt.session.is_empty() => {
            format!("a new one: {} is gone", attempt.session_given)
        }
        "chosen" | "seen" | "unseen" if known == attempt.session_given => {
            format!("{known} (resumed)")
        }
        "minted" if attempt.session.is_empty() => format!("{known} (new)"),
        "chosen" | "seen" | "unseen" => {
            format!("{known} (resumed from {})", attempt.session_given)
        }
        _ if attempt.session.is_empty() => String::new(),
        _ => format!("{known} (new)"),
    }
}
