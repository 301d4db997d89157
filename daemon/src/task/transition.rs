//! `decide`: the only function that says how a task changes.
//!
//! It is total, deterministic and pure: no I/O, no clock, no randomness of its
//! own. The caller makes the next state durable, then carries out the effects.

mod end;
mod observe;
mod stop;
mod wait;

use self::{
    end::{AttemptEnd, end},
    observe::observed,
    stop::{cancel, deadline, nothing_left, queue_expired, stop},
    wait::{dependency_ended, hold, release},
};
use super::{
    attempt::{Attempt, Ending, Phase, ProcessIdentity, Run, RunResult, Workspace},
    effect::Effect,
    event::{AttemptRef, Event, Stage, What},
    id::AttemptId,
    limits::{MAX_MESSAGE, clip},
    moment::Moment,
    observed::Observed,
    reason::{FailureReason, Outcome, Verdict},
    session::Given,
    state::{Hold, State, Task},
};

/// What a decision may depend on besides the task and the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The time now.
    pub now: Moment,
    /// Any number; spreads retries.
    pub random: u64,
}

/// What is to become of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// It changes.
    Apply(Box<Change>),
    /// It stays as it is, and these acts, asked for before, are due again.
    Repeat(Effect),
    /// It stays as it is.
    Ignore(Ignored),
}

/// A change of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The task after it. Its revision is set by the store.
    pub next: Task,
    /// For the journal.
    pub what: What,
    /// For the journal: why; may be empty.
    pub why: String,
    /// What to do once it is durable.
    pub effect: Option<Effect>,
}

/// Why an event changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The task has ended.
    Final,
    /// It speaks of another attempt, or with another secret.
    Stale,
    /// It is known already, or does not fit the state.
    NotNow,
    /// So much was said of the attempt that this is not kept.
    Enough,
}

/// Decides what `event` makes of `task`.
pub fn decide(task: &Task, event: &Event, context: Context) -> Decision {
    if !task.state.is_active() {
        return Decision::Ignore(Ignored::Final);
    }
    if let Some(named) = attempt_of(event)
        && task.live_attempt().map(reference) != Some(named)
    {
        return Decision::Ignore(Ignored::Stale);
    }
    match event {
        Event::Claim {
            nonce,
            epoch,
            boot_id,
            account,
            spent,
            given,
        } => {
            let held = matches!(task.state, State::Queued(Hold::Held { .. }));
            if task.state.is_occupied() || held || !task.waits_for.is_empty() {
                return Decision::Ignore(Ignored::NotNow);
            }
            let before = spent.minus(task.spec.forgiven);
            if let Some(used_up) = before.used_up(task.spec.limits.budgets()) {
                return nothing_left(task, context, used_up);
            }
            let number = task.attempts.saturating_add(1);
            let id = AttemptId {
                task: task.id,
                number,
            };
            let attempt = Attempt {
                id,
                epoch: *epoch,
                nonce: *nonce,
                boot_id: boot_id.clone(),
                phase: Phase::Claimed,
                // A retry goes on where the attempt before it was.
                workspace: task.attempt.as_ref().and_then(found_again),
                given: given.clone(),
                runner: None,
                agent: None,
                claimed_at: context.now,
                started_at: None,
                observed: Observed::default(),
                reported: Observed::default(),
                news: 0,
                exit: None,
                ending: None,
                account: account.clone(),
                before,
                ran: 0,
                changes: None,
            };
            claim(task, attempt)
        }
        Event::Prepared {
            workspace, given, ..
        } => prepared(task, workspace, given),
        Event::StartFailed {
            reason, message, ..
        } => end(
            task,
            context,
            AttemptEnd::without_run(failed(*reason, message), context.now.wall),
        ),
        Event::Registered {
            attempt,
            runner,
            stage,
            adopted,
        } => registered(task, *attempt, runner, stage, *adopted),
        Event::Started { agent, at, .. } => started(task, agent, *at),
        Event::Observed {
            observed: said, by, ..
        } => observed(task, said, *by),
        Event::Exited {
            result, verdict, ..
        } => exited(task, context, result, verdict.as_ref()),
        Event::Lost { reason, .. } => {
            let verdict = declined(task).unwrap_or_else(|| {
                let message = if *reason == FailureReason::HostRebooted {
                    "the machine was restarted"
                } else {
                    "the runner died"
                };
                failed(*reason, message)
            });
            end(
                task,
                context,
                AttemptEnd::without_run(verdict, context.now.wall),
            )
        }
        Event::NeverStarted { .. } => never_started(task, context),
        Event::Cancel {
            by,
            forced,
            superseded_by,
        } => {
            let why = match superseded_by {
                Some(other) => format!("superseded by task {other}"),
                None => format!("cancelled by {by}"),
            };
            let reason = match superseded_by {
                Some(_) => FailureReason::Superseded,
                None => FailureReason::Cancelled,
            };
            cancel(task, context, reason, *forced, why)
        }
        Event::Hold { by } => hold(task, by),
        Event::Release { by } => release(task, context, by),
        Event::DependencyEnded { task: of, outcome } => {
            dependency_ended(task, context, *of, *outcome)
        }
        Event::QueueExpired => queue_expired(task, context),
        Event::Deadline { limit, .. } => deadline(task, *limit),
        Event::StopOverdue { attempt } => match task.state {
            State::Stopping { .. } => Decision::Repeat(Effect::EndRunner(*attempt)),
            State::Queued(_) | State::Starting | State::Running | State::Finished(_) => {
                Decision::Ignore(Ignored::NotNow)
            }
        },
    }
}

