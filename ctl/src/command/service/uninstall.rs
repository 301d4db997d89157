//! `agentctl service uninstall`.

use std::path::PathBuf;

use clap::Args;

use super::{failed, nowhere, program};
use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error, Kind},
    service::{
        AGENTS, SERVICE, SLICE, SOCKET,
        environment::Taken,
        files::{Found, Place, Wanted},
        manager::{Manager, Unit},
    },
};

/// Stop the service and remove what `install` has written, and nothing else.
///
/// Agents that run go on: the next daemon takes them over, which agentctl run
/// starts by itself then. State, configuration and both programs stay.
#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,

    /// Also remove units that somebody has changed since.
    #[arg(long)]
    force: bool,
}

impl Uninstall {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let (ours, left) = self.files(cx)?;
        for file in &left {
            let path = file.path.display();
            cx.out
                .message(&format!("{path} was not written by agentctl and stays"));
        }
        if self.dry_run {
            for file in &ours {
                cx.out
                    .line(&format!("would remove {}", file.path.display()))?;
            }
            if ours.is_empty() {
                cx.out.message(NOTHING);
            } else if !is_others(&left) {
                cx.out
                    .line("would stop the service, and switch it off; agents go on")?;
            }
            return Ok(EXIT_OK);
        }
        let manager = Manager::of_user(&cx.surroundings)?;
        let service = manager.unit(SERVICE)?;
        if ours.is_empty() && (service.file.is_none() || !left.is_empty()) {
            cx.out.message(NOTHING);
            return Ok(EXIT_OK);
        }
        let running = running(cx, &service).await;
        // A unit of somebody else's is theirs to stop.
        let others = is_others(&left);
        if service.file.is_some() && !others {
            // The socket first, so that nobody starts the daemon again.
            manager.call(&["stop", SOCKET, SERVICE])?;
            manager.call(&["disable", SOCKET, SERVICE])?;
        }
        for file in &ours {
            file.remove()
                .map_err(|error| failed("remove", &file.path, error))?;
            cx.out.message(&format!("removed {}", file.path.display()));
        }
        manager.call(&["daemon-reload"])?;
        // Without its file it ends no agent, and would be remembered for ever.
        let agents = manager.unit(AGENTS)?;
        if agents.file.is_none() && agents.is_active() {
            manager.call(&["stop", AGENTS])?;
        }
        cx.out.message(match manager.unit(SERVICE)?.file {
            Some(_) if others => "the service is another's and goes on",
            Some(_) => "the service is stopped and switched off; its package stays",
            None => "the service is stopped and removed",
        });
        if running > 0 && !others {
            let (agents, them) = match running {
                1 => ("1 agent goes on".to_owned(), "it"),
                more => (format!("{more} agents go on"), "them"),
            };
            cx.out.message(&format!(
                "{agents}: the next agentctl run takes {them} over; systemctl --user kill --signal=SIGKILL {SLICE} ends {them}"
            ));
        }
        Ok(EXIT_OK)
    }

    /// What is ours, and what is not and stays.
    fn files(&self, cx: &Context) -> Result<(Vec<Wanted>, Vec<Wanted>), Error> {
        let around = &cx.surroundings;
        // Where files are does not depend on it, and it may be gone.
        let program = program(around).unwrap_or_else(|| PathBuf::from("/usr/bin/agentd"));
        let place = Place::of(around, &program).ok_or_else(nowhere)?;
        let taken = Taken::of_shell(around, &cx.env);
        let mut files = vec![place.drop_in(&taken.drop_in())];
        files.extend(place.units(&program).unwrap_or_default());
        let (mut ours, mut left, mut edited) = (Vec::new(), Vec::new(), Vec::new());
        for file in files {
            let found = file
                .look()
                .map_err(|error| failed("read", &file.path, error))?;
            match found {
                Found::Missing => {}
                Found::Current | Found::Older => ours.push(file),
                Found::Foreign => left.push(file),
                Found::Edited if self.force => ours.push(file),
                Found::Edited => edited.push(file.path.display().to_string()),
            }
        }
        if !edited.is_empty() {
            let what = format!("{} was changed since agentctl wrote it", edited.join(", "));
            return Err(Error::new(Kind::Conflict, what).hint("--force removes it all the same"));
        }
        Ok((ours, left))
    }
}

const NOTHING: &str = "nothing of agentctl service install is there";

/// Whether the unit itself is somebody else's.
fn is_others(left: &[Wanted]) -> bool {
    left.iter().any(|file| file.path.ends_with(SERVICE))
}

/// How many agents go on without the daemon of the service.
async fn running(cx: &Context, service: &Unit) -> u64 {
    if !service.is_active() {
        return 0;
    }
    for path in cx.env.candidates() {
        let Ok(client) = Client::connect_to(&path).await else {
            continue;
        };
        if let Ok(status) = client.status().await
            && Some(status.pid) == service.pid
        {
            return status.starting + status.running + status.stopping;
        }
    }
    0
}
