//! What becomes known of an agent's run while it goes on.

use super::{Decision, Ignored, apply, with_attempt};
use crate::task::{
    attempt::Attempt,
    event::{Teller, What},
    observed::{MAX_NEWS, Observed},
    state::Task,
    usage::Usage,
};

/// Of what was used, so large a part must be new to be worth an entry when
/// there are many.
const WORTH: u64 = 16;

/// Keeps what was said. It ends nothing: how the run ends, its exit says.
pub(super) fn observed(task: &Task, said: &Observed, by: Teller) -> Decision {
    let next = with_attempt(task, |attempt| {
        let kept = match by {
            Teller::Runner => &mut attempt.observed,
            Teller::Agent => &mut attempt.reported,
        };
        kept.take(said.clone().bounded());
    });
    if next.attempt == task.attempt {
        return Decision::Ignore(Ignored::NotNow);
    }
    let known = |task: &Task| task.live_attempt().map(Attempt::known).unwrap_or_default();
    let (before, after) = (known(task), known(&next));
    let news = task.live_attempt().map_or(0, |attempt| attempt.news);
    if news >= MAX_NEWS && !is_worth_it(&before, &after) {
        return Decision::Ignore(Ignored::Enough);
    }
    let next = with_attempt(&next, |attempt| attempt.news = news.saturating_add(1));
    let (what, why) = entry(&before, &after);
    apply(next, what, why, None)
}

/// Each change is an entry of the journal, and the journal keeps them all. What
/// this lets through of an attempt, however it talks, is bounded: what it has
/// never said before, and figures that have grown by a part of themselves.
fn is_worth_it(before: &Observed, after: &Observed) -> bool {
    let first = |before: bool, after: bool| after && !before;
    let figures = |observed: &Observed| observed.usage.unwrap_or_default();
    first(before.session.is_some(), after.session.is_some())
        || first(before.session_gone.is_some(), after.session_gone.is_some())
        || first(before.limited.is_some(), after.limited.is_some())
        || first(before.fault.is_some(), after.fault.is_some())
        || first(before.declined.is_some(), after.declined.is_some())
        || has_grown(figures(before), figures(after))
}

fn has_grown(before: Usage, after: Usage) -> bool {
    let by_a_part = |before: u64, after: u64| after > before.saturating_add(before / WORTH);
    by_a_part(before.tokens(), after.tokens())
        || by_a_part(before.cost.unwrap_or(0), after.cost.unwrap_or(0))
}

