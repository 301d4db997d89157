mod rows;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::task::{
    attempt::{RunResult, Workspace},
    event::{Event, Teller},
    moment::Moment,
    observed::{Fault, Observed},
    reason::{Outcome, Verdict},
    state::{Hold, State},
    testing,
    transition::{Context, Decision, decide, reference},
};

const HERE: Place = Place {
    device: 1,
    inode: 2,
};
const THERE: Place = Place {
    device: 1,
    inode: 3,
};

/// A registry and the tasks that fill it, as the dispatcher and the store do it.
#[derive(Default)]
struct World {
    rows: BTreeMap<String, Session>,
    /// Ids in the order in which they were worked in.
    order: Vec<String>,
}

impl World {
    fn row(&self, id: &str) -> Option<&Session> {
        self.rows.get(id)
    }

    fn standing(&self, id: &str) -> Option<Standing> {
        self.row(id).map(|row| row.standing)
    }

    fn choose(&self, task: &Task, before: Option<&Attempt>) -> Given {
        let id = before.and_then(of_attempt);
        let key = key(task.id, &task.spec);
        let newest = self.order.iter().rev().filter_map(|id| self.rows.get(id));
        let of_key: Vec<Session> = newest.filter(|row| row.key == key).cloned().collect();
        choose(Question {
            task,
            before,
            of_before: id.as_ref().and_then(|id| self.rows.get(id)),
            of_key: &of_key,
        })
    }

    /// Decides about an event, and has the registry follow.
    fn happen(&mut self, task: &mut Task, event: &Event) {
        let context = Context {
            now: Moment::of_wall(Timestamp(10_000)),
            random: 0,
        };
        let Decision::Apply(change) = decide(task, event, context) else {
            return;
        };
        let next = change.next;
        let attempt = next.attempt.as_ref().expect("tests claim first");
        let before = task.attempt.as_ref().filter(|b| b.id == attempt.id);
        for id in touched(before, attempt) {
            let row = self.rows.get(&id);
            match follow(row, &id, before, &next, Timestamp(20_000)) {
                Fate::Stays => {}
                Fate::Becomes(session) => {
                    if row.is_none_or(|row| row.attempt != session.attempt) {
                        self.order.retain(|other| *other != id);
                        self.order.push(id.clone());
                    }
                    self.rows.insert(id, *session);
                }
                Fate::Vanishes => drop(self.rows.remove(&id)),
            }
        }
        *task = next;
    }

    fn claim(&mut self, task: &mut Task, before: Option<&Attempt>) -> Given {
        let before = task.attempt.clone().or_else(|| before.cloned());
        let given = self.choose(task, before.as_ref());
        task.state = State::Queued(Hold::None);
        let mut claim = testing::claim(testing::NONCE);
        if let Event::Claim { given: chosen, .. } = &mut claim {
            chosen.clone_from(&given);
        }
        self.happen(task, &claim);
        given
    }

    fn prepare(&mut self, task: &mut Task, probe: Probe) -> Given {
        let attempt = task.attempt.clone().unwrap();
        let row = attempt.given.resumes().and_then(|id| self.rows.get(id));
        let place = (Path::new("/w"), Some(HERE));
        let agent_type = task.spec.agent_type;
        let given = verify(attempt.given.clone(), row, agent_type, place, || probe);
        let event = Event::Prepared {
            attempt: reference(&attempt),
            workspace: Workspace::at("/w".into(), None),
            given: given.clone(),
        };
        self.happen(task, &event);
        given
    }

    fn start(&mut self, task: &mut Task) {
        let attempt = reference(task.attempt.as_ref().unwrap());
        let waiting = crate::task::event::Stage::Waiting;
        self.happen(task, &testing::registered(attempt, waiting));
        self.happen(task, &testing::started(attempt));
    }

    fn say(&mut self, task: &mut Task, observed: Observed) {
        let event = Event::Observed {
            attempt: reference(task.attempt.as_ref().unwrap()),
            observed: Box::new(observed),
            by: Teller::Runner,
        };
        self.happen(task, &event);
    }

    fn end(&mut self, task: &mut Task, reason: Option<FailureReason>) {
        let attempt = reference(task.attempt.as_ref().unwrap());
        let event = match reason {
            Some(reason @ (FailureReason::RunnerLost | FailureReason::HostRebooted)) => {
                Event::Lost { attempt, reason }
            }
            reason => exited(attempt, reason, Observed::default()),
        };
        self.happen(task, &event);
    }

