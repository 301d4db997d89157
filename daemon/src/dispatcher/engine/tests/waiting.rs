//! Tasks that wait: for a person, a time, or other tasks.

use std::collections::BTreeMap;

use super::*;
use crate::{
    dispatcher::{
        handle::{Firing, Reply},
        outcome::{FiringError, Held, HoldError, SubmitError},
    },
    task::{
        dependency::{After, Condition},
        reason::FailureReason,
        spec::TaskSpec,
        state::{Hold, State},
        testing::claim,
    },
};

/// More than what is done in one turn, twice.
const CHAIN: u64 = 2_500;

fn later(change: impl FnOnce(&mut TaskSpec)) -> Submission {
    let mut spec = spec("shell");
    change(&mut spec);
    Submission {
        spec,
        payload: Payload::default(),
        digest: [0; 32],
        on_busy: OnBusy::Refuse,
        delay: None,
    }
}

fn after(number: u64, condition: Condition) -> Submission {
    let task = id(number);
    later(|spec| spec.after = vec![After { task, condition }])
}

fn submitted(submission: Submission) -> Message {
    let (reply, _answer) = oneshot::channel();
    Message::Submit(Box::new(submission), reply)
}

impl World {
    fn ask<T>(&mut self, message: impl FnOnce(Reply<T>) -> Message) -> T {
        let (reply, mut answer) = oneshot::channel();
        let mut turned = {
            let now = self.now();
            let messages = vec![message(reply)].into_iter();
            self.engine().turn(messages, now).unwrap()
        };
        for act in turned.acts.drain(..) {
            if let Act::Reply(answer) = act {
                answer();
            }
        }
        answer.try_recv().unwrap()
    }

    fn task_of(&mut self, number: u64) -> Task {
        let reader = self.engine().parts.store.reader().unwrap();
        reader.task(id(number)).unwrap().unwrap()
    }

    fn fails(&mut self, number: u64) {
        let by = "ann".to_owned();
        let order = crate::dispatcher::CancelOrder {
            forced: false,
            repeated: false,
        };
        let done = self.ask(|reply| Message::Cancel {
            ids: vec![id(number)],
            by,
            order,
            reply,
        });
        assert_eq!(done, [crate::dispatcher::Cancelled::Done]);
    }
}

#[test]
fn a_time_of_the_wall_clock_comes_sooner_or_later_when_that_is_set() {
    let mut world = World::new();
    world.wall = 10 * HOUR;
    let at = Moment::of_wall(Timestamp(12 * HOUR));
    let _none = world.turn(vec![submitted(later(|spec| spec.not_before = Some(at)))]);
    assert_eq!(world.wakes_in(), Some(2 * 3_600_000));
    // Set back: until it is said, it wakes too early, and waits on.
    world.wall -= HOUR;
    let _none = world.turn(vec![Message::ClockSet]);
    assert_eq!(world.wakes_in(), Some(3 * 3_600_000));
    // As after a sleep of the machine: no time has passed but on the wall.
    world.wall += 5 * HOUR;
    let effects = world.turn(vec![Message::ClockSet]);
    assert!(matches!(effects[..], [Effect::Launch(_)]), "{effects:?}");
}

#[test]
fn a_timer_that_is_early_waits_for_the_wall_clock() {
    let mut world = World::new();
    let at = Moment::of_wall(Timestamp(world.wall + 60_000));
    let _none = world.turn(vec![submitted(later(|spec| spec.not_before = Some(at)))]);
    world.pass(60_000);
    world.wall += 59_995;
    assert_eq!(world.turn(Vec::new()), []);
    assert_eq!(world.wakes_in(), Some(5));
    world.pass(5);
    world.wall += 5;
    assert_eq!(world.turn(Vec::new()).len(), 1);
}

#[test]
fn a_delay_is_not_the_wall_clocks_and_goes_on_over_a_restart() {
    let mut world = World::new();
    let mut submission = later(|_| ());
    submission.delay = Some(60_000);
    let _none = world.turn(vec![submitted(submission)]);
    world.pass(20_000);
    world.wall += HOUR;
    assert_eq!(world.turn(vec![Message::ClockSet]), []);
    world.start();
    assert_eq!(world.wakes_in(), Some(40_000));
    world.pass(40_000);
    assert_eq!(world.turn(Vec::new()).len(), 1);
}

