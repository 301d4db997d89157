//! What is known of an agent's run, by its runner or by itself.

use agentd_proto::v1;

use super::Failure;
use crate::task::{
    id::Timestamp,
    observed::{Claim, Fault, Limited, Observed, is_session},
    reason::{Class, FailureReason},
    usage::Usage,
};

pub(in crate::rpc) fn observed(observed: v1::Observed) -> Result<Observed, Failure> {
    let text = |text: String| (!text.is_empty()).then_some(text);
    let session = text(observed.session);
    if session.as_ref().is_some_and(|id| !is_session(id)) {
        return Err(Failure::field(
            "session",
            "the id of a session has 1 to 200 letters, digits or -_.:@+=, and begins with neither - nor .",
        ));
    }
    let said = Observed {
        session,
        session_gone: text(observed.session_gone),
        usage: observed.usage.as_ref().map(usage),
        model: text(observed.model),
        progress: text(observed.progress),
        limited: observed.limited.map(limited).transpose()?,
        fault: observed.fault.map(fault).transpose()?,
        declined: text(observed.declined),
        claim: observed.claim.map(|claim| Claim {
            done: claim.done,
            message: claim.message,
        }),
    };
    Ok(said.bounded())
}

pub(in crate::rpc) fn usage(usage: &v1::Usage) -> Usage {
    Usage {
        input: usage.input,
        output: usage.output,
        cached: usage.cached,
        cost: usage.cost,
        turns: usage.turns,
    }
}

fn limited(limited: v1::Limited) -> Result<Limited, Failure> {
    let reason = reason("limited.reason", &limited.reason)?;
    if reason.class() != Class::Quota {
        let message = format!("{reason} is no limit of an account");
        return Err(Failure::field("limited.reason", message));
    }
    Ok(Limited {
        reason,
        until: (limited.until != 0).then_some(Timestamp(limited.until)),
        message: limited.message,
    })
}

fn fault(fault: v1::Fault) -> Result<Fault, Failure> {
    Ok(Fault {
        reason: reason("fault.reason", &fault.reason)?,
        message: fault.message,
    })
}

fn reason(field: &'static str, word: &str) -> Result<FailureReason, Failure> {
    FailureReason::of_word(word)
        .ok_or_else(|| Failure::field(field, format!("no failure reason {word:?}")))
}