/// The workspace of an attempt, for the next one: how that finds it is not
/// known yet.
fn found_again(before: &Attempt) -> Option<Workspace> {
    let known = before.workspace.as_ref()?;
    Some(Workspace::at(known.path.clone(), known.branch.clone()))
}

/// The attempt that an event speaks of, if it speaks of one that exists.
#[must_use]
pub fn attempt_of(event: &Event) -> Option<AttemptRef> {
    match event {
        Event::Prepared { attempt, .. }
        | Event::StartFailed { attempt, .. }
        | Event::Registered { attempt, .. }
        | Event::Started { attempt, .. }
        | Event::Observed { attempt, .. }
        | Event::Exited { attempt, .. }
        | Event::Lost { attempt, .. }
        | Event::NeverStarted { attempt }
        | Event::Deadline { attempt, .. }
        | Event::StopOverdue { attempt } => Some(*attempt),
        Event::Claim { .. }
        | Event::Cancel { .. }
        | Event::Hold { .. }
        | Event::Release { .. }
        | Event::DependencyEnded { .. }
        | Event::QueueExpired => None,
    }
}

/// An attempt with its secret.
#[must_use]
pub fn reference(attempt: &Attempt) -> AttemptRef {
    AttemptRef {
        id: attempt.id,
        nonce: attempt.nonce,
    }
}

fn apply(next: Task, what: What, why: String, effect: Option<Effect>) -> Decision {
    Decision::Apply(Box::new(Change {
        next,
        what,
        why: clip(&why, MAX_MESSAGE),
        effect,
    }))
}

/// The agent had said that it declines; that stands, whatever became of its
/// runner.
fn declined(task: &Task) -> Option<Verdict> {
    let message = task.live_attempt()?.known().declined?;
    Some(Verdict {
        outcome: Outcome::Aborted,
        reason: None,
        message,
    })
}

fn failed(reason: FailureReason, message: &str) -> Verdict {
    Verdict {
        outcome: Outcome::Failed,
        reason: Some(reason),
        message: message.to_owned(),
    }
}

/// A copy of the task and its live attempt. Every caller has checked that
/// there is one.
fn with_attempt(task: &Task, change: impl FnOnce(&mut Attempt)) -> Task {
    let mut next = task.clone();
    change(
        next.attempt
            .as_mut()
            .expect("an event that names the live attempt has one"),
    );
    next
}

fn claim(task: &Task, attempt: Attempt) -> Decision {
    let effect = Effect::Launch(reference(&attempt));
    let mut next = task.clone();
    next.state = State::Starting;
    next.attempts = attempt.id.number;
    next.spent = next.spent.saturating_add(1);
    next.attempt = Some(attempt);
    apply(next, What::Claimed, String::new(), Some(effect))
}

fn prepared(task: &Task, workspace: &Workspace, given: &Given) -> Decision {
    let next = with_attempt(task, |a| {
        a.workspace = Some(workspace.clone());
        a.given = given.clone();
    });
    if next.attempt == task.attempt {
        return Decision::Ignore(Ignored::NotNow);
    }
    let why = match &workspace.branch {
        Some(branch) => format!("{} on branch {branch}", workspace.path.display()),
        None => workspace.path.display().to_string(),
    };
    apply(next, What::WorkspaceReady, why, None)
}

fn registered(
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
        (_, Stage::Waiting) if was_running => return Decision::Repeat(Effect::CarryOn(attempt)),
        (_, Stage::Waiting) => Effect::Go(attempt),
    };
    let newly_running = matches!(stage, Stage::Running { .. }) && !was_running;
    let another = match stage {
        Stage::Running { agent, .. } => live.is_some_and(|a| follows(a, agent)),
        Stage::Waiting => false,
    };
    if known.is_some() && !newly_running && !adopted && !another {
        return Decision::Repeat(answer);
    }
    let mut next = with_attempt(task, |a| {
        a.runner = Some(runner.clone());
        match stage {
            Stage::Running { agent, at } if newly_running => {
                a.phase = Phase::Running;
                a.agent = Some(agent.clone());
                a.started_at = Some(*at);
            }
            Stage::Running { agent, .. } if another => a.agent = Some(agent.clone()),
            Stage::Waiting if a.phase == Phase::Claimed => a.phase = Phase::Registered,
            Stage::Waiting | Stage::Running { .. } => {}
        }
    });
    next.started |= newly_running;
    if newly_running && next.state == State::Starting {
        next.state = State::Running;
    }
    let what = match (adopted, newly_running || another) {
        (true, _) => What::Adopted,
        (false, true) => What::Started,
        (false, false) => What::Registered,
    };
    apply(
        next,
        what,
        format!("runner pid {}", runner.pid),
        Some(answer),
    )
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

fn started(task: &Task, agent: &ProcessIdentity, at: Moment) -> Decision {
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
    });
    next.started = true;
    if next.state == State::Starting {
        next.state = State::Running;
    }
    apply(next, What::Started, why, None)
}

fn exited(
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
        Run::NotStarted | Run::SpawnFailed { .. } => (None, None),
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

fn never_started(task: &Task, context: Context) -> Decision {
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

#[cfg(test)]
mod tests;
