//! Who is killed, and when.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    process::ExitStatus,
    time::{Duration, Instant},
};

use super::{AttemptName, Options, load::Load, random::Random, world::World};

/// Runners of one task that may be killed: after three in a row the task is
/// rightly not tried again.
const RUNNERS_A_TASK: u32 = 2;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The daemon.
    Daemon,
    /// A runner.
    Runner,
    /// Now this, now that, now both at the same moment.
    Any,
}

#[derive(Debug)]
pub(super) struct Killer {
    random: Random,
    target: Target,
    kills: u64,
    tasks: usize,
    until: Instant,
    of_task: HashMap<u64, u32>,
    pub(super) toll: Toll,
}

/// What a run has cost.
#[derive(Debug, Default)]
pub(super) struct Toll {
    /// Daemons that were killed.
    pub(super) daemons: u64,
    /// Runners that were killed, and their attempts.
    pub(super) runners: u64,
    pub(super) killed: HashSet<AttemptName>,
    /// The system refused something: starts may fail, and the daemon may end.
    pub(super) refused: u64,
    /// What must not be.
    pub(super) faults: Vec<String>,
}

impl Toll {
    /// The daemon has ended by itself.
    pub(super) fn ended(&mut self, status: ExitStatus, world: &World) {
        let log = fs::read_to_string(world.log()).unwrap_or_default();
        let last = log.lines().last().unwrap_or_default();
        self.faults
            .push(format!("the daemon ended by itself: {status}: {last}"));
    }
}

impl Killer {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            random: Random::new(options.seed),
            target: options.target,
            kills: options.kills,
            tasks: options.tasks,
            until: Instant::now() + options.duration,
            of_task: HashMap::new(),
            toll: Toll::default(),
        }
    }

    /// Kills until it is enough. The daemon runs when this returns.
    pub(super) async fn run(&mut self, world: &mut World, load: &Load) -> io::Result<()> {
        while Instant::now() < self.until {
            let killed = self.toll.daemons + self.toll.runners;
            if killed >= self.kills && load.count() >= self.tasks {
                break;
            }
            let pause = self.pause();
            tokio::time::sleep(pause).await;
            if let Some(status) = world.revive()? {
                self.toll.ended(status, world);
            }
            if killed < self.kills {
                self.strike(world).await?;
            }
        }
        Ok(())
    }

    /// Mostly some time for the load to go on, sometimes the middle of a
    /// start, now and then long enough for everything to settle.
    fn pause(&mut self) -> Duration {
        match self.random.below(20) {
            0..4 => self.random.millis_below(40),
            4..19 => self.random.millis_below(400),
            _ => self.random.millis_below(1_500),
        }
    }

    async fn strike(&mut self, world: &mut World) -> io::Result<()> {
        let (daemon, runners) = match self.target {
            Target::Daemon => (true, 0),
            Target::Runner => (false, 1),
            Target::Any => match self.random.below(4) {
                0 => (false, 1),
                1 => (true, 1 + self.random.below(3)),
                _ => (true, 0),
            },
        };
        if daemon {
            if let Some(status) = world.kill()? {
                self.toll.ended(status, world);
            }
            self.toll.daemons += 1;
        }
        for _ in 0..runners {
            self.strike_runner(world);
        }
        if daemon {
            let away = self.random.millis_below(60);
            tokio::time::sleep(away).await;
            world.start()?;
        }
        Ok(())
    }

    fn strike_runner(&mut self, world: &World) {
        let mut all: Vec<_> = world
            .runners()
            .into_iter()
            .filter(|(_, a)| {
                self.of_task
                    .get(&a.task)
                    .is_none_or(|n| *n < RUNNERS_A_TASK)
            })
            .collect();
        all.sort_unstable();
        if all.is_empty() {
            return;
        }
        let (pid, attempt) = *self.random.one_of(&all);
        if world.kill_runner(pid, attempt) {
            self.toll.runners += 1;
            if self.toll.killed.insert(attempt) {
                *self.of_task.entry(attempt.task).or_default() += 1;
            }
        }
    }
}
