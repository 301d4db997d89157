//! The loop's end: what it waits for, and what it does first.

use super::*;
use crate::dispatcher::{
    handle::{Reply, ShutDown},
    overview::Phase,
};

/// More than what is done in one turn, twice.
const MANY: u64 = 2_500;

impl World {
    fn shut_down(&mut self, how: ShutDown) -> oneshot::Receiver<u64> {
        let (reply, answer): (Reply<u64>, _) = oneshot::channel();
        self.end_turn(vec![Message::ShutDown(how, reply)]);
        answer
    }

    /// A turn whose answers are given.
    fn end_turn(&mut self, messages: Vec<Message>) {
        let now = self.now();
        let turned = self.engine().turn(messages.into_iter(), now).unwrap();
        for act in turned.acts {
            if let Act::Reply(answer) = act {
                answer();
            }
        }
    }

    /// So many tasks in the queue.
    fn queue(&mut self, tasks: u64, limits: Limits) {
        self.pause(true);
        for _ in 0..tasks {
            let _none = self.submit(limits);
        }
    }

    fn in_queue(&mut self) -> usize {
        self.engine().tasks.len()
    }

    /// The store has failed, and works again.
    fn fail(&mut self) {
        let ending = self.engine().take_ending();
        self.start();
        if let Some(ending) = ending {
            self.engine().go_on_ending(ending);
        }
    }
}

#[test]
fn very_many_that_expire_at_once_are_several_commits() {
    let mut world = World::new();
    let queue_ttl = Some(60_000);
    world.queue(
        MANY,
        Limits {
            queue_ttl,
            ..Limits::default()
        },
    );
    world.pass(60_000);
    for left in [1_500, 500, 0] {
        assert_eq!(world.wakes_in(), Some(0), "{left} are left to be told");
        world.end_turn(Vec::new());
        assert_eq!(world.in_queue(), left);
    }
    assert_eq!(world.wakes_in(), None);
}

#[test]
fn very_many_that_are_cancelled_before_the_end_are_several_commits() {
    let mut world = World::new();
    world.queue(MANY, Limits::default());
    let mut answer = world.shut_down(ShutDown::CancelAll);
    for left in [1_500, 500] {
        assert_eq!(world.in_queue(), left);
        assert!(!world.engine().is_done(), "{left} are left");
        assert!(answer.try_recv().is_err());
        assert_eq!(world.wakes_in(), Some(0));
        world.end_turn(Vec::new());
    }
    assert_eq!((world.in_queue(), answer.try_recv()), (0, Ok(0)));
    assert!(world.engine().is_done());
}

#[test]
fn an_end_that_was_asked_for_outlasts_a_failure_of_the_store() {
    let mut world = World::new();
    let _launch = world.submit(Limits::default());
    world.run();
    let mut answer = world.shut_down(ShutDown::Drain(Some(Duration::from_mins(1))));
    world.pass(20_000);
    world.fail();
    assert_eq!(world.registers(running()).len(), 1);
    assert_eq!(world.engine().phase, Phase::Draining);
    // What is submitted is refused, and nothing is dispatched.
    assert_eq!(world.submit(Limits::default()), []);
    assert_eq!(world.in_queue(), 1);
    assert_eq!(world.wakes_in(), Some(40_000));
    world.pass(40_000);
    world.end_turn(Vec::new());
    assert!(world.engine().is_done());
    assert_eq!(answer.try_recv(), Ok(1), "it was asked in the life before");
}

#[test]
fn what_was_to_be_cancelled_is_after_a_failure_of_the_store_too() {
    let mut world = World::new();
    world.queue(3, Limits::default());
    // Its commit fails: nothing of it is in the store, and nobody was told.
    let (reply, mut answer) = oneshot::channel();
    let ending = world.engine().ending.take();
    assert!(ending.is_none());
    {
        let now = world.now();
        let how = ShutDown::CancelAll;
        let engine = world.engine();
        let mut turn = Turn {
            batch: engine.parts.store.begin().unwrap(),
            acts: Vec::new(),
            steps: Vec::new(),
            submitted: Vec::new(),
            now: now.instant,
            wall: now.moment.wall,
            moment: now.moment,
        };
        engine.shut_down(&turn, how, reply);
        engine.cancel_all(&mut turn).unwrap();
        turn.batch.abort().unwrap();
    }
    world.fail();
    assert_eq!(world.in_queue(), 3);
    world.end_turn(Vec::new());
    assert_eq!((world.in_queue(), answer.try_recv()), (0, Ok(0)));
    assert!(world.engine().is_done());
}
