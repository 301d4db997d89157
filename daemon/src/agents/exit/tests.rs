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
