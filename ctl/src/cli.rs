//! The tree of commands.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use agentd_proto::endpoint::Environment;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::{
    autostart,
    client::Client,
    command::{
        agents::Agents,
        backup::Backup,
        completions::Completions,
        doctor::Doctor,
        explain::Explain,
        hold::{Hold, Release},
        logs::Logs,
        ls::Ls,
        metrics::Metrics,
        overview::overview,
        pause::Pause,
        pause::Resume,
        prune::Prune,
        quota::Quota,
        recover::Recover,
        reload::Reload,
        report::Report,
        rerun::Rerun,
        run::Run,
        schedules::Schedules,
        service::Service,
        sessions::Sessions,
        show::Show,
        shutdown::{Drain, Shutdown},
        start::Start,
        status::Status,
        stop::Cancel,
        stop::Kill,
        submit::Submit,
        top::Top,
        usage::Usage,
        version::Version,
        wait::Wait,
        watch::Watch,
        workspace::Workspace,
    },
    complete,
    doctor::Surroundings,
    error::{EXIT_CODES_HELP, Error, Kind},
    output::{Color, Output},
    socket::Sockets,
};

/// Hands work to AI coding agents and shows what became of it.
///
/// agentctl talks to agentd, the daemon that runs agents as durable tasks.
/// `run` and `submit` start it if it is not running. Without a verb agentctl says
/// what is going on.
#[derive(Debug, Parser)]
#[command(name = "agentctl", version, after_long_help = EXIT_CODES_HELP)]
struct Cli {
    /// The daemon's socket [default: $AGENTD_SOCKET, else that of this user's
    /// daemon, else /run/agentd/agentd.sock].
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Common options"
    )]
    socket: Option<PathBuf>,

    /// When to colour.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    #[arg(help_heading = "Common options")]
    color: Color,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Run),
    Submit(Submit),
    // Docker's and systemctl's words for the same are understood.
    #[command(visible_alias = "list", alias = "ps")]
    Ls(Ls),
    #[command(alias = "inspect")]
    Show(Show),
    Explain(Explain),
    Logs(Logs),
    Watch(Watch),
    Top(Top),
    Wait(Wait),
    #[command(alias = "stop")]
    Cancel(Cancel),
    Kill(Kill),
    Rerun(Rerun),
    Sessions(Sessions),
    Workspace(Workspace),
    Prune(Prune),
    Hold(Hold),
    Release(Release),
    Pause(Pause),
    Resume(Resume),
    Schedules(Schedules),
    Quota(Quota),
    Usage(Usage),
    Metrics(Metrics),
    Status(Status),
    Agents(Agents),
    Doctor(Doctor),
    Service(Service),
    Backup(Backup),
    Start(Start),
    Reload(Reload),
    Drain(Drain),
    Shutdown(Shutdown),
    Recover(Recover),
    Report(Report),
    Completions(Completions),
    Version(Version),
}

impl Command {
    async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        match self {
            Self::Run(args) => args.run(cx).await,
            Self::Submit(args) => args.run(cx).await,
            Self::Ls(args) => args.run(cx).await,
            Self::Show(args) => args.run(cx).await,
            Self::Explain(args) => args.run(cx).await,
            Self::Logs(args) => args.run(cx).await,
            Self::Watch(args) => args.run(cx).await,
            Self::Top(args) => args.run(cx).await,
            Self::Wait(args) => args.run(cx).await,
            Self::Cancel(args) => args.run(cx).await,
            Self::Kill(args) => args.run(cx).await,
            Self::Rerun(args) => args.run(cx).await,
            Self::Sessions(args) => args.run(cx).await,
            Self::Workspace(args) => args.run(cx).await,
            Self::Prune(args) => args.run(cx).await,
            Self::Hold(args) => args.run(cx).await,
            Self::Release(args) => args.run(cx).await,
            Self::Pause(args) => args.run(cx).await,
            Self::Resume(args) => args.run(cx).await,
            Self::Schedules(args) => args.run(cx).await,
            Self::Quota(args) => args.run(cx).await,
            Self::Usage(args) => args.run(cx).await,
            Self::Metrics(args) => args.run(cx).await,
            Self::Status(args) => args.run(cx).await,
            Self::Agents(args) => args.run(cx).await,
            Self::Doctor(args) => args.run(cx).await,
            Self::Service(args) => args.run(cx).await,
            Self::Backup(args) => args.run(cx).await,
            Self::Start(args) => args.run(cx).await,
            Self::Reload(args) => args.run(cx).await,
            Self::Drain(args) => args.run(cx).await,
            Self::Shutdown(args) => args.run(cx).await,
            Self::Recover(args) => args.run(cx).await,
            Self::Report(args) => args.run(cx).await,
            Self::Completions(args) => args.run(cx),
            Self::Version(args) => args.run(cx).await,
        }
    }
}

