//! What becomes known of an agent's run while it goes on.

use super::{Decision, Ignored, apply, stop::stop, with_attempt};
use crate::task::{
    attempt::Attempt,
    event::{Teller, What},
    observed::Observed,
    state::{State, StopReason, Task},
};

/// Keeps what was said. How the run ends, its exit says; only a budget that is
/// used up ends it.
pub(super) fn observed(task: &Task, said: &Observed, by: Teller) -> Decision {
    let mut next = with_attempt(task, |attempt| {
        let kept = match by {
            Teller::Runner => &mut attempt.observed,
            Teller::Agent => &mut attempt.reported,
        };
        kept.take(said.clone().bounded());
    });
    if next.attempt == task.attempt {
        return Decision::Ignore(Ignored::NotNow);
    }
    let going = matches!(task.state, State::Starting | State::Running);
    let total = next.live_attempt().filter(|_| going).map(Attempt::total);
    let budgets = task.spec.limits.budgets();
    if let Some(used_up) = total.and_then(|total| total.used_up(budgets)) {
        let (reason, forced) = (StopReason::Budget, false);
        next.state = State::Stopping { reason, forced };
        let effect = stop(&next, reason, forced);
        let why = format!("its lineage has used up {used_up}");
        return apply(next, What::StopRequested, why, Some(effect));
    }
    let known = |task: &Task| task.live_attempt().map(Attempt::known);
    let (before, after) = (known(task), known(&next));
    let (what, why) = news(&before.unwrap_or_default(), &after.unwrap_or_default());
    apply(next, what, why, None)
}

/// The weightiest of what is new, for the journal.
fn news(before: &Observed, after: &Observed) -> (What, String) {
    if let Some(why) = &after.declined
        && before.declined != after.declined
    {
        return (What::Declined, why.clone());
    }
    if let Some(limited) = &after.limited
        && before.limited != after.limited
    {
        let why = format!("{}: {}", limited.reason, limited.message);
        return (What::Limited, why);
    }
    if let Some(fault) = &after.fault
        && before.fault != after.fault
    {
        return (What::Fault, format!("{}: {}", fault.reason, fault.message));
    }
    if let Some(session) = &after.session
        && before.session != after.session
    {
        return (What::SessionPinned, session.clone());
    }
    let progress = after.progress.as_ref();
    let progress = progress.filter(|_| before.progress != after.progress);
    (What::Progress, progress.cloned().unwrap_or_default())
}
