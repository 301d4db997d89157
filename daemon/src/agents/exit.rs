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
mod tests {
    use super::*;
    use crate::{
        config::ABORT_CODE,
        task::{
            id::Timestamp,
            observed::{Claim, Fault, Limited},
        },
    };

    fn classified(run: &Run) -> Option<Verdict> {
        of(AgentType::Command, run, &Observed::default())
    }

    fn of(agent_type: AgentType, run: &Run, known: &Observed) -> Option<Verdict> {
        classify(agent_type, ABORT_CODE, &result(run, false), known)
    }

    fn result(run: &Run, lingered: bool) -> RunResult {
        RunResult {
            run: run.clone(),
            ended_at: Timestamp(0),
            left_over: 0,
            by_itself: true,
            lingered,
            observed: Box::default(),
        }
    }

    fn claim(done: bool) -> Observed {
        Observed {
            claim: Some(Claim {
                done,
                message: "words".to_owned(),
            }),
            ..Observed::default()
        }
    }

    #[test]
    fn a_success_needs_every_sign() {
        let well = exited(Status::Code(0));
        let ill = exited(Status::Code(1));
        let none = Observed::default();
        for agent_type in [AgentType::Claude, AgentType::Codex, AgentType::Gemini] {
            let of = |run: &Run, known: &Observed| of(agent_type, run, known).unwrap();
            assert_eq!(of(&well, &claim(true)).outcome, Outcome::Succeeded);
            let cut = of(&well, &none);
            assert_eq!(cut.reason, Some(FailureReason::AgentError));
            assert_eq!(cut.message, "exit code 0, without a result");
            let says_no = of(&well, &claim(false));
            assert_eq!(says_no.outcome, Outcome::Failed);
            assert_eq!(says_no.message, "words; exit code 0");
            assert_eq!(of(&ill, &claim(true)).outcome, Outcome::Failed);
        }
        // What has no last word cannot be without one.
        for agent_type in [AgentType::Command, AgentType::Opencode] {
            let of = |run: &Run, known: &Observed| of(agent_type, run, known).unwrap().outcome;
            assert_eq!(of(&well, &none), Outcome::Succeeded);
            assert_eq!(of(&well, &claim(false)), Outcome::Failed);
        }
    }

    #[test]
    fn what_it_came_over_is_no_cause() {
        let known = Observed {
            fault: Some(Fault {
                reason: FailureReason::ProviderUnreachable,
                message: "tried again".to_owned(),
            }),
            ..claim(true)
        };
        let verdict = of(AgentType::Codex, &exited(Status::Code(3)), &known).unwrap();
        assert_eq!(verdict.reason, Some(FailureReason::AgentError));
        assert_eq!(verdict.message, "exit code 3");
    }

    #[test]
    fn after_the_last_word_the_exit_says_nothing() {
        let killed = exited(Status::Signal {
            number: 9,
            core: false,
        });
        let of = |known: &Observed| {
            classify(AgentType::Claude, ABORT_CODE, &result(&killed, true), known).unwrap()
        };
        let done = of(&claim(true));
        assert_eq!((done.outcome, done.reason), (Outcome::Succeeded, None));
        let words = "did not end after its last word, and was ended (killed by signal 9 (SIGKILL))";
        assert_eq!(done.message, words);
        assert_eq!(of(&claim(false)).outcome, Outcome::Failed);
        let asked = classify(
            AgentType::Claude,
            ABORT_CODE,
            &result(&killed, false),
            &claim(true),
        );
        assert_eq!(asked.unwrap().outcome, Outcome::Failed);
    }

    #[test]
    fn codes_of_gemini_say_more() {
        let reason = |agent_type, code, known: &Observed| {
            let verdict = of(agent_type, &exited(Status::Code(code)), known);
            verdict.unwrap().reason
        };
        let words = Observed {
            fault: Some(Fault {
                reason: FailureReason::AgentError,
                message: "Error: set an Auth method".to_owned(),
            }),
            ..Observed::default()
        };
        for known in [&words, &Observed::default()] {
            let auth = Some(FailureReason::AuthFailed);
            assert_eq!(reason(AgentType::Gemini, 41, known), auth);
            let blocked = Some(FailureReason::PermissionBlocked);
            assert_eq!(reason(AgentType::Gemini, 55, known), blocked);
            let own = Some(FailureReason::AgentError);
            assert_eq!(reason(AgentType::Codex, 41, known), own);
        }
    }