/// What every command has at hand.
pub(crate) struct Context {
    /// Where to print.
    pub(crate) out: Output,
    /// Where the daemon is.
    pub(crate) sockets: Sockets,
    pub(crate) env: Environment,
    /// What else `doctor` looks at.
    pub(crate) surroundings: Surroundings,
    /// A variable of the environment.
    pub(crate) variable: fn(&str) -> Option<String>,
}

impl Context {
    /// Connects to the daemon.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) async fn client(&self) -> Result<Client, Error> {
        Client::reach(&self.sockets).await
    }

    /// Whether [`Self::client_or_start`] may start one.
    pub(crate) fn starts(&self) -> bool {
        autostart::is_on(&self.sockets, &self.surroundings)
    }

    /// Connects to the daemon, starting it if need be.
    ///
    /// # Errors
    /// Nobody answers and none could be started.
    pub(crate) async fn client_or_start(&mut self) -> Result<Client, Error> {
        autostart::reach_or_start(self).await
    }
}

/// Parses the arguments, runs the command, says what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = complete::answer(command) {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Also --help and --version, to stdout.
        Err(usage) => {
            let code = u8::try_from(usage.exit_code()).unwrap_or(crate::error::EXIT_USAGE);
            // Nobody reads it: nothing to be done.
            drop(print_usage(&usage));
            return ExitCode::from(code);
        }
    };
    let env = Environment::of_process();
    let surroundings = Surroundings::of_process();
    let mut cx = Context {
        out: Output::of_process(cli.color),
        sockets: Sockets::choose(cli.socket.as_deref(), &env, &surroundings),
        env,
        surroundings,
        variable: |name| std::env::var(name).ok(),
    };
    let code = perform(cli.command, &mut cx);
    cx.out.finish(code)
}

/// Help and versions as they are; what is wrong begins as all errors do.
fn print_usage(usage: &clap::Error) -> io::Result<()> {
    if !usage.use_stderr() {
        return usage.print();
    }
    write!(anstream::stderr(), "{}", misused(usage))
}

fn misused(usage: &clap::Error) -> String {
    let said = usage.render().ansi().to_string();
    said.replacen("error:", "agentctl:", 1)
}

/// The exit code; what went wrong is said.
fn perform(command: Option<Command>, cx: &mut Context) -> u8 {
    match execute(command, cx) {
        Ok(code) => code,
        Err(error) => {
            cx.out.error(&error);
            error.kind().exit_code()
        }
    }
}

/// All there is to say on the command line, for manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

fn execute(command: Option<Command>, cx: &mut Context) -> Result<u8, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Other, "cannot start the runtime").because(error))?
        .block_on(async {
            let done = match command {
                Some(command) => command.run(cx).await,
                None => overview(cx).await,
            };
            match done {
                Err(error) if error.is_unknown_call() => Err(with_versions(cx, error).await),
                done => done,
            }
        })
}

/// Which of both is older, if the daemon says it.
async fn with_versions(cx: &Context, error: Error) -> Error {
    let status = match cx.client().await {
        Ok(client) => client.status().await,
        Err(unreachable) => Err(unreachable),
    };
    let Ok(daemon) = status.map(|status| status.version) else {
        return error;
    };
    let own = env!("CARGO_PKG_VERSION");
    if daemon == own {
        return error;
    }
    error
        .because(format!("agentd is {daemon}, agentctl is {own}"))
        .hint("after an upgrade: agentctl shutdown ends the old agentd, and running agents go on")
}

#[cfg(test)]
mod tests;
