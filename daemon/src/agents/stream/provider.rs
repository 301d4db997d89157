//! What a provider's refusal means.
//!
//! By the status that it answered with, and by its words: not every agent says
//! the status, and one status has many meanings.

use super::{Seen, reset};
use crate::task::{
    id::Timestamp,
    limits::{MAX_MESSAGE, clip},
    observed::{Fault, Limited},
    reason::{Class, FailureReason},
};

/// What is known of an answer that was none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refusal<'a> {
    /// The status of HTTP, if the agent says it.
    pub(super) status: Option<u64>,
    /// The provider's or the agent's word for the kind of it.
    pub(super) kind: &'a str,
    /// For a person.
    pub(super) message: &'a str,
    /// Seconds until it may be asked again, as it says.
    pub(super) retry_after: Option<u64>,
    /// When it may be asked again, as it says; seconds since 1970.
    pub(super) resets_at: Option<u64>,
    /// There was a conversation that it could refuse: without one it is the
    /// request that is wrong.
    pub(super) conversation: bool,
}

/// Words of the same meaning, in lower case.
const USED_UP: &[&str] = &[
    "usage limit",
    "usage_limit",
    "hit your limit",
    "hour limit",
    "weekly limit",
    "session limit",
    "quota exceeded",
    "exceeded your current quota",
    "insufficient_quota",
    "billing",
    "credit balance",
    "out of credits",
];
const TOO_MANY: &[&str] = &[
    "rate limit",
    "rate_limit",
    "too many requests",
    "resource_exhausted",
    "quota increase",
];
const TOO_LONG: &[&str] = &[
    "prompt is too long",
    "prompt_too_long",
    "context window",
    "context length",
    "context_length",
    "contextoverflow",
    "maximum context",
    "input token count",
    "too many tokens",
    "request too large",
    "request_too_large",
];
const NOT_LOGGED_IN: &[&str] = &[
    "not logged in",
    "/login",
    "authentication",
    "unauthenticated",
    "unauthorized",
    "invalid api key",
    "invalid x-api-key",
    "api key not valid",
    "api_key_invalid",
    "oauth token",
    "auth method",
    "permission_denied",
    "permission_error",
    "forbidden",
    "providerautherror",
];
const NO_MODEL: &[&str] = &[
    "model_not_found",
    "model: ",
    "issue with the selected model",
    "model does not exist",
    "does not exist or you do not have access",
    "no such model",
    "model is not supported",
    "is not found for api version",
    "modelnotfound",
    "invalid model",
    "unrecognized_model",
];
const UNREACHABLE: &[&str] = &[
    "overloaded",
    "unavailable",
    "connection",
    "cannot connect",
    "unable to connect",
    "econnre",
    "enotfound",
    "etimedout",
    "timed out",
    "timeout",
    "network",
    "stream disconnected",
    "error sending request",
    "fetch failed",
    "high demand",
    "at capacity",
    "internal server error",
    "server_error",
    "internal error",
    "without a finish reason",
    "terminated",
    "socket hang up",
];

/// Notes why the agent cannot go on.
pub(super) fn refused(refusal: Refusal<'_>, now: Timestamp, seen: &mut Seen) {
    let reason = reason(&refusal);
    let message = line(refusal.message);
    if reason.class() == Class::Quota {
        let millis = refusal
            .retry_after
            .map(|seconds| seconds.saturating_mul(1000));
        let after = millis.map(|millis| now.plus_millis(millis));
        let reset = || reset::at_second(refusal.resets_at?, now);
        seen.observed.limited = Some(Limited {
            reason,
            until: after
                .or_else(reset)
                .or_else(|| reset::until(refusal.message, now)),
            message,
        });
    } else {
        seen.observed.fault = Some(Fault { reason, message });
    }
}

fn reason(refusal: &Refusal<'_>) -> FailureReason {
    let text = format!("{} {}", refusal.kind, refusal.message).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match refusal.status {
        // "Tokens per minute" is a matter of time, not of length.
        Some(429) if says(USED_UP) => return FailureReason::UsageLimit,
        Some(429) => return FailureReason::RateLimited,
        Some(402) => return FailureReason::UsageLimit,
        Some(413) => return FailureReason::ContextOverflow,
        Some(408 | 500..=599) => return FailureReason::ProviderUnreachable,
        Some(_) | None => {}
    }
    if says(TOO_LONG) {
        return FailureReason::ContextOverflow;
    }
    if says(USED_UP) {
        return FailureReason::UsageLimit;
    }
    match refusal.status {
        Some(401 | 403) => return FailureReason::AuthFailed,
        Some(404) => return FailureReason::InvalidModel,
        Some(_) | None => {}
    }
    if says(TOO_MANY) {
        return FailureReason::RateLimited;
    }
    if says(NOT_LOGGED_IN) {
        return FailureReason::AuthFailed;
    }
    if says(NO_MODEL) {
        return FailureReason::InvalidModel;
    }
    match refusal.status {
        Some(400 | 422) if refusal.conversation => FailureReason::SessionPoisoned,
        None if says(UNREACHABLE) => FailureReason::ProviderUnreachable,
        Some(_) | None => FailureReason::AgentError,
    }
}

