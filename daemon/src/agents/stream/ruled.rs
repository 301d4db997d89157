//! The output of a program that knows nothing of agentd, by the rules that its
//! operator wrote.

use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::Seen;
use crate::{
    config,
    task::{
        id::Timestamp,
        limits::{MAX_MESSAGE, clip},
        observed::{Fault, Limited, is_session},
        reason::FailureReason,
        signs::{Key, Rules, Sign},
        usage::Usage,
    },
    transcript::Source,
};

/// Longest line that expressions are tried on, bytes: what is longer is data.
const MAX_TEXT_LINE: usize = 16 * 1024;
/// Longest line that is taken for an object, bytes: it is held in memory as a
/// whole, and takes many times its length there.
const MAX_OBJECT: usize = 512 * 1024;
/// Numbers below it are seconds from now, others times since 1970.
const MAX_SECONDS: i64 = 1_000_000_000;
/// Numbers below it are seconds since 1970, others milliseconds.
const MAX_EPOCH: i64 = 1_000_000_000_000;

#[derive(Clone)]
pub(super) struct Ruled {
    /// Shared by copies: to make them takes long.
    patterns: Arc<[(Sign, Regex)]>,
    keys: Vec<(Key, String)>,
    adds_up: bool,
    now: fn() -> Timestamp,
}

impl Ruled {
    /// Expressions that are none are left out: the configuration has none, and
    /// a runner does not die of what it was given.
    pub(super) fn new(rules: &Rules, now: fn() -> Timestamp) -> Self {
        let patterns = rules.patterns.iter();
        let patterns =
            patterns.filter_map(|(sign, text)| Some((*sign, config::pattern(text).ok()?)));
        let keys = rules.keys.iter();
        Self {
            patterns: patterns.collect(),
            keys: keys.map(|(key, at)| (*key, at.clone())).collect(),
            adds_up: rules.adds_up,
            now,
        }
    }

    /// A whole line without its end.
    pub(super) fn line(&mut self, source: Source, line: &[u8], seen: &mut Seen) {
        let is_object = source == Source::Output && line.first() == Some(&b'{');
        if is_object
            && !self.keys.is_empty()
            && line.len() <= MAX_OBJECT
            && let Ok(object) = serde_json::from_slice::<Value>(line)
        {
            self.object(&object, seen);
        }
        if self.patterns.is_empty() || line.len() > MAX_TEXT_LINE {
            return;
        }
        let line = String::from_utf8_lossy(line);
        for (sign, pattern) in &*self.patterns {
            self.matched(*sign, pattern, &line, seen);
        }
    }

    fn object(&self, object: &Value, seen: &mut Seen) {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str);
        let count = |at: &str| object.pointer(at).and_then(Value::as_u64);
        let mut usage = Usage::default();
        let mut has_usage = false;
        for (key, at) in &self.keys {
            let known = &mut seen.observed;
            let figure = match key {
                Key::Session => {
                    pin(text(at), seen);
                    continue;
                }
                Key::Model => {
                    known.model = text(at).map(short).or(known.model.take());
                    continue;
                }
                Key::Progress => {
                    known.progress = text(at).map(short).or(known.progress.take());
                    continue;
                }
                Key::CostUsd => {
                    let dollars = object.pointer(at).and_then(Value::as_f64);
                    usage.cost = dollars.and_then(micros);
                    has_usage |= usage.cost.is_some();
                    continue;
                }
                Key::Input => &mut usage.input,
                Key::Output => &mut usage.output,
                Key::Cached => &mut usage.cached,
                Key::Turns => &mut usage.turns,
            };
            if let Some(number) = count(at) {
                *figure = number;
                has_usage = true;
            }
        }
        if has_usage {
            let before = seen.observed.usage.unwrap_or_default();
            seen.observed.usage = Some(match self.adds_up {
                true => before.plus(usage),
                false => total(before, usage),
            });
        }
    }

    fn matched(&self, sign: Sign, pattern: &Regex, line: &str, seen: &mut Seen) {
        let Some(found) = pattern.captures(line) else {
            return;
        };
        let group = found.get(1).map(|group| group.as_str());
        let known = &mut seen.observed;
        if let Some(reason) = sign.fault() {
            seen.stale |= reason == FailureReason::SessionLost;
            known.fault = Some(Fault {
                reason,
                message: short(line),
            });
            return;
        }
        let limited = |reason| Limited {
            reason,
            until: group.and_then(|text| until(text, self.now)),
            message: short(line),
        };
        match sign {
            Sign::Session => pin(Some(group.unwrap_or(&found[0])), seen),
            Sign::Model => known.model = Some(short(group.unwrap_or(&found[0]))),
            Sign::Progress => known.progress = Some(short(group.unwrap_or(line))),
            Sign::Declined => known.declined = Some(short(group.unwrap_or(line))),
            Sign::Limited => known.limited = Some(limited(FailureReason::UsageLimit)),
            Sign::RateLimited => known.limited = Some(limited(FailureReason::RateLimited)),
            Sign::SessionLost
            | Sign::ContextOverflow
            | Sign::SessionPoisoned
            | Sign::AuthFailed
            | Sign::InvalidModel
            | Sign::PermissionBlocked
            | Sign::ProviderUnreachable => {}
        }
    }
}

/// One line, and not too long.
fn short(text: &str) -> String {
    clip(&text.trim().replace(char::is_control, " "), MAX_MESSAGE)
}

/// What cannot be a session changes nothing.
fn pin(session: Option<&str>, seen: &mut Seen) {
    if let Some(session) = session.filter(|session| is_session(session)) {
        seen.observed.session = Some(session.to_owned());
    }
}

/// A total never becomes less: a line without one of the figures takes none
/// away.
fn total(before: Usage, now: Usage) -> Usage {
    Usage {
        input: before.input.max(now.input),
        output: before.output.max(now.output),
        cached: before.cached.max(now.cached),
        cost: before.cost.max(now.cost),
        turns: before.turns.max(now.turns),
    }
}

/// Millionths of dollars.
fn micros(dollars: f64) -> Option<u64> {
    let micros = (dollars * 1e6).round();
    #[expect(clippy::cast_possible_truncation, reason = "a whole number in range")]
    (0.0..=1e15).contains(&micros).then_some(micros as u64)
}

/// When a limit is over: seconds from now, a duration, a time since 1970, or a
/// time of the calendar.
fn until(text: &str, now: fn() -> Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    let from_now = |millis: i64| now().0.checked_add(millis.max(0)).map(Timestamp);
    if let Ok(number) = text.parse::<i64>() {
        return match number {
            ..MAX_SECONDS => from_now(number.checked_mul(1000)?),
            MAX_SECONDS..MAX_EPOCH => Some(Timestamp(number * 1000)),
            MAX_EPOCH.. => Some(Timestamp(number)),
        };
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(time.as_millisecond()));
    }
    let duration: jiff::SignedDuration = text.parse().ok()?;
    from_now(i64::try_from(duration.as_millis()).ok()?)
}

#[cfg(test)]
mod tests;
