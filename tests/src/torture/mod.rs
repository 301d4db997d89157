//! Crash torture: a real daemon, real runners and agents, and `SIGKILL`.
//!
//! ```text
//!  clients ── submit, cancel, wait ──► agentd ──► runner ──► torture-agent
//!                                        ▲          ▲             │ begin, end
//!                  killer ── SIGKILL ────┴──────────┘             ▼
//!                  checks ◄── gRPC, /proc, files, store ────── witness
//! ```
//!
//! Clients submit jobs of which it is known what must become of them, while
//! the daemon and its runners are killed. Then everything is looked at from
//! outside: what the interface says, what the agents themselves have written,
//! which processes are left, what is in the files. See [`Options`] for what can
//! be chosen; the seed decides about jobs and about who is killed, the
//! machine about the exact moment.

mod adopt;
mod agent;
mod check;
mod drafts;
mod journal;
mod kill;
mod load;
mod points;
mod random;
mod witness;
mod world;

use std::{
    fmt, io,
    num::ParseIntError,
    path::PathBuf,
    process::ExitCode,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

pub use self::{
    adopt::{Adoption, adopt},
    kill::Target,
    points::{VARIABLE as FAILPOINTS, names as failpoint_names},
};
use self::{
    kill::{Killer, Toll},
    load::{Load, Places},
    points::Plan,
    world::World,
};
use crate::program::program;

/// Most violations that are printed: a first cause may have a thousand.
const SHOWN: usize = 25;
/// How often the daemon is looked at while everything comes to its end.
const LOOK: Duration = Duration::from_millis(100);

/// The program of the torture's agent; see `src/bin/torture-agent.rs`.
///
/// # Errors
/// If the arguments are not understood or a file cannot be used.
pub fn agent(args: &[String]) -> io::Result<ExitCode> {
    agent::run(args)
}

/// The number of an attempt, as in `42.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptName {
    /// The task.
    pub task: u64,
    /// Which of its attempts, from 1 on.
    pub number: u32,
}

impl FromStr for AttemptName {
    type Err = Option<ParseIntError>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (task, number) = text.split_once('.').ok_or(None)?;
        Ok(Self {
            task: task.parse().map_err(Some)?,
            number: number.parse().map_err(Some)?,
        })
    }
}

impl fmt::Display for AttemptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.number)
    }
}

/// A run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides about the jobs and about who is killed when.
    pub seed: u64,
    /// What is killed; all but the failpoints.
    pub target: Target,
    /// How often. The run is over when both this and `tasks` are reached.
    pub kills: u64,
    /// How many tasks at the least.
    pub tasks: usize,
    /// Clients, each with one job at a time.
    pub clients: usize,
    /// Attempts at the same time.
    pub slots: u32,
    /// No kills after this time.
    pub duration: Duration,
    /// How long after the last kill every task must have ended.
    pub settle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            target: Target::Daemon,
            kills: 25,
            tasks: 0,
            clients: 12,
            slots: 8,
            duration: Duration::from_secs(60 * 60),
            settle: Duration::from_secs(300),
        }
    }
}

/// What came of a run.
#[derive(Debug, Default)]
#[must_use]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Daemons that were killed.
    pub daemons: u64,
    /// Runners that were killed.
    pub runners: u64,
    /// Calls that the system refused.
    pub refused: u64,
    /// Tasks that were acknowledged.
    pub tasks: usize,
    /// Attempts of theirs.
    pub attempts: usize,
    /// Bytes of transcripts that were compared.
    pub compared: u64,
    /// Files of agents that nobody had committed, and that were found again.
    pub drafts: usize,
    /// From the last kill to the end of the last task.
    pub settled: Duration,
    /// From the first start of the daemon to the last check.
    pub took: Duration,
    /// What must not be, a line each.
    pub violations: Vec<String>,
    /// Where everything is kept, if there are violations.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "VIOLATION {violation}")?;
        }
        if let Some(more) = self.violations.len().checked_sub(SHOWN + 1) {
            writeln!(f, "… and {} more", more + 1)?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "everything is kept in {}", kept.display())?;
        }
        write!(
            f,
            "seed {}: {} daemons and {} runners killed, {} calls refused, \
             {} tasks, {} attempts, {} KiB of transcripts compared, {} drafts found again, {} violations, \
             {:.1} s, {:.1} s of it after the last kill",
            self.seed,
            self.daemons,
            self.runners,
            self.refused,
            self.tasks,
            self.attempts,
            self.compared / 1024,
            self.drafts,
            self.violations.len(),
            self.took.as_secs_f64(),
            self.settled.as_secs_f64()
        )
    }
}