/// One line of a text, in bounds.
pub(super) fn line(text: &str) -> String {
    let words = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut joined = String::new();
    for words in words {
        if joined.len() > MAX_MESSAGE {
            break;
        }
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(words);
    }
    clip(&joined.replace(char::is_control, " "), MAX_MESSAGE)
}

/// The last line of a text that says something, in bounds: what an agent does
/// now.
pub(super) fn last_line(text: &str) -> Option<String> {
    /// Longer ones are no line for a person to glance at, bytes.
    const MAX: usize = 400;
    let mut lines = text.lines().rev().map(str::trim);
    let line = lines.find(|line| !line.is_empty())?;
    Some(clip(&line.replace(char::is_control, " "), MAX))
}

/// The number that stands behind one of these words: `status 429`,
/// `"code":429`.
pub(super) fn status_in(text: &str) -> Option<u64> {
    let numbers = [
        "status ",
        "status: ",
        "status\":",
        "code: ",
        "code\":",
        "API Error: ",
    ];
    numbers.iter().find_map(|word| {
        let (_, rest) = text.split_once(word)?;
        let rest = rest.trim_start();
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let status = rest[..digits].parse().ok()?;
        (400..600).contains(&status).then_some(status)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_alone_does_not_tell() {
        use FailureReason::*;
        for (status, kind, message, conversation, expected) in [
            (
                Some(429),
                "",
                "12000 input tokens per minute",
                false,
                RateLimited,
            ),
            (
                Some(429),
                "",
                "The usage limit has been reached",
                false,
                UsageLimit,
            ),
            // OpenAI's words for too many at once.
            (
                Some(429),
                "",
                "Rate limit reached for m in organization o",
                false,
                RateLimited,
            ),
            (
                Some(429),
                "rate_limit",
                "You've hit your 5-hour limit · resets 3pm (UTC)",
                false,
                UsageLimit,
            ),
            (
                None,
                "",
                "The model `m` does not exist or you do not have access to it.",
                true,
                InvalidModel,
            ),
            (
                None,
                "",
                "Selected model is at capacity. Please try a different model.",
                false,
                ProviderUnreachable,
            ),
            (
                Some(400),
                "billing_error",
                "Credit balance is too low",
                false,
                UsageLimit,
            ),
            (
                Some(400),
                "invalid_request",
                "Prompt is too long",
                true,
                ContextOverflow,
            ),
            (
                Some(400),
                "",
                "tool_use ids must be unique",
                true,
                SessionPoisoned,
            ),
            (
                Some(400),
                "",
                "tool_use ids must be unique",
                false,
                AgentError,
            ),
            (Some(401), "", "no", false, AuthFailed),
            (Some(403), "", "no", false, AuthFailed),
            (Some(404), "", "no", false, InvalidModel),
            (Some(413), "", "no", false, ContextOverflow),
            (Some(529), "", "context window", false, ProviderUnreachable),
            (
                None,
                "",
                "Not logged in · Please run /login",
                false,
                AuthFailed,
            ),
            (None, "", "fetch failed", false, ProviderUnreachable),
            (
                None,
                "APIError",
                "Cannot connect to API: Unable to connect. Is the computer able to access the url?",
                true,
                ProviderUnreachable,
            ),
            (None, "", "it fell over", true, AgentError),
        ] {
            let refusal = Refusal {
                status,
                kind,
                message,
                conversation,
                ..Refusal::default()
            };
            assert_eq!(reason(&refusal), expected, "{refusal:?}");
        }
    }

    #[test]
    fn what_it_says_of_time_comes_first() {
        let mut seen = Seen::default();
        let refusal = Refusal {
            status: Some(429),
            message: "try again in 2 hours",
            retry_after: Some(3),
            ..Refusal::default()
        };
        refused(refusal, Timestamp(1000), &mut seen);
        let until = |seen: &Seen| seen.observed.limited.as_ref().and_then(|l| l.until);
        assert_eq!(until(&seen), Some(Timestamp(4000)));
        let no_header = Refusal {
            retry_after: None,
            ..refusal
        };
        refused(no_header, Timestamp(1000), &mut seen);
        assert_eq!(until(&seen), Some(Timestamp(7_201_000)));
        let to_the_second = Refusal {
            resets_at: Some(9),
            ..no_header
        };
        refused(to_the_second, Timestamp(1000), &mut seen);
        assert_eq!(until(&seen), Some(Timestamp(9000)));
        // One that has passed is none.
        refused(to_the_second, Timestamp(9000), &mut seen);
        assert_eq!(until(&seen), Some(Timestamp(7_209_000)));
    }

    #[test]
    fn texts_become_lines() {
        assert_eq!(line(" a\n\n b\u{7}c \r\n"), "a b c");
        assert_eq!(line(&"x\n".repeat(1_000_000)).len() / 1000, 4);
        assert_eq!(last_line("a\n b \n\n").as_deref(), Some("b"));
        assert_eq!(last_line(" \n"), None);
        assert_eq!(status_in("unexpected status 401 Unauthorized"), Some(401));
        assert_eq!(status_in(r#"{"error":{"code":503,"#), Some(503));
        assert_eq!(status_in("exit code: 7, status ok"), None);
    }
}
