//! The daemon's command line.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use nix::sys::signal::SigSet;

use crate::{
    care::{self, Checked},
    config::Config,
    lifecycle::{self, Options},
    notify,
    process::Marker,
    runner,
    service::Manager,
    telemetry::{self, Format},
};

/// Runs AI coding agents as durable, supervised tasks.
///
/// Without a command it runs the daemon in the foreground. agentctl speaks to
/// it.
#[derive(Debug, Parser)]
#[command(name = "agentd", version)]
struct Cli {
    #[command(flatten)]
    daemon: Daemon,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Args)]
struct Daemon {
    /// The configuration file [default: $AGENTD_CONFIG, then
    /// $XDG_CONFIG_HOME/agentd/config.toml, then /etc/agentd/config.toml]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the store, transcripts and worktrees are kept [default:
    /// $STATE_DIRECTORY, then $XDG_STATE_HOME/agentd]
    #[arg(long, value_name = "DIR", global = true)]
    state_dir: Option<PathBuf>,
    /// Where agentctl finds the daemon [default: $AGENTD_SOCKET, then
    /// agentd.sock in $RUNTIME_DIRECTORY or $XDG_RUNTIME_DIR/agentd]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// How log lines look [default: journal if systemd says that standard error
    /// is the journal, else text]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<Format>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is wrong with the configuration, then exit
    CheckConfig,
    /// Say whether the task store agrees with itself, then exit; not while a
    /// daemon runs
    CheckStore {
        /// Make indexes and counters anew from the rows, after copying the store
        /// to backups/ of the state directory
        #[arg(long)]
        fix: bool,
    },
    /// Supervise one attempt; the daemon starts this itself
    #[command(hide = true)]
    Runner {
        /// The attempt's directory
        dir: PathBuf,
    },
}

/// Parses the arguments and does what they say. Exit codes: 0, or 1 with a
/// message on standard error; 2 for wrong arguments.
#[must_use]
pub fn main() -> ExitCode {
    // A runner is to be up at once and to stay small.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "runner")
        && let (Some(dir), None) = (words.next(), words.next())
    {
        return runner::run(Path::new(&dir));
    }
    let cli = Cli::parse();
    let done = match cli.command {
        None => daemon(cli.daemon),
        Some(Command::CheckConfig) => check_config(cli.daemon.config.as_deref()),
        Some(Command::CheckStore { fix }) => check_store(cli.daemon, fix),
        Some(Command::Runner { dir }) => return runner::run(&dir),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("agentd: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// All there is to say on the command line, for the manual page.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

fn daemon(arguments: Daemon) -> anyhow::Result<()> {
    if let Some(marker) = std::env::var_os(Marker::VARIABLE) {
        let marker = marker.to_string_lossy();
        let attempt = marker.split(':').next().unwrap_or_default();
        anyhow::bail!(
            "it was started by an agent, in attempt {attempt}, and would be ended with it: \
             start it from outside, or without {} in its environment",
            Marker::VARIABLE
        );
    }
    // What whoever has started it did not want to hear is inherited: how a child
    // ends, say, or that the daemon is to end.
    let all = SigSet::empty().thread_set_mask();
    all.context("cannot take signals")?;
    // Before any file is opened: it goes by the numbers of descriptors.
    let manager = Manager::take().context("cannot take what the service manager passed")?;
    telemetry::start(arguments.log_format)?;
    let options = Options {
        config: arguments.config,
        state_dir: arguments.state_dir,
        socket: arguments.socket,
    };
    lifecycle::run(options, manager)
}

fn check_config(explicit: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(explicit)?;
    let from = match &config.source {
        Some(path) => path.display().to_string(),
        None => "no configuration file; the defaults".to_owned(),
    };
    let path = std::env::var_os("PATH");
    if let Some(program) = notify::missing(&config.notify, path.as_deref()) {
        anyhow::bail!(
            "{from}: notify.command: {program} is not there, or may not be run\n\
             hint: name it by its whole path; a service often has another PATH than a shell"
        );
    }
    let agents: Vec<_> = config.agents.keys().map(String::as_str).collect();
    say(&format!("{from}: good; agents: {}", agents.join(", ")));
    Ok(())
}

fn check_store(arguments: Daemon, fix: bool) -> anyhow::Result<()> {
    let options = Options {
        config: arguments.config,
        state_dir: arguments.state_dir,
        socket: arguments.socket,
    };
    let checked = care::check_store(options, fix)?;
    let faults = checked.faults();
    for fault in &faults.named {
        say(&format!("{}: {}", fault.table, fault.what));
    }
    if faults.more > 0 {
        say(&format!("and {} more", faults.more));
    }
    let count = faults.named.len() as u64 + faults.more;
    match checked {
        Checked::Good(faults) => say(&format!("{} rows: good", faults.rows)),
        Checked::Mended { copy, left, .. } if left.is_empty() => {
            say(&format!(
                "mended all {count}; the store as it was is {}",
                copy.display()
            ));
        }
        Checked::Mended { copy, left, .. } => anyhow::bail!(
            "{} of {count} cannot be mended; the store as it was is {}\n\
             hint: put a copy of a day from backups/ in its place",
            left.named.len() as u64 + left.more,
            copy.display()
        ),
        Checked::Faulty(faults) if faults.named.iter().all(|fault| fault.mendable) => {
            anyhow::bail!("{count} faults\nhint: agentd check-store --fix mends them")
        }
        Checked::Faulty(_) => anyhow::bail!(
            "{count} faults, of which not all can be mended\n\
             hint: put a copy of a day from backups/ in its place, \
             or go on with what agentd check-store --fix can mend"
        ),
    }
    Ok(())
}

/// A line for the person who started us. There is nothing to do about a closed
/// standard error.
fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}