    fn exited(status: Status) -> Run {
        Run::Exited {
            started_at: Timestamp(0),
            exit: Exit {
                status,
                user_cpu: 0,
                system_cpu: 0,
                peak_memory: 0,
                oom_killed: false,
            },
        }
    }

    #[test]
    fn only_a_failure_is_blamed_on_memory() {
        let after_oom = |status| {
            let mut run = exited(status);
            if let Run::Exited { exit, .. } = &mut run {
                exit.oom_killed = true;
            }
            classified(&run).unwrap()
        };
        let killed = Status::Signal {
            number: 9,
            core: false,
        };
        let verdict = after_oom(killed);
        assert_eq!(verdict.reason, Some(FailureReason::OomKilled));
        let message = "killed by signal 9 (SIGKILL), after memory ran out";
        assert_eq!(verdict.message, message);
        let verdict = after_oom(Status::Code(3));
        assert_eq!(verdict.reason, Some(FailureReason::OomKilled));
        assert_eq!(after_oom(Status::Code(0)).outcome, Outcome::Succeeded);
        assert_eq!(after_oom(Status::Code(79)).outcome, Outcome::Aborted);
    }

    #[test]
    fn what_the_agent_said_explains_its_failure() {
        let limited = Limited {
            reason: FailureReason::UsageLimit,
            until: None,
            message: "until noon".to_owned(),
        };
        let fault = Fault {
            reason: FailureReason::AuthFailed,
            message: "log in".to_owned(),
        };
        let both = Observed {
            limited: Some(limited),
            fault: Some(fault.clone()),
            ..Observed::default()
        };
        let fault = Observed {
            fault: Some(fault),
            ..Observed::default()
        };
        let declined = Observed {
            declined: Some("not mine".to_owned()),
            ..both.clone()
        };
        let end = |code, known: &Observed| {
            let run = exited(Status::Code(code));
            let verdict = of(AgentType::Command, &run, known).unwrap();
            (verdict.outcome, verdict.reason, verdict.message)
        };
        let words = |text: &str| text.to_owned();
        assert_eq!(
            end(1, &both),
            (
                Outcome::Failed,
                Some(FailureReason::UsageLimit),
                words("until noon; exit code 1")
            )
        );
        assert_eq!(end(1, &fault).1, Some(FailureReason::AuthFailed));
        assert_eq!(end(0, &both).0, Outcome::Succeeded);
        for code in [0, 1] {
            let (outcome, reason, message) = end(code, &declined);
            assert_eq!((outcome, reason), (Outcome::Aborted, None));
            assert_eq!(message, format!("declined: not mine; exit code {code}"));
        }
        let known = &declined;
        let verdict = of(AgentType::Command, &Run::NotStarted, known);
        assert_eq!(verdict, None);
    }

    #[test]
    fn every_end_has_a_meaning() {
        use FailureReason::{AgentError, AgentMissing, SpawnFailed};
        let signal = |number, core| exited(Status::Signal { number, core });
        let spawn = |missing| Run::SpawnFailed {
            message: "words".to_owned(),
            missing,
        };
        let table = [
            (
                exited(Status::Code(0)),
                Outcome::Succeeded,
                None,
                "exit code 0",
            ),
            (
                exited(Status::Code(79)),
                Outcome::Aborted,
                None,
                "exit code 79",
            ),
            (
                exited(Status::Code(3)),
                Outcome::Failed,
                Some(AgentError),
                "exit code 3",
            ),
            (
                signal(9, false),
                Outcome::Failed,
                Some(AgentError),
                "killed by signal 9 (SIGKILL)",
            ),
            (
                signal(11, true),
                Outcome::Failed,
                Some(AgentError),
                "killed by signal 11 (SIGSEGV), core dumped",
            ),
            (
                signal(40, false),
                Outcome::Failed,
                Some(AgentError),
                "killed by signal 40",
            ),
            (
                exited(Status::Code(143)),
                Outcome::Failed,
                Some(AgentError),
                "exit code 143 (SIGTERM)",
            ),
            (spawn(true), Outcome::Failed, Some(AgentMissing), "words"),
            (spawn(false), Outcome::Failed, Some(SpawnFailed), "words"),
        ];
        for (run, outcome, reason, message) in table {
            let message = message.to_owned();
            let verdict = Verdict {
                outcome,
                reason,
                message,
            };
            assert_eq!(classified(&run), Some(verdict));
        }
        assert_eq!(classified(&Run::NotStarted), None);
    }
}
