//! What an exit means, together with what the agent said.

use nix::sys::signal::Signal;

use crate::task::{
    attempt::{Exit, Run, RunResult, Status},
    observed::Observed,
    reason::{FailureReason, Outcome, Verdict},
    spec::AgentType,
};

/// What a run adds up to, with all that is `known` of it; `None`: the agent was
/// never started.
///
/// An agent that declines is believed, however it ends. One that says of itself
/// how it went has succeeded only if its exit and its last word both say so, and
/// one whose type has a last word and that ended without it was cut off. Limits
/// and faults that it met explain a failure; they are none if it came over them.
#[must_use]
pub fn classify(
    agent_type: AgentType,
    abort_code: i32,
    result: &RunResult,
    known: &Observed,
) -> Option<Verdict> {
    let (mut verdict, oom_killed) = match &result.run {
        Run::NotStarted => return None,
        Run::SpawnFailed { message, missing } => {
            let reason = if *missing {
                FailureReason::AgentMissing
            } else {
                FailureReason::SpawnFailed
            };
            return Some(failed(reason, message.clone()));
        }
        Run::SetupFailed { message } => {
            return Some(failed(FailureReason::WorkspaceFailed, message.clone()));
        }
        Run::Exited { exit, .. } => {
            let verdict = match result.lingered {
                true => lingered(exit),
                false => of_exit(abort_code, exit),
            };
            (verdict, exit.oom_killed)
        }
    };
    if verdict.outcome == Outcome::Succeeded {
        verdict = by_its_word(agent_type, verdict, known);
    }
    // One that went on and did its work, or declined, did not fail of it.
    if verdict.outcome == Outcome::Failed && oom_killed {
        verdict.reason = Some(FailureReason::OomKilled);
        verdict.message.push_str(", after memory ran out");
        return Some(verdict);
    }
    if let Some(why) = &known.declined {
        return Some(Verdict {
            outcome: Outcome::Aborted,
            reason: None,
            message: format!("declined: {why}; {}", verdict.message),
        });
    }
    if verdict.reason == Some(FailureReason::AgentError)
        && let Some((reason, words)) = cause(agent_type, &result.run, known)
    {
        verdict.reason = Some(reason);
        if !verdict.message.starts_with(words) {
            verdict.message = format!("{words}; {}", verdict.message);
        }
    }
    Some(verdict)
}

/// It had said its last word and was ended: only that word counts.
fn lingered(exit: &Exit) -> Verdict {
    let how = of_exit(0, exit).message;
    Verdict {
        outcome: Outcome::Succeeded,
        reason: None,
        message: format!("did not end after its last word, and was ended ({how})"),
    }
}

/// What is left of an exit that looks well.
fn by_its_word(agent_type: AgentType, verdict: Verdict, known: &Observed) -> Verdict {
    match &known.claim {
        Some(claim) if claim.done => verdict,
        Some(claim) => {
            let says = match claim.message.as_str() {
                "" => "it says that it failed",
                words => words,
            };
            failed(
                FailureReason::AgentError,
                format!("{says}; {}", verdict.message),
            )
        }
        None if has_last_word(agent_type) => failed(
            FailureReason::AgentError,
            format!("{}, without a result", verdict.message),
        ),
        None => verdict,
    }
}

/// Whether agents of this type end what they print with a result.
fn has_last_word(agent_type: AgentType) -> bool {
    match agent_type {
        AgentType::Claude | AgentType::Codex | AgentType::Gemini => true,
        AgentType::Command | AgentType::Opencode => false,
    }
}

/// What an agent said of why it fails. A limit passes by itself and explains
/// most else.
fn cause<'a>(
    agent_type: AgentType,
    run: &Run,
    known: &'a Observed,
) -> Option<(FailureReason, &'a str)> {
    // Whatever it met, it says that it did its work.
    if known.claim.as_ref().is_some_and(|claim| claim.done) {
        return None;
    }
    let limited = known.limited.as_ref();
    let fault = known.fault.as_ref();
    let by_code = of_code(agent_type, run);
    limited
        .map(|limited| (limited.reason, limited.message.as_str()))
        .or_else(|| match (fault, by_code) {
            (Some(fault), Some((reason, _))) if fault.reason == FailureReason::AgentError => {
                Some((reason, fault.message.as_str()))
            }
            (Some(fault), _) => Some((fault.reason, fault.message.as_str())),
            (None, by_code) => by_code,
        })
}

/// Codes of Gemini CLI that say more than its words.
fn of_code(agent_type: AgentType, run: &Run) -> Option<(FailureReason, &'static str)> {
    let Run::Exited { exit, .. } = run else {
        return None;
    };
    if agent_type != AgentType::Gemini {
        return None;
    }
    let (reason, words) = match exit.status {
        Status::Code(41) => (FailureReason::AuthFailed, "it is not logged in"),
        Status::Code(55) => (
            FailureReason::PermissionBlocked,
            "it does not trust the directory",
        ),
        Status::Code(_) | Status::Signal { .. } => return None,
    };
    Some((reason, words))
}

fn of_exit(abort_code: i32, exit: &Exit) -> Verdict {
    match exit.status {
        Status::Code(code) => {
            let message = match by_signal(code) {
                Some(signal) => format!("exit code {code} ({signal})"),
                None => format!("exit code {code}"),
            };
            let outcome = match code {
                0 => Outcome::Succeeded,
                code if code == abort_code => Outcome::Aborted,
                _ => return failed(FailureReason::AgentError, message),
            };
            Verdict {
                outcome,
                reason: None,
                message,
            }
        }
        Status::Signal { number, core } => {
            let core = if core { ", core dumped" } else { "" };
            // Realtime signals have numbers only.
            let name = Signal::try_from(number).map(|signal| format!(" ({signal})"));
            let name = name.unwrap_or_default();
            let message = format!("killed by signal {number}{name}{core}");
            failed(FailureReason::AgentError, message)
        }
    }
}

/// The signal that a code stands for, by an old custom of shells.
fn by_signal(code: i32) -> Option<Signal> {
    const USUAL: [Signal; 4] = [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGKILL,
        Signal::SIGTERM,
    ];
    let number = code.checked_sub(128)?;
    USUAL.into_iter().find(|signal| *signal as i32 == number)
}

fn failed(reason: FailureReason, message: String) -> Verdict {
    Verdict {
        outcome: Outcome::Failed,
        reason: Some(reason),
        message,
    }
}

#[cfg(test)]
mod tests;