/// Kills at random moments, then checks.
///
/// # Errors
/// If the torture itself cannot be carried out: the machine refuses a process
/// or a file.
///
/// # Panics
/// If a program has not been built, or git cannot be used.
pub async fn random(options: &Options) -> io::Result<Outcome> {
    let begin = Instant::now();
    let mut world = World::new("agentd", options.slots)?;
    let load = load(options, &world);
    let mut clients = JoinSet::new();
    start(options, &load, &mut clients);
    world.start()?;
    let mut killer = Killer::new(options);
    let mut person = JoinSet::new();
    person.spawn(Arc::clone(&load).confirm());
    killer.run(&mut world, &load).await?;
    let mut toll = killer.toll;
    let settled = settle(options, &mut world, &load, clients, &mut toll).await?;
    drop(person);
    conclude(options.seed, (begin, settled), world, &load, toll).await
}

/// Has the daemon or a runner die at each failpoint in turn, and the system
/// refuse where it may, while tasks run; then checks. Needs the program
/// `agentd-failpoints`.
///
/// # Errors
/// As [`random()`].
///
/// # Panics
/// As [`random()`].
pub async fn failpoints(options: &Options) -> io::Result<Outcome> {
    let begin = Instant::now();
    let mut world = World::new("agentd-failpoints", options.slots)?;
    let plan = Plan::new(&mut world)?;
    let load = load(options, &world);
    let mut clients = JoinSet::new();
    let mut person = JoinSet::new();
    person.spawn(Arc::clone(&load).confirm());
    let faults = points::each(&mut world, &plan, || start(options, &load, &mut clients)).await?;
    let mut toll = Toll {
        faults,
        refused: plan.fired().errors,
        ..Toll::default()
    };
    let settled = settle(options, &mut world, &load, clients, &mut toll).await?;
    drop(person);
    let fired = plan.fired();
    let toll = Toll {
        daemons: fired.daemons,
        runners: fired.runners.len() as u64,
        killed: fired.runners,
        refused: fired.errors,
        ..toll
    };
    conclude(options.seed, (begin, settled), world, &load, toll).await
}

fn load(options: &Options, world: &World) -> Arc<Load> {
    let repo = world.repo("repo");
    Load::new(
        options.seed,
        Places {
            socket: world.socket(),
            agent: program("torture-agent"),
            dir: world.path().to_owned(),
            repo: repo.path().to_owned(),
        },
    )
}

fn start(options: &Options, load: &Arc<Load>, clients: &mut JoinSet<()>) {
    for _ in 0..options.clients {
        clients.spawn(Arc::clone(load).client());
    }
}

/// Lets everything come to its end, with nobody killed any more.
async fn settle(
    options: &Options,
    world: &mut World,
    load: &Load,
    mut clients: JoinSet<()>,
    toll: &mut Toll,
) -> io::Result<Duration> {
    load.stop();
    let begin = Instant::now();
    while !clients.is_empty() && begin.elapsed() < options.settle {
        tokio::time::timeout(LOOK, clients.join_next()).await.ok();
        if let Some(status) = world.revive()?
            && toll.refused == 0
        {
            toll.ended(status, world);
        }
    }
    toll.faults.extend(load.faults());
    if !clients.is_empty() {
        // The tasks that are stuck are named by the checks.
        let settle = options.settle;
        let fault = format!("not all has ended {settle:?} after the last kill");
        toll.faults.push(fault);
        clients.shutdown().await;
    }
    Ok(begin.elapsed())
}

/// Checks everything.
async fn conclude(
    seed: u64,
    (begin, settled): (Instant, Duration),
    mut world: World,
    load: &Load,
    toll: Toll,
) -> io::Result<Outcome> {
    let acknowledged = load.acknowledged();
    let checked = check::all(&mut world, &acknowledged, &toll).await?;
    let mut violations = toll.faults;
    violations.extend(checked.violations);
    let kept = (!violations.is_empty()).then(|| world.keep());
    Ok(Outcome {
        seed,
        daemons: toll.daemons,
        runners: toll.runners,
        refused: toll.refused,
        tasks: acknowledged.len(),
        attempts: checked.attempts,
        compared: checked.compared,
        drafts: checked.drafts,
        settled,
        took: begin.elapsed(),
        violations,
        kept,
    })
}
