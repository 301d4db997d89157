//! What an exit means, together with what the agent said.

use nix::sys::signal::Signal;

use crate::task::{
    attempt::{Exit, Run, Status},
    observed::Observed,
    reason::{FailureReason, Outcome, Verdict},
};

/// What a run adds up to, with all that is `known` of it; `None`: the agent was
/// never started.
///
/// An agent that declines is believed, however it ends. Limits and faults that
/// it met explain a failure; they are none if it ends well, since it came over
/// them.
#[must_use]
pub fn classify(abort_code: i32, run: &Run, known: &Observed) -> Option<Verdict> {
    let mut verdict = match run {
        Run::NotStarted => return None,
        Run::SpawnFailed { message, missing } => {
            let reason = if *missing {
                FailureReason::AgentMissing
            } else {
                FailureReason::SpawnFailed
            };
            failed(reason, message.clone())
        }
        Run::Exited { exit, .. } => of_exit(abort_code, exit),
    };
    // One that went on and did its work, or declined, did not fail of it.
    if verdict.outcome == Outcome::Failed
        && matches!(run, Run::Exited { exit, .. } if exit.oom_killed)
    {
        verdict.reason = Some(FailureReason::OomKilled);
        verdict.message.push_str(", after memory ran out");
        return Some(verdict);
    }
    if let (Some(why), Run::Exited { .. }) = (&known.declined, run) {
        return Some(Verdict {
            outcome: Outcome::Aborted,
            reason: None,
            message: format!("declined: {why}; {}", verdict.message),
        });
    }
    if verdict.reason == Some(FailureReason::AgentError)
        && let Some((reason, words)) = cause(known)
    {
        verdict.reason = Some(reason);
        verdict.message = format!("{words}; {}", verdict.message);
    }
    Some(verdict)
}

/// What an agent said of why it fails. A limit passes by itself and explains
/// most else.
fn cause(known: &Observed) -> Option<(FailureReason, &str)> {
    let limited = known.limited.as_ref();
    let fault = known.fault.as_ref();
    limited
        .map(|limited| (limited.reason, limited.message.as_str()))
        .or_else(|| fault.map(|fault| (fault.reason, fault.message.as_str())))
}

fn of_exit(abort_code: i32, exit: &Exit) -> Verdict {
    match exit.status {
        Status::Code(code) => {
            let message = format!("exit code {code}");
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
            observed::{Fault, Limited},
        },
    };

    fn classified(run: &Run) -> Option<Verdict> {
        classify(ABORT_CODE, run, &Observed::default())
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
        let of = |code, known: &Observed| {
            let run = exited(Status::Code(code));
            let verdict = classify(ABORT_CODE, &run, known).unwrap();
            (verdict.outcome, verdict.reason, verdict.message)
        };
        let words = |text: &str| text.to_owned();
        assert_eq!(
            of(1, &both),
            (
                Outcome::Failed,
                Some(FailureReason::UsageLimit),
                words("until noon; exit code 1")
            )
        );
        assert_eq!(of(1, &fault).1, Some(FailureReason::AuthFailed));
        assert_eq!(of(0, &both).0, Outcome::Succeeded);
        for code in [0, 1] {
            let (outcome, reason, message) = of(code, &declined);
            assert_eq!((outcome, reason), (Outcome::Aborted, None));
            assert_eq!(message, format!("declined: not mine; exit code {code}"));
        }
        let known = &declined;
        assert_eq!(classify(ABORT_CODE, &Run::NotStarted, known), None);
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
