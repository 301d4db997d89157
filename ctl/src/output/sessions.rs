//! Sessions in every format.

use agentd_proto::v1;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::{
    Output,
    json::{Document, SESSION, SESSIONS},
    list::{ListArgs, Listed},
    page::Page,
    table::{Cell, Column, Shown},
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SessionViews {
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

impl Listed for v1::Session {
    type View = SessionView;
    const SCHEMA: &'static str = SESSION;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::<Self>::new("id", |session, _| Cell::from(&session.id)).cut(8),
        Column::<Self>::new("agent", |session, _| Cell::from(&session.agent)).cut(6),
        Column::<Self>::new("state", |session, _| {
            Cell::styled(&session.standing, of_standing(&session.standing))
        }),
        Column::<Self>::new("attempt", |session, _| {
            Cell::from(attempt(session.task, session.attempt))
        }),
        Column::<Self>::number("age", |session, look| {
            let age = between(session.made_at, look.now.as_millisecond()).map(short);
            Cell::or_dash(&age.unwrap_or_default())
        }),
        Column::<Self>::new("key", |session, _| Cell::or_dash(&session.key))
            .cut(10)
            .spare(1),
        Column::<Self>::new("workspace", |session, _| Cell::or_dash(&session.workspace))
            .cut(10)
            .spare(2),
        Column::<Self>::new("model", |session, _| Cell::or_dash(&session.model)).shown(Shown::Wide),
        Column::<Self>::new("used-by", |session, _| {
            Cell::or_dash(&user(session).unwrap_or_default())
        })
        .shown(Shown::Wide),
        Column::<Self>::new("why", |session, _| Cell::or_dash(&session.why)).shown(Shown::Wide),
    ];

    fn name(&self) -> String {
        self.id.clone()
    }
}

impl Output {
    /// Prints a list of sessions.
    pub(crate) fn sessions(
        &mut self,
        list: SessionList,
        args: &ListArgs<v1::Session>,
    ) -> Result<(), Error> {
        self.list(args, list.sessions, |sessions| {
            let (more, more_is_bound) = (list.more, list.more_is_bound);
            Document::new(
                SESSIONS,
                SessionViews {
                    sessions,
                    more,
                    more_is_bound,
                },
            )
        })
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
