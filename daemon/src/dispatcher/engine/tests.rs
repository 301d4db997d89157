//! The loop against clocks of the test's own, over a store of its own.

mod accounts;
mod counting;
mod ending;
mod pruning;
mod waiting;

use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::{
    dispatcher::handle::{OnBusy, Submission},
    supervisor::{Outbox, Report, Seen},
    task::{
        attempt::{Changes, Workspace},
        event::{AttemptRef, Stage},
        id::{AttemptId, Timestamp},
        limits::{Limits, WORKSPACE_TIMEOUT},
        moment::{Boot, Steady},
        reason::FailureReason,
        recovery::Finding,
        session::Given,
        spec::Payload,
        state::{StateKind, StopReason},
        testing::{exited, id, process, spec},
        transition::reference,
    },
};

const HOUR: i64 = 3_600_000;
const BOOT: &str = "boot";

/// A daemon without a process: its store and its clocks.
struct World {
    dir: TempDir,
    /// What timers are counted from; the steady clock shows the same.
    begin: Instant,
    steady: u64,
    wall: i64,
    engine: Option<Engine>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            dir: tempfile::tempdir().unwrap(),
            begin: Instant::now(),
            steady: 0,
            wall: 1_000 * HOUR,
            engine: None,
        };
        world.start();
        world
    }

    fn now(&self) -> Reading {
        Reading {
            instant: self.begin + Duration::from_millis(self.steady),
            moment: Moment {
                wall: Timestamp(self.wall),
                steady: Some(Steady {
                    boot: Boot::of(BOOT),
                    millis: 70_000 + self.steady,
                }),
            },
        }
    }

    /// Another life of the daemon.
    fn start(&mut self) {
        self.engine = None;
        let dir = self.dir.path();
        let store = Store::open(&dir.join("store"), &dir.join("backups"), 1 << 20).unwrap();
        let store = Arc::new(store);
        let reader = store.reader().unwrap();
        let parts = Engines {
            store,
            metrics: Arc::default(),
            state: StateDir::open(dir).unwrap(),
            config: Arc::new(Config {
                min_free_disk: 0,
                ..Config::default()
            }),
            incarnation: Incarnation(1),
            boot_id: BOOT.to_owned(),
        };
        self.engine = Some(Engine::load(parts, &reader, self.now()).unwrap());
    }

    /// Time passes, on the clock for waiting only.
    fn pass(&mut self, millis: u64) {
        self.steady += millis;
    }

    fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().unwrap()
    }

    fn turn(&mut self, messages: Vec<Message>) -> Vec<Effect> {
        let now = self.now();
        let turned = self.engine().turn(messages.into_iter(), now).unwrap();
        let effects = turned.acts.into_iter().filter_map(|act| match act {
            Act::Effect(effect, _) => Some(effect),
            Act::Connected { .. }
            | Act::Reconfigure(_)
            | Act::Dismiss { .. }
            | Act::Acknowledge(_)
            | Act::Conclude(_)
            | Act::Adopt(_)
            | Act::Reap(..)
            | Act::Reply(_) => None,
        });
        effects.collect()
    }

    fn tell(&mut self, event: Event) -> Vec<Effect> {
        self.turn(vec![Message::Report(Report::Event(event))])
    }

    fn submit(&mut self, limits: Limits) -> Vec<Effect> {
        let mut spec = spec("shell");
        spec.limits = limits;
        spec.created_at = Timestamp(self.wall);
        let submission = Submission {
            spec,
            payload: Payload::default(),
            digest: [0; 32],
            on_busy: OnBusy::Queue,
            delay: None,
        };
        let (reply, _answer) = oneshot::channel();
        self.turn(vec![Message::Submit(Box::new(submission), reply)])
    }

    fn pause(&mut self, paused: bool) {
        let (reply, _answer) = oneshot::channel();
        let agent = None;
        let _none = self.turn(vec![Message::Pause {
            agent,
            paused,
            reply,
        }]);
    }

    /// Milliseconds until the loop does something by itself.
    fn wakes_in(&mut self) -> Option<u128> {
        let now = self.now().instant;
        let at = self.engine().next_timer()?;
        Some(at.saturating_duration_since(now).as_millis())
    }

    fn attempt(&mut self) -> AttemptRef {
        let task = &self.engine().tasks[&id(1)];
        task.live_attempt().map(reference).unwrap()
    }

    /// Task 1 as it is in the store.
    fn stored(&mut self) -> Task {
        let reader = self.engine().parts.store.reader().unwrap();
        reader.task(id(1)).unwrap().unwrap()
    }

    fn state(&mut self) -> StateKind {
        self.stored().state.kind()
    }

    fn registers(&mut self, stage: Stage) -> Vec<Effect> {
        let attempt = self.attempt();
        let (outbox, _answers) = Outbox::new();
        let runner = process(7);
        self.turn(vec![Message::Report(Report::Registered {
            attempt,
            runner,
            stage,
            outbox,
        })])
    }

    /// The agent of task 1 is started now.
    fn run(&mut self) {
        let attempt = self.attempt();
        let _go = self.registers(Stage::Waiting);
        let at = self.now().moment;
        let agent = process(8);
        let _none = self.tell(Event::Started { attempt, agent, at });
        assert_eq!(self.state(), StateKind::Running);
    }
}

