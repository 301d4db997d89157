//! What the parsers of all agent types say in the same way.

use std::{borrow::Cow, collections::BTreeSet};

use super::{
    Seen,
    json::{Json, Object},
    provider::{last_line, line},
};
use crate::task::{
    observed::{Claim, Fault, is_session},
    reason::FailureReason,
};

/// Tools that are remembered at the same time: more than an agent runs.
const MAX_TOOLS: usize = 1024;
/// Longest id of a tool that is remembered, bytes.
const MAX_ID: usize = 256;

/// The object that a line is; `None` for one that is something else.
pub(super) fn object<T>(text: &[u8], read: impl FnOnce(&Object<'_>) -> T) -> Option<T> {
    let text = String::from_utf8_lossy(text);
    let object = Json::parse(&text)?.object();
    Some(read(&object))
}

/// The tools that an agent waits for.
#[derive(Debug, Clone, Default)]
pub(super) struct Tools(BTreeSet<String>);

impl Tools {
    pub(super) fn started(&mut self, id: Option<Cow<'_, str>>) {
        if let Some(id) = id
            && id.len() <= MAX_ID
            && self.0.len() < MAX_TOOLS
        {
            self.0.insert(id.into_owned());
        }
    }

    pub(super) fn ended(&mut self, id: Option<Cow<'_, str>>) {
        if let Some(id) = id {
            self.0.remove(&*id);
        }
    }

    pub(super) fn none(&mut self) {
        self.0.clear();
    }

    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Notes the session, once: an agent has one.
pub(super) fn pin(id: Option<Cow<'_, str>>, seen: &mut Seen) {
    if seen.observed.session.is_none()
        && let Some(id) = id
        && is_session(&id)
    {
        seen.observed.session = Some(id.into_owned());
    }
}

pub(super) fn model(name: Option<Cow<'_, str>>, seen: &mut Seen) {
    if let Some(name) = name {
        seen.observed.model = Some(line(&name));
    }
}

pub(super) fn progress(text: &str, seen: &mut Seen) {
    if let Some(line) = last_line(text) {
        seen.observed.progress = Some(line);
    }
}

/// The agent says that its work is done: it came over whatever it met.
pub(super) fn done(message: &str, seen: &mut Seen) {
    seen.observed.limited = None;
    seen.observed.fault = None;
    claim(true, message, seen);
}

/// The agent says that its work is not done; why, is said apart.
pub(super) fn failed(message: &str, seen: &mut Seen) {
    claim(false, message, seen);
}

fn claim(done: bool, message: &str, seen: &mut Seen) {
    seen.observed.claim = Some(Claim {
        done,
        message: line(message),
    });
}

pub(super) fn fault(reason: FailureReason, message: &str, seen: &mut Seen) {
    seen.observed.fault = Some(Fault {
        reason,
        message: line(message),
    });
}

/// It does not know the session that it was to resume, and has ended of that.
pub(super) fn stale(message: &str, seen: &mut Seen) {
    seen.stale = true;
    fault(FailureReason::SessionLost, message, seen);
}

/// What an agent says on its standard error before it gives up. It explains
/// what nothing else does.
pub(super) fn complaint(text: &[u8], seen: &mut Seen) {
    let text = String::from_utf8_lossy(text);
    let text = plain(&text);
    let text = text.trim();
    let known = &seen.observed;
    if text.starts_with("Error") && known.fault.is_none() && known.claim.is_none() {
        fault(FailureReason::AgentError, text, seen);
    }
}

/// A text without the sequences that colour it.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        plain.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    Cow::Owned(plain)
}