#[test]
fn the_time_in_the_queue_does_not_pass_while_it_is_held() {
    let mut world = World::new();
    world.pause(true);
    let _none = world.turn(vec![submitted(later(|spec| {
        spec.limits.queue_ttl = Some(10_000);
    }))]);
    let by = || "ann".to_owned();
    let hold = |reply| Message::Hold {
        id: id(1),
        by: by(),
        reply,
    };
    assert_eq!(world.ask(hold), Ok(Held::Done));
    assert_eq!(world.ask(hold), Ok(Held::Already));
    assert_eq!(world.wakes_in(), None);
    world.pass(60_000);
    world.start();
    let release = |reply| Message::Release {
        id: id(1),
        by: by(),
        reply,
    };
    assert_eq!(world.ask(release), Ok(Held::Done));
    assert_eq!(world.ask(release), Ok(Held::Already));
    assert_eq!(world.wakes_in(), Some(10_000));
    world.pass(10_000);
    let _none = world.turn(Vec::new());
    assert_eq!(world.state(), StateKind::Failed);
    let refused = Err(HoldError::NotQueued {
        task: id(1),
        state: StateKind::Failed,
    });
    assert_eq!(world.ask(hold), refused);
    assert_eq!(world.ask(release), Ok(Held::Already));
    let unknown = |reply| Message::Hold {
        id: id(2),
        by: by(),
        reply,
    };
    assert_eq!(world.ask(unknown), Err(HoldError::NotFound(id(2))));
}

#[test]
fn what_cannot_come_is_refused_and_what_has_come_is_not_waited_for() {
    let mut world = World::new();
    world.pause(true);
    let _none = world.turn(vec![submitted(later(|_| ()))]);
    world.fails(1);
    let submit = |submission| move |reply| Message::Submit(Box::new(submission), reply);
    let failed = world.ask(submit(after(1, Condition::Success)));
    let refused = SubmitError::DependencyFailed {
        task: id(1),
        state: StateKind::Cancelled,
    };
    assert_eq!(failed.unwrap_err(), refused);
    // Also itself, which is not there yet.
    let unknown = world.ask(submit(after(2, Condition::End)));
    assert_eq!(unknown.unwrap_err(), SubmitError::NoSuchTask(id(2)));
    let free = world.ask(submit(after(1, Condition::End))).unwrap().task;
    assert_eq!((free.id, free.waits_for.len()), (id(2), 0));
    assert_eq!(free.spec.after.len(), 1, "what was asked for is kept");
}

#[test]
fn a_chain_of_failures_is_told_step_by_step_and_over_restarts() {
    let mut world = World::new();
    world.pause(true);
    let first = submitted(later(|_| ()));
    let chain = (1..CHAIN).map(|n| submitted(after(n, Condition::Success)));
    let _none = world.turn(std::iter::once(first).chain(chain).collect());
    assert_eq!(world.wakes_in(), None);
    world.fails(1);
    let failed = |world: &mut World| {
        let tasks = &world.engine().tasks;
        CHAIN - u64::try_from(tasks.len()).unwrap()
    };
    // What follows at once is in the same commit; the rest is due now.
    let some = failed(&mut world);
    assert!(some > 1 && some < CHAIN, "{some}");
    assert_eq!(world.wakes_in(), Some(0));
    // The daemon dies in between.
    world.start();
    assert_eq!(failed(&mut world), some);
    while world.wakes_in() == Some(0) {
        let _none = world.turn(Vec::new());
    }
    assert_eq!(failed(&mut world), CHAIN);
    let last = world.task_of(CHAIN);
    let State::Finished(ending) = last.state else {
        panic!("it waits for ever");
    };
    assert_eq!(ending.reason, Some(FailureReason::DependencyFailed));
    let before = format!("task {}, which had to succeed first, failed", CHAIN - 1);
    assert_eq!(ending.message, before);
    assert!(world.engine().dependents.due(Instant::now()).is_none());
}

#[test]
fn what_is_replaced_by_the_task_that_waits_for_it_has_ended() {
    let mut world = World::new();
    world.pause(true);
    let issue = |spec: &mut TaskSpec| spec.issue = Some("7".to_owned());
    let _none = world.turn(vec![submitted(later(issue))]);
    let mut submission = after(1, Condition::End);
    issue(&mut submission.spec);
    submission.on_busy = OnBusy::Replace;
    let _none = world.turn(vec![submitted(submission)]);
    assert_eq!(world.task_of(1).state.kind(), StateKind::Cancelled);
    assert_eq!(world.task_of(2).waits_for, []);
    assert_eq!(world.task_of(2).state, State::Queued(Hold::None));
}

