//! `agentctl service install`.

use std::path::{Path, PathBuf};

use agentd_proto::{endpoint::SYSTEM_SOCKET, v1};
use clap::Args;

use super::{failed, linger_hint, place};
use crate::{
    cli::Context,
    client::Client,
    command::shutdown::wait_for_end,
    error::{EXIT_OK, Error, Kind},
    output::table::one_line,
    service::{
        SERVICE, SOCKET,
        environment::Taken,
        files::{Found, Place, Wanted},
        manager::{Manager, command_line},
    },
};

const HELP: &str = "\
It may be run again at any time: after agentd was moved, or when the PATH of this
shell has changed. What goes on under the daemon goes on.";

/// Write the units, and have agentd started now and at each login.
///
/// The daemon gets the PATH of this shell, so that it finds the same programs of
/// agents. One that agentctl has started before is taken over with all its
/// agents.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Install {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,

    /// Also replace files that somebody else has written or changed.
    #[arg(long)]
    force: bool,
}

/// What is to be done with files.
struct Plan {
    program: PathBuf,
    place: Place,
    taken: Taken,
    write: Vec<Wanted>,
    /// Ours from before a package brought the same.
    remove: Vec<Wanted>,
}

impl Plan {
    fn make(cx: &Context, force: bool) -> Result<Self, Error> {
        let around = &cx.surroundings;
        let (program, place) = place(around)?;
        let taken = Taken::of_shell(around, &cx.env);
        let units = place.units(&program).map_err(|program| {
            let what = format!("no unit can start {}", program.display());
            Error::new(Kind::Other, what)
                .because("its path has quotes, backslashes, $ or ; in it")
                .hint("install agentd and agentctl somewhere else")
        })?;
        let (wanted, unwanted) = match place.packaged {
            Some(_) => (Vec::new(), units),
            None => (units, Vec::new()),
        };
        let (mut write, mut remove, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        let drop_in = place.drop_in(&taken.drop_in());
        for file in wanted.into_iter().chain([drop_in]) {
            match look(&file)? {
                Found::Current => {}
                Found::Missing | Found::Older => write.push(file),
                Found::Edited | Found::Foreign if force => write.push(file),
                found @ (Found::Edited | Found::Foreign) => kept.push(told(&file.path, found)),
            }
        }
        for file in unwanted {
            match look(&file)? {
                Found::Missing => {}
                Found::Current | Found::Older => remove.push(file),
                // It is what systemd goes by, and not what the package says.
                found @ (Found::Edited | Found::Foreign) => match force {
                    true => remove.push(file),
                    false => kept.push(told(&file.path, found)),
                },
            }
        }
        if !kept.is_empty() {
            return Err(Error::new(Kind::Conflict, kept.join("; ")).hint(
                "move it aside, put changes into a drop-in (systemctl --user edit agentd), or replace it with --force",
            ));
        }
        Ok(Self {
            program,
            place,
            taken,
            write,
            remove,
        })
    }

    /// What the service will find, and what it will not.
    fn tell(&self, cx: &mut Context) -> Result<(), Error> {
        let out = &mut cx.out;
        out.line(&format!(
            "program:  {}",
            one_line(&self.program.to_string_lossy())
        ))?;
        if let Some(file) = &self.place.packaged {
            out.line(&format!(
                "units:    those of {}",
                one_line(&file.to_string_lossy())
            ))?;
        }
        out.line(&format!("PATH:     {}", one_line(&self.taken.path)))?;
        for (name, program) in &self.taken.agents {
            let found = match program {
                Some(program) => one_line(&program.to_string_lossy()),
                None => "not on this shell's PATH".to_owned(),
            };
            out.line(&format!("{:<9} {found}", format!("{name}:")))?;
        }
        if !self.taken.left_out.is_empty() {
            let left_out = one_line(&self.taken.left_out.join(", "));
            out.note(&format!(
                "left out of PATH, since they are not there: {left_out}"
            ));
        }
        Ok(())
    }

    /// Writes and removes; whether anything was.
    fn apply(&self, cx: &mut Context) -> Result<bool, Error> {
        for file in &self.write {
            file.write()
                .map_err(|error| failed("write", &file.path, error))?;
            cx.out.message(&format!("wrote {}", file.path.display()));
        }
        for file in &self.remove {
            file.remove()
                .map_err(|error| failed("remove", &file.path, error))?;
            let path = file.path.display();
            cx.out
                .message(&format!("removed {path}: the package has it"));
        }
        Ok(!self.write.is_empty() || !self.remove.is_empty())
    }
}

fn look(file: &Wanted) -> Result<Found, Error> {
    file.look()
        .map_err(|error| failed("read", &file.path, error))
}

fn told(path: &Path, found: Found) -> String {
    let path = path.display();
    match found {
        Found::Edited => format!("{path} was changed since agentctl wrote it"),
        Found::Foreign | Found::Missing | Found::Current | Found::Older => {
            format!("{path} was not written by agentctl")
        }
    }
}

/// Both are enabled: by the socket nothing would be started before somebody
/// connects, and what is queued or scheduled is to go on after a restart of the
/// machine.
const ENABLE: [&str; 3] = ["enable", SOCKET, SERVICE];

impl Install {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let plan = Plan::make(cx, self.force)?;
        plan.tell(cx)?;
        if self.dry_run {
            dry(&plan, cx).await?;
            return Ok(EXIT_OK);
        }
        let manager = Manager::of_user(&cx.surroundings)?;
        let changed = plan.apply(cx)?;
        manager.call(&["daemon-reload"])?;
        let before = manager.unit(SERVICE)?;
        goes_by(&plan, before.file.as_deref())?;
        if !before.is_active() {
            hand_over(cx, &manager).await?;
        }
        manager.call(&ENABLE)?;
        manager.call(&["start", SOCKET])?;
        let how = match changed && before.is_active() {
            true => "restart",
            false => "start",
        };
        manager.call(&[how, SERVICE])?;
        cx.out.message(match (how, before.is_active()) {
            ("restart", _) => "agentd was restarted; agents go on",
            (_, true) => "agentd runs as your service already",
            (_, false) => "agentd runs as your service, and is started at each login",
        });
        if cx.env.socket.is_some() {
            let named = "AGENTD_SOCKET is set in this shell: agentctl talks to the daemon there, which is not this service";
            cx.out.message(named);
        }
        if let Some((what, fix)) = linger_hint(&cx.surroundings) {
            cx.out.message(&format!("{what}; {fix} keeps them"));
        }
        cx.out.note("agentctl service status says how it is");
        Ok(EXIT_OK)
    }
}