/// The weightiest of what is new, for the journal.
fn entry(before: &Observed, after: &Observed) -> (What, String) {
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
    if let Some(session) = &after.session_gone
        && before.session_gone != after.session_gone
    {
        return (What::SessionGone, session.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{
        attempt::ProcessIdentity,
        event::{Event, Stage},
        id::Timestamp,
        moment::Moment,
        observed::{Fault, Limited},
        reason::FailureReason,
        testing::{self, NONCE, claim, named, process, registered, started, task},
        transition::{Context, decide},
    };

    const CONTEXT: Context = Context {
        now: Moment {
            wall: Timestamp(10_000),
            steady: None,
        },
        random: 0,
    };

    fn running() -> Task {
        let me = named(1, 1, NONCE);
        let events = [claim(NONCE), registered(me, Stage::Waiting)];
        events.iter().fold(task(1), |task, event| {
            let Decision::Apply(change) = decide(&task, event, CONTEXT) else {
                panic!("{event:?} changes nothing");
            };
            change.next
        })
    }

    fn say(task: &mut Task, observed: Observed, by: Teller) -> Result<(What, String), Ignored> {
        let event = Event::Observed {
            attempt: named(1, 1, NONCE),
            observed: Box::new(observed),
            by,
        };
        match decide(task, &event, CONTEXT) {
            Decision::Apply(change) => {
                assert_eq!(change.next.state, task.state, "it ends nothing");
                *task = change.next;
                Ok((change.what, change.why))
            }
            Decision::Ignore(why) => Err(why),
            Decision::Repeat(effect) => panic!("{effect:?}"),
        }
    }

    fn progress(text: impl ToString) -> Observed {
        Observed {
            progress: Some(text.to_string()),
            ..Observed::default()
        }
    }

    fn used(input: u64) -> Observed {
        Observed {
            usage: Some(Usage {
                input,
                ..Usage::default()
            }),
            ..Observed::default()
        }
    }

    #[test]
    fn what_is_new_is_told_once_by_its_weight() {
        let mut task = running();
        let both = Observed {
            session: Some("s".to_owned()),
            progress: Some("half".to_owned()),
            ..Observed::default()
        };
        let pinned = (What::SessionPinned, "s".to_owned());
        assert_eq!(say(&mut task, both.clone(), Teller::Runner), Ok(pinned));
        let again = say(&mut task, both, Teller::Runner);
        assert_eq!(again, Err(Ignored::NotNow));
        let fault = Observed {
            fault: Some(Fault {
                reason: FailureReason::AuthFailed,
                message: "log in".to_owned(),
            }),
            ..progress("stuck")
        };
        let told = (What::Fault, "auth_failed: log in".to_owned());
        assert_eq!(say(&mut task, fault, Teller::Agent), Ok(told));
        let figures = say(&mut task, used(1), Teller::Agent);
        assert_eq!(figures, Ok((What::Progress, String::new())));
        // What the agent says itself stands, whatever its runner has read.
        say(&mut task, progress("read"), Teller::Runner).unwrap();
        let known = task.live_attempt().unwrap().known();
        assert_eq!(known.progress.as_deref(), Some("stuck"));
        assert_eq!(known.session.as_deref(), Some("s"));
    }

    #[test]
    fn an_agent_that_follows_in_its_attempt_is_the_one_that_is_known() {
        let me = named(1, 1, NONCE);
        let change = |task: &Task, event: &Event| match decide(task, event, CONTEXT) {
            Decision::Apply(change) => Some(change.next),
            Decision::Ignore(_) | Decision::Repeat(_) => None,
        };
        let task = change(&running(), &started(me)).unwrap();
        let agent = ProcessIdentity {
            start_ticks: process(8).start_ticks + 1,
            ..process(9)
        };
        let at = Moment::of_wall(Timestamp(3_000));
        let second = agent.clone();
        let by_its_start = Event::Started {
            attempt: me,
            agent: second.clone(),
            at,
        };
        let by_its_runner = registered(me, Stage::Running { agent: second, at });
        for event in [by_its_start, by_its_runner] {
            let task = change(&task, &event).unwrap();
            let attempt = task.live_attempt().unwrap();
            assert_eq!(attempt.agent.as_ref(), Some(&agent));
            let at = attempt.started_at.map(|at| at.wall);
            assert_eq!(at, Some(Timestamp(2_000)), "that of the first");
            // What comes late speaks of the first one.
            for old in [event, started(me), registered(me, testing::running())] {
                assert_eq!(change(&task, &old), None, "{old:?}");
            }
        }
    }

    #[test]
    fn a_fresh_start_is_told_before_its_session() {
        let mut task = running();
        let afresh = Observed {
            session_gone: Some("old".to_owned()),
            session: Some("new".to_owned()),
            ..Observed::default()
        };
        let told = (What::SessionGone, "old".to_owned());
        assert_eq!(say(&mut task, afresh, Teller::Runner), Ok(told));
        let attempt = task.live_attempt().unwrap();
        assert_eq!(attempt.known().session.as_deref(), Some("new"));
    }

    #[test]
    fn an_agent_that_talks_on_and_on_fills_no_journal() {
        let mut task = running();
        for count in 0..MAX_NEWS {
            say(&mut task, progress(count), Teller::Agent).unwrap();
        }
        let more = say(&mut task, progress("more"), Teller::Agent);
        assert_eq!(more, Err(Ignored::Enough));
        // Figures go on, in steps that grow with them.
        let mut entries = 0;
        for input in (0..2_000_000).step_by(100) {
            entries += u32::from(say(&mut task, used(input), Teller::Agent).is_ok());
        }
        assert!((100..200).contains(&entries), "{entries}");
        let known = task.live_attempt().unwrap().known().usage.unwrap();
        assert!(known.input >= 2_000_000 / 17 * 16, "{known:?}");
        // And what it has never said before counts, once.
        let limited = |message: &str| Observed {
            limited: Some(Limited {
                reason: FailureReason::UsageLimit,
                until: None,
                message: message.to_owned(),
            }),
            ..Observed::default()
        };
        assert!(say(&mut task, limited("a"), Teller::Runner).is_ok());
        let other = say(&mut task, limited("b"), Teller::Runner);
        assert_eq!(other, Err(Ignored::Enough));
        let declined = Observed {
            declined: Some("no".to_owned()),
            ..Observed::default()
        };
        assert!(say(&mut task, declined, Teller::Agent).is_ok());
    }
}
