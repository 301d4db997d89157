//! Crash torture of the real programs; see `agentd_tests::torture`.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use agentd_tests::torture::{self, Options, Outcome, Target};
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

/// Kills the daemon and its runners under a load of real tasks, then checks
/// from outside that nothing was lost, doubled, stuck or left over.
///
/// Exit code 1 if something was; the directory of the run is kept then.
#[derive(Debug, Parser)]
struct Args {
    /// Decides about jobs and kills [default: of the clock; it is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// What is killed, when; the options about the number of kills and tasks
    /// are for random moments
    #[arg(long, value_enum, default_value_t = Kill::Daemon)]
    kill: Kill,
    /// How often
    #[arg(long, default_value_t = 25)]
    kills: u64,
    /// How many tasks at the least
    #[arg(long, default_value_t = 0)]
    tasks: usize,
    /// Clients, each with one task at a time
    #[arg(long, default_value_t = 12)]
    clients: usize,
    /// Attempts at the same time
    #[arg(long, default_value_t = 8)]
    slots: u32,
    /// No kills after so many seconds
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    /// Instead of all that: measure how long a daemon that is started again
    /// takes to adopt so many running tasks
    #[arg(long, value_name = "TASKS")]
    adopt: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kill {
    /// The daemon
    Daemon,
    /// A runner
    Runner,
    /// Either, or both at the same moment
    Any,
    /// Who comes to each failpoint in turn (needs agentd-failpoints)
    Failpoints,
}

/// Restarts that are measured.
const ROUNDS: usize = 5;

fn main() -> io::Result<ExitCode> {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some(tasks) = args.adopt {
        let adoption = runtime.block_on(torture::adopt(tasks, ROUNDS))?;
        say(&adoption.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let seed = args.seed.unwrap_or_else(of_the_clock);
    say(&format!("seed {seed}"))?;
    let options = Options {
        seed,
        target: match args.kill {
            Kill::Daemon => Target::Daemon,
            Kill::Runner => Target::Runner,
            Kill::Any | Kill::Failpoints => Target::Any,
        },
        kills: args.kills,
        tasks: args.tasks,
        clients: args.clients,
        slots: args.slots,
        duration: Duration::from_secs(args.seconds),
        ..Options::default()
    };
    let outcome = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let run = async {
            match args.kill {
                Kill::Failpoints => torture::failpoints(&options).await,
                Kill::Daemon | Kill::Runner | Kill::Any => torture::random(&options).await,
            }
        };
        // What is dropped ends its daemon, its runners and their agents.
        tokio::select! {
            outcome = run => outcome,
            _ = terminate.recv() => Err(io::ErrorKind::Interrupted.into()),
            _ = interrupt.recv() => Err(io::ErrorKind::Interrupted.into()),
        }
    })?;
    report(&outcome)
}

fn report(outcome: &Outcome) -> io::Result<ExitCode> {
    say(&outcome.to_string())?;
    Ok(if outcome.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "any number will do, and it is printed"
)]
fn of_the_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| now.as_secs())
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