async fn dry(plan: &Plan, cx: &mut Context) -> Result<(), Error> {
    for file in &plan.write {
        cx.out
            .line(&format!("would write {}", file.path.display()))?;
    }
    for file in &plan.remove {
        cx.out
            .line(&format!("would remove {}", file.path.display()))?;
    }
    // Without a manager no daemon is its own.
    let manager = Manager::of_user(&cx.surroundings).ok();
    let service = manager.and_then(|manager| manager.unit(SERVICE).ok()?.pid);
    for path in own_sockets(cx) {
        let Ok(client) = Client::connect_to(&path).await else {
            continue;
        };
        let status = client.status().await?;
        if service != Some(status.pid) {
            let agents = status.starting + status.running + status.stopping;
            cx.out.line(&format!(
                "would end the agentd that runs without a service (pid {}){}",
                status.pid,
                go_on(agents)
            ))?;
            break;
        }
    }
    let start = ["start", SOCKET, SERVICE];
    for words in [&["daemon-reload"][..], &ENABLE, &start] {
        cx.out.line(&format!("would run {}", command_line(words)))?;
    }
    Ok(())
}

/// Whether the manager looks where the units were written.
fn goes_by(plan: &Plan, file: Option<&Path>) -> Result<(), Error> {
    let own = plan.place.service();
    let wanted = plan.place.packaged.as_ref().unwrap_or(&own);
    let same = |a: &Path, b: &Path| a.canonicalize().ok() == b.canonicalize().ok();
    match file {
        Some(file) if same(file, wanted) => Ok(()),
        other => {
            let other = other.map_or("none".into(), |file| file.to_string_lossy());
            Err(Error::new(
                Kind::Conflict,
                format!(
                    "the service manager goes by another unit than {}: {other}",
                    wanted.display()
                ),
            )
            .because(
                "it looks in other directories first, or was started with another XDG_CONFIG_HOME",
            )
            .hint("systemctl --user show-environment; unset XDG_CONFIG_HOME, or log in anew"))
        }
    }
}

/// What becomes of the agents of a daemon that ends.
fn go_on(agents: u64) -> String {
    match agents {
        0 => String::new(),
        1 => "; its agent goes on".to_owned(),
        more => format!("; its {more} agents go on"),
    }
}

/// Where a daemon of this user may listen.
fn own_sockets(cx: &Context) -> Vec<PathBuf> {
    let mut sockets = agentd_proto::endpoint::Environment {
        socket: None,
        ..cx.env.clone()
    }
    .candidates();
    sockets.retain(|path| path != Path::new(SYSTEM_SOCKET));
    // Wherever it listens, its directory says so.
    sockets.extend(cx.env.state_dir().map(|state| state.join("socket")));
    sockets
}

/// Ends a daemon that no manager has started, so that the service finds the
/// socket and the store free. Its agents go on.
async fn hand_over(cx: &mut Context, manager: &Manager) -> Result<(), Error> {
    for path in own_sockets(cx) {
        let Ok(client) = Client::connect_to(&path).await else {
            continue;
        };
        let pid = client.status().await?.pid;
        // The socket may have started the service just now.
        if manager.unit(SERVICE)?.pid == Some(pid) {
            return Ok(());
        }
        let ended = client.shutdown(v1::ShutdownRequest::default()).await?;
        if !wait_for_end(&mut cx.out, pid).await {
            let what = format!("the agentd that runs already (pid {pid}) takes its time to end");
            return Err(
                Error::new(Kind::Timeout, what).hint("agentctl service install once it has ended")
            );
        }
        let agents = go_on(ended.running);
        cx.out.message(&format!(
            "the agentd that ran without a service (pid {pid}) has ended{agents}"
        ));
    }
    Ok(())
}