#[test]
fn what_waits_is_not_picked() {
    let mut world = World::new();
    let _launch = world.turn(vec![
        submitted(later(|_| ())),
        submitted(after(1, Condition::Success)),
    ]);
    assert_eq!(world.task_of(2).state, State::Queued(Hold::None));
    let ignored = decide(
        &world.task_of(2),
        &claim(Nonce([0; 16])),
        Context {
            now: world.now().moment,
            random: 0,
        },
    );
    assert!(matches!(ignored, Decision::Ignore(_)));
    world.run();
    let attempt = world.attempt();
    let Event::Exited { result, .. } = exited(attempt, 0) else {
        panic!("it is an exit");
    };
    let effects = world.turn(vec![Message::Report(Report::Exited {
        attempt,
        result,
        outbox: None,
    })]);
    assert_eq!(world.task_of(2).state, State::Starting, "{effects:?}");
    assert_eq!(world.task_of(2).waits_for, []);
}

#[test]
fn a_time_of_a_schedule_makes_one_task_whatever_dies_when() {
    let mut world = World::new();
    world.pause(true);
    let times = || "0 3 * * * ".to_owned();
    let known = || BTreeMap::from([("nightly".to_owned(), times())]);
    let rows = world.ask(|reply| Message::SetSchedules(known(), reply));
    let since = rows["nightly"].since;
    assert_eq!(since, Timestamp(world.wall));
    let at = |hours: i64| Timestamp(since.0 + hours * HOUR);
    let firing = |hours| {
        Box::new(Firing {
            name: "nightly".to_owned(),
            times: times(),
            at: at(hours),
            submission: Some(later(|_| ())),
        })
    };
    // Before it began.
    let none = world.ask(|reply| Message::Fire(firing(0), reply));
    assert!(none.unwrap().is_none());
    let first = world.ask(|reply| Message::Fire(firing(1), reply));
    assert_eq!(first.unwrap().unwrap().task.id, id(1));
    // The daemon dies after the commit, and the answer is lost.
    world.start();
    let again = world.ask(|reply| Message::SetSchedules(known(), reply));
    assert_eq!(
        (again["nightly"].last, again["nightly"].task),
        (Some(at(1)), Some(id(1)))
    );
    let again = world.ask(|reply| Message::Fire(firing(1), reply));
    assert!(again.unwrap().is_none());
    // Its task has not ended; the time is dealt with all the same.
    let busy = world.ask(|reply| Message::Fire(firing(2), reply));
    assert_eq!(busy.unwrap_err(), FiringError::Busy(id(1)));
    let again = world.ask(|reply| Message::Fire(firing(2), reply));
    assert!(again.unwrap().is_none());
    let mut behind = firing(3);
    behind.submission.as_mut().unwrap().on_busy = OnBusy::Queue;
    let behind = world.ask(|reply| Message::Fire(behind, reply));
    let behind = behind.unwrap().unwrap().task;
    assert_eq!((behind.id, behind.waits_for[0].task), (id(2), id(1)));
    let mut instead = firing(4);
    instead.submission.as_mut().unwrap().on_busy = OnBusy::Replace;
    let instead = world.ask(|reply| Message::Fire(instead, reply));
    assert!(instead.unwrap().is_some());
    assert_eq!(world.task_of(2).state.kind(), StateKind::Cancelled);
    assert_eq!(world.task_of(3).waits_for, []);
    // Other times, or none at all, begin anew.
    let other = BTreeMap::from([("nightly".to_owned(), "0 4 * * * ".to_owned())]);
    let rows = world.ask(|reply| Message::SetSchedules(other, reply));
    assert_eq!(rows["nightly"].last, None);
    let stale = world.ask(|reply| Message::Fire(firing(5), reply));
    assert!(stale.unwrap().is_none(), "its times are others by now");
    let rows = world.ask(|reply| Message::SetSchedules(BTreeMap::new(), reply));
    assert!(rows.is_empty());
    let reader = world.engine().parts.store.reader().unwrap();
    assert!(reader.schedules().unwrap().is_empty());
}