fn timeout(millis: u64) -> Limits {
    Limits {
        timeout: Some(millis),
        ..Limits::default()
    }
}

fn running() -> Stage {
    Stage::Running {
        agent: process(8),
        at: Moment::of_wall(Timestamp(0)),
    }
}

fn stops(effects: &[Effect], why: StopReason) -> bool {
    matches!(effects, [Effect::Stop { reason, .. }] if *reason == why)
}

#[test]
fn a_clock_that_is_set_while_an_agent_runs_changes_nothing() {
    for step in [-HOUR, HOUR] {
        let mut world = World::new();
        let _launch = world.submit(timeout(60_000));
        world.run();
        assert_eq!(world.wakes_in(), Some(60_000));
        world.pass(30_000);
        world.wall += step;
        assert_eq!(world.turn(Vec::new()), [], "{step}");
        // And over a restart, with another step.
        world.start();
        world.wall += step;
        world.pass(1_000);
        assert_eq!(world.registers(running()).len(), 1);
        assert_eq!(world.wakes_in(), Some(29_000), "{step}");
        world.pass(28_999);
        assert_eq!(world.turn(Vec::new()), [], "{step}");
        world.pass(1);
        let effects = world.turn(Vec::new());
        assert!(stops(&effects, StopReason::Timeout), "{step} {effects:?}");
    }
}

#[test]
fn a_start_is_counted_from_its_workspace_whatever_comes_between() {
    let mut world = World::new();
    let _launch = world.submit(Limits::default());
    // Others of its repository are waited for, and git.
    assert_eq!(world.wakes_in(), Some(WORKSPACE_TIMEOUT.into()));
    world.pass(15 * 60_000);
    assert_eq!(world.turn(Vec::new()), []);
    let attempt = world.attempt();
    let workspace = Workspace::at("/w".into(), None);
    let _none = world.tell(Event::Prepared {
        attempt,
        workspace,
        given: Given::default(),
    });
    assert_eq!(world.wakes_in(), Some(60_000));
    world.pass(40_000);
    let _go = world.registers(Stage::Waiting);
    assert_eq!(world.wakes_in(), Some(20_000));
    // A restart is part of it, and so is what it waits for.
    world.start();
    world.wall -= HOUR;
    world.pass(4_000);
    let _go = world.registers(Stage::Waiting);
    assert_eq!(world.wakes_in(), Some(16_000));
    world.pass(16_000);
    let effects = world.turn(Vec::new());
    assert!(stops(&effects, StopReason::StartTimeout), "{effects:?}");
}

#[test]
fn a_workspace_that_takes_for_ever_ends_the_attempt() {
    let mut world = World::new();
    let _launch = world.submit(Limits::default());
    world.pass(WORKSPACE_TIMEOUT - 1);
    assert_eq!(world.turn(Vec::new()), []);
    world.pass(1);
    let effects = world.turn(Vec::new());
    assert!(stops(&effects, StopReason::StartTimeout), "{effects:?}");
}

#[test]
fn limits_that_passed_while_nobody_looked_wait_for_the_result() {
    let mut world = World::new();
    let _launch = world.submit(timeout(60_000));
    world.run();
    let attempt = world.attempt();
    world.pass(100_000);
    world.start();
    assert_eq!(world.turn(Vec::new()), [], "it is not known yet");
    let Event::Exited { result, .. } = exited(attempt, 0) else {
        panic!("it is an exit");
    };
    let _ack = world.turn(vec![Message::Report(Report::Exited {
        attempt,
        result,
        outbox: None,
    })]);
    assert_eq!(world.state(), StateKind::Succeeded);
}

