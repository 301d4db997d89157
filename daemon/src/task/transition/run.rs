//! What a runner tells of its attempt: that it is there, that the agent has
//! started, that it has ended.
//!
//! While a repository is set up, the task is running and its attempt has no agent
//! yet: so the time for the start is over, and no time of the agent's counts.

use super::{
    Context, Decision, Ignored, apply,
    end::{AttemptEnd, end},
    failed, reference,
    stop::stop,
    with_attempt,
};
use crate::task::{
    attempt::{Attempt, Ending, Phase, ProcessIdentity, Run, RunResult},
    effect::Effect,
    event::{AttemptRef, Stage, What},
    moment::Moment,
    observed::Observed,
    reason::{FailureReason, Outcome, Verdict},
    state::{Hold, State, Task},
};

pub(super) fn registered(
    task: &Task,
    attempt: AttemptRef,
    runner: &ProcessIdentity,
    stage: &Stage,
    adopted: bool,
) -> Decision {
    let live = task.attempt.as_ref();
    let known = live.and_then(|a| a.runner.as_ref());
    if known.is_some_and(|k| k != runner) {
        // The lock allows one runner an attempt: this is not it.
        return Decision::Ignore(Ignored::Stale);
    }
    let was_running = live.is_some_and(|a| a.phase == Phase::Running);
    let answer = match (&task.state, stage) {
        (State::Stopping { reason, forced }, _) => stop(task, *reason, *forced),
        (_, Stage::Running { .. }) => Effect::CarryOn(attempt),
        // It was overtaken by its own start: the runner registered twice before
        // it was told to go, and this is the first time, which comes last.
        (State::Running, Stage::Waiting) => return Decision::Repeat(Effect::CarryOn(attempt)),
        (_, Stage::SettingUp { .. }) => Effect::CarryOn(attempt),
        (_, Stage::Waiting) => Effect::Go(attempt),
    };
    let newly_running = matches!(stage, Stage::Running { .. }) && !was_running;
    let another = match stage {
        Stage::Running { agent, .. } => live.is_some_and(|a| follows(a, agent)),
        Stage::Waiting | Stage::SettingUp { .. } => false,
    };
    let sets_up = matches!(stage, Stage::SettingUp { .. }) && task.state == State::Starting;
    if known.is_some() && !newly_running && !adopted && !another && !sets_up {
        return Decision::Repeat(answer);
    }
    let mut next = with_attempt(task, |a| {
        a.runner = Some(runner.clone());
        match stage {
            Stage::Running { agent, at } if newly_running => {
                a.phase = Phase::Running;
                a.agent = Some(agent.clone());
                a.started_at = Some(*at);
                a.observed.progress = None;
            }
            Stage::Running { agent, .. } if another => a.agent = Some(agent.clone()),
            Stage::SettingUp { command } if sets_up => set_up(a, command),
            Stage::Waiting if a.phase == Phase::Claimed => a.phase = Phase::Registered,
            Stage::Waiting | Stage::SettingUp { .. } | Stage::Running { .. } => {}
        }
    });
    next.started |= newly_running || sets_up;
    if (newly_running || sets_up) && next.state == State::Starting {
        next.state = State::Running;
    }
    let what = match (adopted, newly_running || another, sets_up) {
        (true, _, _) => What::Adopted,
        (false, true, _) => What::Started,
        (false, false, true) => What::SettingUp,
        (false, false, false) => What::Registered,
    };
    let why = match stage {
        Stage::SettingUp { command } if what == What::SettingUp => command.clone(),
        Stage::Waiting | Stage::SettingUp { .. } | Stage::Running { .. } => {
            format!("runner pid {}", runner.pid)
        }
    };
    apply(next, what, why, Some(answer))
}

/// What the attempt does until its agent is there.
fn set_up(attempt: &mut Attempt, command: &str) {
    attempt.phase = Phase::Registered;
    let progress = Observed {
        progress: Some(format!("setup: {command}")),
        ..Observed::default()
    };
    attempt.observed.take(progress.bounded());
}