    /// A whole attempt in a session, up to its end.
    fn ran(&mut self, task: &mut Task, session: &str, reason: Option<FailureReason>) -> Given {
        self.claim(task, None);
        let given = self.prepare(task, Probe::Present);
        self.start(task);
        self.say(task, named(session));
        self.end(task, reason);
        given
    }
}

fn exited(
    attempt: crate::task::event::AttemptRef,
    reason: Option<FailureReason>,
    observed: Observed,
) -> Event {
    let Event::Exited { result, .. } = testing::exited(attempt, 1) else {
        unreachable!("it is an exit");
    };
    Event::Exited {
        attempt,
        result: RunResult {
            observed: Box::new(observed),
            ..result
        },
        verdict: Some(Verdict {
            outcome: match reason {
                Some(_) => Outcome::Failed,
                None => Outcome::Succeeded,
            },
            reason,
            message: "so".to_owned(),
        }),
    }
}

fn named(session: &str) -> Observed {
    Observed {
        session: Some(session.to_owned()),
        ..Observed::default()
    }
}

fn task(number: u64) -> Task {
    let mut task = testing::task(number);
    task.spec.issue = Some("12".to_owned());
    task.spec.limits.max_attempts = Some(100);
    task
}

#[test]
fn a_lineage_has_the_key_of_its_reruns() {
    let mut first = testing::task(7);
    first.spec.repo = Some("/src/app".into());
    let mut rerun = testing::task(9);
    rerun.spec = first.spec.clone();
    rerun.spec.lineage = Some(first.id);
    let of_rerun = rerun.spec.key().unwrap().to_string();
    assert_eq!(key(first.id, &first.spec), of_rerun);
    assert_eq!(key(rerun.id, &rerun.spec), of_rerun);
    let with_issue = task(8);
    let of_issue = with_issue.spec.key().unwrap().to_string();
    assert_eq!(key(with_issue.id, &with_issue.spec), of_issue);
}

/// What the next attempt of the same task is given, and where the session
/// stands, after one ended like this.
#[test]
fn what_follows_each_end() {
    use FailureReason as R;
    use Standing::{Good, Quarantined, Retired, Unverified};
    for (reason, standing, resumes) in [
        (Some(R::RunnerLost), Unverified, true),
        (Some(R::HostRebooted), Unverified, true),
        (Some(R::AgentError), Good, true),
        (Some(R::RateLimited), Good, true),
        (Some(R::ContextOverflow), Quarantined, false),
        (Some(R::SessionPoisoned), Quarantined, false),
        (Some(R::SessionLost), Retired, false),
        (None, Good, true),
    ] {
        let mut world = World::default();
        let mut first = task(1);
        world.ran(&mut first, "s", reason);
        assert_eq!(world.standing("s"), Some(standing), "{reason:?}");
        assert_eq!(world.row("s").unwrap().user, None);
        let retry = world.choose(&first, first.attempt.as_ref());
        assert_eq!(retry.resumes().is_some(), resumes, "{reason:?}: {retry:?}");
        // Another task of the key, and a rerun.
        let other = task(2);
        let next = world.choose(&other, None);
        assert_eq!(next.resumes().is_some(), resumes, "{reason:?}: {next:?}");
        let rerun = world.choose(&other, first.attempt.as_ref());
        assert_eq!(rerun.resumes().is_some(), resumes, "{reason:?}: {rerun:?}");
    }
}

#[test]
fn what_the_agent_said_of_its_session_stands_however_it_ended() {
    let mut world = World::default();
    let mut first = task(1);
    world.claim(&mut first, None);
    world.start(&mut first);
    let overflow = Observed {
        fault: Some(Fault {
            reason: FailureReason::ContextOverflow,
            message: "too long".to_owned(),
        }),
        ..named("s")
    };
    world.say(&mut first, overflow);
    world.end(&mut first, Some(FailureReason::RunnerLost));
    let row = world.row("s").unwrap();
    assert_eq!(row.standing, Standing::Quarantined);
    assert!(
        row.why.starts_with("context_overflow in attempt 1.1"),
        "{row:?}"
    );
    assert_eq!(world.choose(&first, first.attempt.as_ref()).resumes(), None);
}

