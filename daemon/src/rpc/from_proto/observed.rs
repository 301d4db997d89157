//! What is known of an agent's run, by its runner or by itself.

use agentd_proto::v1;

use super::{Failure, task_id};
use crate::{
    dispatcher::{Statement, StatementError},
    task::{
        id::{AttemptId, Timestamp},
        observed::{Claim, FAULTS, Fault, Limited, Observed, is_session},
        reason::{Class, FailureReason},
        usage::Usage,
    },
};

/// What an agent says of itself.
pub(in crate::rpc) fn statement(request: v1::ReportRequest) -> Result<Statement, Failure> {
    if request.attempt == 0 {
        return Err(Failure::field("attempt", "0 is no attempt's number"));
    }
    let attempt = AttemptId {
        task: task_id(request.task)?,
        number: request.attempt,
    };
    // One that is none is a wrong one: more need not be known about it.
    let token = request.token.parse();
    let token = token.map_err(|_| Failure::from(StatementError::Token(attempt)))?;
    let observed = observed(request.observed.unwrap_or_default())?;
    if let Some(fault) = &observed.fault
        && !FAULTS.contains(&fault.reason)
    {
        let known: Vec<&str> = FAULTS.iter().map(|reason| reason.as_str()).collect();
        let message = format!(
            "an agent cannot say {}: expected {}",
            fault.reason,
            known.join(", ")
        );
        return Err(Failure::field("fault.reason", message));
    }
    Ok(Statement {
        attempt,
        token,
        observed: Observed {
            // That is the runner's to say.
            session_gone: None,
            ..observed
        },
    })
}

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
