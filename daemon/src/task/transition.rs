//! `decide`: the only function that says how a task changes.
//!
//! It is total, deterministic and pure: no I/O, no clock, no randomness of its
//! own. The caller makes the next state durable, then carries out the effects.

mod end;
mod observe;
mod run;
mod stop;
mod wait;

use self::{
    end::{AttemptEnd, end},
    observe::observed,
    run::{exited, never_started, registered, setting_up, started},
    stop::{cancel, deadline, nothing_left, queue_expired},
    wait::{dependency_ended, hold, release},
};
use super::{
    attempt::{Attempt, Phase, Workspace},
    effect::Effect,
    event::{AttemptRef, Event, What},
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
                prepared_at: None,
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
                pruned_at: None,
            };
            claim(task, attempt)
        }
        Event::Prepared {
            workspace, given, ..
        } => prepared(task, context, workspace, given),
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
        Event::SettingUp { command, .. } => setting_up(task, command),
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
                } else if *reason == FailureReason::ScopeStopped {
                    "the service manager ended it"
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
        } => cancel(task, context, by, *forced, *superseded_by),
        Event::Hold { by } => hold(task, by),
        Event::Release { by } => release(task, context, by),
        Event::DependencyEnded { task: of, outcome } => {
            dependency_ended(task, context, *of, *outcome)
        }
        Event::QueueExpired { kept_by } => queue_expired(task, context, kept_by),
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
        | Event::SettingUp { attempt, .. }
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
        | Event::QueueExpired { .. } => None,
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

fn prepared(task: &Task, context: Context, workspace: &Workspace, given: &Given) -> Decision {
    let next = with_attempt(task, |a| {
        a.workspace = Some(workspace.clone());
        a.given = given.clone();
        a.prepared_at = a.prepared_at.or(Some(context.now));
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

#[cfg(test)]
mod tests;
