//! `agentctl service`.

mod install;
mod status;
mod uninstall;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

#[cfg(test)]
pub(crate) use self::status::View;
use self::{install::Install, status::Status, uninstall::Uninstall};
use crate::{
    autostart,
    cli::Context,
    doctor::{Surroundings, units::lingers},
    error::{Error, Kind},
    service::files::Place,
};

/// Have your service manager start agentd and watch over it.
///
/// For who has built agentd: `install` writes units for `systemctl --user` with
/// the agentd that is beside this agentctl. Where a package has brought the
/// units, it switches those on. For a daemon of the machine see the package.
#[derive(Debug, Args)]
pub(crate) struct Service {
    #[command(subcommand)]
    command: ServiceCommand,
}

#[derive(Debug, Subcommand)]
enum ServiceCommand {
    Install(Install),
    Uninstall(Uninstall),
    Status(Status),
}

impl Service {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        match self.command {
            ServiceCommand::Install(args) => args.run(cx).await,
            ServiceCommand::Uninstall(args) => args.run(cx).await,
            ServiceCommand::Status(args) => args.run(cx),
        }
    }
}

/// The agentd beside this agentctl.
fn program(around: &Surroundings) -> Option<PathBuf> {
    autostart::find_program(around.own.as_deref(), None)
}

/// The program, and where its files belong.
fn place(around: &Surroundings) -> Result<(PathBuf, Place), Error> {
    let program = program(around).ok_or_else(|| {
        let own = around.own.as_deref().and_then(Path::parent);
        let own = own.map_or_else(String::new, |dir| format!(" in {}", dir.display()));
        Error::new(
            Kind::Other,
            format!("there is no agentd beside this agentctl{own}"),
        )
        .hint("cargo install --locked --path daemon, or copy it there")
    })?;
    let place = Place::of(around, &program).ok_or_else(nowhere)?;
    Ok((program, place))
}

fn nowhere() -> Error {
    Error::new(
        Kind::Other,
        "neither XDG_CONFIG_HOME nor HOME is set: nobody knows where units belong",
    )
    .hint("export HOME")
}

/// A file or directory could not be written, read or removed.
fn failed(doing: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Other, format!("cannot {doing} {}", path.display())).because(error)
}

/// What is to be said of a user whose manager ends with the last session, and the
/// command that mends it.
fn linger_hint(around: &Surroundings) -> Option<(String, String)> {
    let user = around.user.as_deref()?;
    (!lingers(around)?).then(|| {
        (
            format!("the daemon and its agents end when {user} logs out"),
            format!("loginctl enable-linger {user}"),
        )
    })
}