/// The repository is being set up: the time for the start is over.
pub(super) fn setting_up(task: &Task, command: &str) -> Decision {
    let live = task.live_attempt();
    let waits = live.is_some_and(|a| a.phase == Phase::Registered);
    if task.state != State::Starting || !waits {
        return Decision::Ignore(Ignored::NotNow);
    }
    let mut next = with_attempt(task, |a| set_up(a, command));
    next.started = true;
    next.state = State::Running;
    apply(next, What::SettingUp, command.to_owned(), None)
}

/// Whether this agent was started after the one that is known, in the same
/// attempt: without the session that the first one did not know. Old messages
/// may still speak of the first.
fn follows(attempt: &Attempt, agent: &ProcessIdentity) -> bool {
    attempt.phase == Phase::Running
        && attempt.agent.as_ref().is_some_and(|known| {
            known != agent
                && known.boot_id == agent.boot_id
                && known.start_ticks <= agent.start_ticks
        })
}

pub(super) fn started(task: &Task, agent: &ProcessIdentity, at: Moment) -> Decision {
    let why = format!("agent pid {}", agent.pid);
    let live = task.attempt.as_ref();
    if live.is_some_and(|a| follows(a, agent)) {
        // Its time counts from the first start on.
        let next = with_attempt(task, |a| a.agent = Some(agent.clone()));
        return apply(next, What::Started, why, None);
    }
    if live.is_some_and(|a| a.phase != Phase::Registered) {
        return Decision::Ignore(Ignored::NotNow);
    }
    let mut next = with_attempt(task, |a| {
        a.phase = Phase::Running;
        a.agent = Some(agent.clone());
        a.started_at = Some(at);
        // Of what came before it.
        a.observed.progress = None;
    });
    next.started = true;
    if next.state == State::Starting {
        next.state = State::Running;
    }
    apply(next, What::Started, why, None)
}

pub(super) fn exited(
    task: &Task,
    context: Context,
    result: &RunResult,
    verdict: Option<&Verdict>,
) -> Decision {
    let verdict = verdict.cloned().unwrap_or_else(|| {
        failed(
            FailureReason::SpawnFailed,
            "the runner did not start the agent",
        )
    });
    let (started_at, exit) = match result.run {
        Run::Exited { started_at, exit } => (Some(started_at), Some(exit)),
        Run::NotStarted | Run::SpawnFailed { .. } | Run::SetupFailed { .. } => (None, None),
    };
    let mut verdict = verdict;
    if result.left_over > 0 {
        verdict.message = format!(
            "{}; {} processes could not be ended",
            verdict.message, result.left_over
        );
    }
    end(
        task,
        context,
        AttemptEnd {
            verdict,
            started_at,
            exit,
            observed: Some((*result.observed).clone()),
            at: result.ended_at,
            by_itself: result.by_itself,
        },
    )
}

pub(super) fn never_started(task: &Task, context: Context) -> Decision {
    if let State::Stopping { .. } = task.state {
        let verdict = failed(FailureReason::SpawnFailed, "it was never started");
        return end(
            task,
            context,
            AttemptEnd::without_run(verdict, context.now.wall),
        );
    }
    let mut next = with_attempt(task, |a| {
        a.phase = Phase::Ended;
        a.ending = Some(Ending {
            outcome: Outcome::Interrupted,
            reason: Some(FailureReason::SpawnFailed),
            message: "the daemon died before the runner was started".to_owned(),
            at: context.now.wall,
        });
    });
    next.state = State::Queued(Hold::None);
    next.spent = next.spent.saturating_sub(1);
    let effect = task.live_attempt().map(|a| Effect::Conclude(reference(a)));
    let why = "the daemon died before the runner was started".to_owned();
    apply(next, What::Retry, why, effect)
}