#[test]
fn a_runner_that_is_not_heard_of_has_limits_all_the_same() {
    let mut world = World::new();
    let _launch = world.submit(timeout(60_000));
    world.run();
    world.pass(58_000);
    world.start();
    // First comes the time that it is waited for.
    let waits = world.wakes_in().unwrap();
    assert!(waits > 2_000, "{waits}");
    let seen = Some(Seen {
        finding: Finding::Adopt,
        result: None,
    });
    let attempt = world.attempt();
    let examined = Report::Examined { attempt, seen };
    assert_eq!(world.turn(vec![Message::Report(examined)]), []);
    world.pass(u64::try_from(waits).unwrap());
    let effects = world.turn(Vec::new());
    assert!(stops(&effects, StopReason::Timeout), "{effects:?}");
}

#[test]
fn what_waits_in_the_queue_expires_over_restarts_and_steps() {
    let mut world = World::new();
    world.pause(true);
    let queue_ttl = Some(60_000);
    let limits = Limits {
        queue_ttl,
        ..Limits::default()
    };
    assert_eq!(world.submit(limits), []);
    world.pass(20_000);
    world.wall += HOUR;
    world.start();
    assert_eq!(world.wakes_in(), Some(40_000));
    world.wall -= 2 * HOUR;
    world.pass(39_999);
    let _none = world.turn(Vec::new());
    assert_eq!(world.state(), StateKind::Queued);
    world.pass(1);
    let _none = world.turn(Vec::new());
    assert_eq!(world.state(), StateKind::Failed);
    assert_eq!(world.wakes_in(), None);
}

#[test]
fn a_backoff_goes_on_over_a_restart_and_ends_whatever_the_clock_says() {
    let mut world = World::new();
    let _launch = world.submit(Limits::default());
    world.run();
    let attempt = world.attempt();
    let reason = FailureReason::RunnerLost;
    // Any wait up to a second: the jitter is real here.
    let _none = world.tell(Event::Lost { attempt, reason });
    if world.state() == StateKind::Starting {
        return; // It drew no wait at all.
    }
    let left = world.wakes_in();
    assert!(left.is_some_and(|left| left <= 1_000), "{left:?}");
    world.wall -= HOUR;
    world.start();
    assert_eq!(world.wakes_in(), left);
    world.pass(1_000);
    let effects = world.turn(Vec::new());
    let second = AttemptId {
        task: id(1),
        number: 2,
    };
    assert!(
        matches!(effects[..], [Effect::Launch(next)] if next.id == second),
        "{effects:?}"
    );
}

#[test]
fn what_an_attempt_left_is_stored_once_whatever_its_task_does_by_then() {
    for (code, state) in [(0, StateKind::Succeeded), (1, StateKind::Failed)] {
        let mut world = World::new();
        let _launch = world.submit(Limits::default());
        world.run();
        let attempt = world.attempt();
        let Event::Exited {
            result, verdict, ..
        } = exited(attempt, code)
        else {
            panic!("not an exit");
        };
        let left = |files| Report::Closed {
            attempt,
            changes: Some(Changes {
                files,
                ..Changes::default()
            }),
        };
        // One that is under way has left nothing yet.
        let _none = world.turn(vec![Message::Report(left(1))]);
        assert_eq!(world.stored().attempt.unwrap().changes, None);
        let _conclude = world.tell(Event::Exited {
            attempt,
            result,
            verdict,
        });
        let ended = world.stored();
        assert_eq!(ended.state.kind(), state);
        for files in [2, 3] {
            let now = world.now();
            let messages = [Message::Report(left(files))].into_iter();
            let turned = world.engine().turn(messages, now).unwrap();
            let acts: Vec<_> = turned.acts.iter().collect();
            assert!(matches!(acts[..], [Act::Conclude(named)] if *named == attempt));
            let stored = world.stored();
            assert_eq!(stored.state, ended.state);
            assert_eq!(stored.revision.0, ended.revision.0 + 1, "said once");
            assert_eq!(stored.attempt.unwrap().changes.unwrap().files, 2);
        }
        // Another's is not believed.
        let nonce = Nonce([7; 16]);
        let attempt = AttemptRef { nonce, ..attempt };
        let changes = Some(Changes::default());
        let _none = world.turn(vec![Message::Report(Report::Closed { attempt, changes })]);
        assert_eq!(world.stored().revision.0, ended.revision.0 + 1);
    }
}
