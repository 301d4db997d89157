//! What an exit means.

use nix::sys::signal::Signal;

use crate::task::{
    attempt::{Exit, Run, Status},
    reason::{FailureReason, Outcome, Verdict},
};

/// What a run adds up to; `None`: the agent was never started.
#[must_use]
pub fn classify(abort_code: i32, run: &Run) -> Option<Verdict> {
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
    }
    Some(verdict)
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
    use crate::{config::ABORT_CODE, task::id::Timestamp};

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
            classify(ABORT_CODE, &run).unwrap()
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
            assert_eq!(classify(ABORT_CODE, &run), Some(verdict));
        }
        assert_eq!(classify(ABORT_CODE, &Run::NotStarted), None);
    }
}
