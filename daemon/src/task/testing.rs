//! Tasks and events for tests.

use super::{
    attempt::{Exit, ProcessIdentity, Run, RunResult, Status, Workspace},
    budget::Spend,
    event::{AttemptRef, Event, Stage, Teller},
    id::{AttemptId, Incarnation, Nonce, TaskId, Timestamp},
    limits::Limits,
    moment::Moment,
    observed::Observed,
    reason::{FailureReason, Outcome, Verdict},
    retry::Policy,
    session::Given,
    spec::{AgentType, TaskSpec, Trigger, WorkspaceMode, WorkspaceReuse},
    state::Task,
    transition::{Context, Decision, decide},
};

pub(crate) const NONCE: Nonce = Nonce([1; 16]);

pub(crate) fn id(number: u64) -> TaskId {
    TaskId::new(number).expect("tests count from 1")
}

pub(crate) fn spec(agent: &str) -> TaskSpec {
    TaskSpec {
        trigger: Trigger::Manual,
        rerun_of: None,
        lineage: None,
        request_id: None,
        agent: agent.to_owned(),
        agent_type: AgentType::Command,
        model: None,
        title: "a task".to_owned(),
        repo: None,
        issue: None,
        user: "ann".to_owned(),
        labels: [].into(),
        priority: 0,
        limits: Limits::default(),
        retry: Policy::default(),
        forgiven: Spend::default(),
        workspace_mode: WorkspaceMode::None,
        fresh: false,
        workspace_reuse: WorkspaceReuse::Keep,
        not_before: None,
        after: Vec::new(),
        created_at: Timestamp(1_000),
        created_steady: None,
    }
}

pub(crate) fn task(number: u64) -> Task {
    Task::submitted(id(number), spec("shell"))
}

/// A task of this number with an attempt of that number under way.
pub(crate) fn claimed(number: u64, attempt: u32) -> Task {
    let mut task = task(number);
    task.attempts = attempt - 1;
    let context = Context {
        now: Moment::of_wall(Timestamp(1_500)),
        random: 0,
    };
    match decide(&task, &claim(NONCE), context) {
        Decision::Apply(change) => change.next,
        Decision::Repeat(_) | Decision::Ignore(_) => unreachable!("a queued task can be claimed"),
    }
}

pub(crate) fn claim(nonce: Nonce) -> Event {
    claim_after(nonce, Spend::default())
}

pub(crate) fn claim_after(nonce: Nonce, spent: Spend) -> Event {
    Event::Claim {
        nonce,
        epoch: Incarnation(1),
        boot_id: "boot".to_owned(),
        account: "shell".to_owned(),
        spent,
        given: Given::default(),
    }
}

pub(crate) fn named(task: u64, number: u32, nonce: Nonce) -> AttemptRef {
    AttemptRef {
        id: AttemptId {
            task: id(task),
            number,
        },
        nonce,
    }
}

pub(crate) fn process(pid: u32) -> ProcessIdentity {
    ProcessIdentity {
        pid,
        start_ticks: 5,
        boot_id: "boot".to_owned(),
    }
}

pub(crate) fn registered(attempt: AttemptRef, stage: Stage) -> Event {
    Event::Registered {
        attempt,
        runner: process(7),
        stage,
        adopted: false,
    }
}

pub(crate) fn running() -> Stage {
    Stage::Running {
        agent: process(8),
        at: Moment::of_wall(Timestamp(2_000)),
    }
}

pub(crate) fn started(attempt: AttemptRef) -> Event {
    Event::Started {
        attempt,
        agent: process(8),
        at: Moment::of_wall(Timestamp(2_000)),
    }
}

pub(crate) fn exited(attempt: AttemptRef, code: i32) -> Event {
    let verdict = Verdict {
        outcome: if code == 0 {
            Outcome::Succeeded
        } else {
            Outcome::Failed
        },
        reason: (code != 0).then_some(FailureReason::AgentError),
        message: format!("exit code {code}"),
    };
    Event::Exited {
        attempt,
        result: RunResult {
            run: Run::Exited {
                started_at: Timestamp(2_000),
                exit: Exit {
                    status: Status::Code(code),
                    user_cpu: 1,
                    system_cpu: 2,
                    peak_memory: 3,
                    oom_killed: false,
                },
            },
            ended_at: Timestamp(3_000),
            left_over: 0,
            by_itself: false,
            lingered: false,
            observed: Box::default(),
        },
        verdict: Some(verdict),
    }
}

pub(crate) fn exited_because(attempt: AttemptRef, reason: FailureReason) -> Event {
    let mut event = exited(attempt, 1);
    if let Event::Exited {
        verdict: Some(verdict),
        ..
    } = &mut event
    {
        verdict.reason = Some(reason);
    }
    event
}

/// The agent names its session.
pub(crate) fn says(attempt: AttemptRef, session: &str) -> Event {
    let observed = Observed {
        session: Some(session.to_owned()),
        ..Observed::default()
    };
    Event::Observed {
        attempt,
        observed: Box::new(observed),
        by: Teller::Runner,
    }
}

pub(crate) fn cancel(forced: bool) -> Event {
    Event::Cancel {
        by: "ann".to_owned(),
        forced,
        superseded_by: None,
    }
}

pub(crate) fn workspace() -> Workspace {
    Workspace::at("/w".into(), Some("agent/7".to_owned()))
}