#[test]
fn the_newest_usable_one_of_the_key_is_chosen() {
    let mut world = World::default();
    world.ran(&mut task(1), "a", None);
    let mut second = task(2);
    second.spec.fresh = true;
    world.ran(&mut second, "b", Some(FailureReason::AgentError));
    assert_eq!(world.choose(&task(3), None).resumes(), Some("b"));
    let mut third = task(3);
    world.ran(&mut third, "b", Some(FailureReason::SessionPoisoned));
    // That it was good once does not bring it back; the other one is.
    assert_eq!(world.choose(&task(4), None).resumes(), Some("a"));
    // Its own second attempt does not go on with what is older than its failure.
    let retry = world.choose(&third, third.attempt.as_ref());
    assert_eq!(retry.resumes(), None);
    assert!(
        retry.why.contains("quarantined: session_poisoned"),
        "{retry:?}"
    );
    // Nor does another agent, or another issue.
    let mut other = task(5);
    other.spec.agent = "other".to_owned();
    assert_eq!(world.choose(&other, None).resumes(), None);
    let mut other = task(5);
    other.spec.issue = Some("13".to_owned());
    assert_eq!(world.choose(&other, None).resumes(), None);
}

#[test]
fn a_fresh_task_goes_on_with_its_own_only() {
    let mut world = World::default();
    let mut first = task(1);
    world.ran(&mut first, "a", None);
    let mut fresh = task(2);
    fresh.spec.fresh = true;
    let given = world.choose(&fresh, first.attempt.as_ref());
    assert_eq!(given, Given::fresh("it was asked for without a session"));
    world.claim(&mut fresh, first.attempt.as_ref());
    world.end(&mut fresh, Some(FailureReason::RunnerLost));
    let retry = world.choose(&fresh, fresh.attempt.as_ref());
    assert_eq!(retry.resumes(), None, "{retry:?}");
    world.ran(&mut fresh, "b", Some(FailureReason::RunnerLost));
    let retry = world.choose(&fresh, fresh.attempt.as_ref());
    assert_eq!(retry.resumes(), Some("b"));
}

#[test]
fn one_that_is_in_use_is_given_to_nobody_else() {
    let mut world = World::default();
    world.ran(&mut task(1), "s", None);
    let mut second = task(2);
    assert_eq!(world.claim(&mut second, None).resumes(), Some("s"));
    let third = world.choose(&task(3), None);
    assert_eq!(third.resumes(), None);
    assert!(third.why.contains("attempt 2.1 works in it"), "{third:?}");
    // Nor is it taken by naming it.
    let mut third = task(3);
    world.claim(&mut third, None);
    world.say(&mut third, named("s"));
    let user = world.row("s").unwrap().user;
    assert_eq!(user, second.attempt.as_ref().map(|attempt| attempt.id));
    world.end(&mut third, Some(FailureReason::ContextOverflow));
    assert_eq!(world.standing("s"), Some(Standing::Good));
}

proptest! {
    /// Whatever tasks of a key, their attempts and their agents do.
    #[test]
    fn no_poisoned_and_no_lost_session_is_resumed(
        acts in prop::collection::vec((0_u8..4, 0_u8..3, 0_u8..8, any::<bool>()), 1..40),
    ) {
        const SESSIONS: [&str; 3] = ["a", "b", "c"];
        let mut world = World::default();
        let mut tasks: Vec<Task> = (1..=4).map(task).collect();
        // What each session's last attempt has taught, told without the registry.
        let mut bad: BTreeMap<&str, bool> = BTreeMap::new();
        let mut poisoned: Vec<&str> = Vec::new();
        for (which, session, end, probe) in acts {
            let task = &mut tasks[usize::from(which)];
            let before = task.attempt.clone();
            let given = world.claim(task, None);
            if let Some(id) = given.resumes() {
                prop_assert!(!bad.get(id).copied().unwrap_or_default(), "{given:?}");
                prop_assert!(!poisoned.contains(&id));
                let own = before.as_ref().and_then(of_attempt);
                let first = own.filter(|own| world.row(own).is_some_and(|row| row.standing.is_usable()));
                // The one of the attempt before it goes first.
                prop_assert!(first.is_none_or(|first| first == id), "{given:?}");
            }
            let probe = if probe { Probe::Present } else { Probe::Unknown };
            world.prepare(task, probe);
            world.start(task);
            let id = given.resumes().map_or(SESSIONS[usize::from(session)], |id| {
                SESSIONS.into_iter().find(|known| *known == id).unwrap()
            });
            world.say(task, named(id));
            use FailureReason as R;
            let reason = match end {
                0 => None,
                1 => Some(R::AgentError),
                2 => Some(R::RunnerLost),
                3 => Some(R::ContextOverflow),
                4 => Some(R::SessionPoisoned),
                5 => Some(R::SessionLost),
                6 => Some(R::HostRebooted),
                _ => Some(R::UsageLimit),
            };
            world.end(task, reason);
            prop_assert!(world.rows.values().all(|row| row.user.is_none()));
            bad.insert(id, reason == Some(R::SessionLost));
            if matches!(reason, Some(R::ContextOverflow | R::SessionPoisoned)) {
                poisoned.push(id);
            }
        }
    }
}
