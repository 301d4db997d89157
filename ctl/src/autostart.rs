//! Starts the per-user daemon for a submit that finds none, and for `start`.
//!
//! Not where a service manager is to start it (this user has a unit of it, or a
//! package has and systemd runs). Unasked also not where the user named a socket,
//! or where `AGENTCTL_NO_AUTOSTART` says so. The daemon gets a process group
//! of its own, so that a Ctrl-C meant for agentctl does not reach it.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::{
        fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{self, Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use agentd_proto::endpoint::Environment;

use crate::{
    cli::Context,
    client::{Client, unreachable},
    doctor::{
        Surroundings,
        units::{own_unit, packaged_unit, system_start_command},
    },
    error::{Error, Kind},
    reconnect::Backoff,
    socket::{Refusal, Sockets},
};

/// The command that starts a daemon where agentctl may do so.
pub(crate) const START: &str = "agentctl start";

/// How long a daemon may take from its start to its first answer.
const BEGIN: Duration = Duration::from_secs(10);

/// How long another daemon, started at the same time and faster, may take.
const RIVAL: Duration = Duration::from_secs(2);

/// How long the log may be before a start sets it aside, bytes. Only one older
/// log is kept.
const LOG_LIMIT: u64 = 8 << 20;

/// How much of the log to read for its last lines, bytes.
const LOG_TAIL: u64 = 4096;

/// Whether it is for agentctl to start the daemon: the user named none, did not
/// forbid it, and has no unit of it.
pub(crate) fn is_on(sockets: &Sockets, around: &Surroundings) -> bool {
    !sockets.named && !is_forbidden() && unit(around).is_none()
}

fn is_forbidden() -> bool {
    switched_off(env::var_os("AGENTCTL_NO_AUTOSTART").as_deref())
}

/// What starts the daemon if a service manager is to do it.
fn unit(around: &Surroundings) -> Option<&'static str> {
    if own_unit(around) {
        return Some("systemctl --user start agentd");
    }
    packaged_unit(around).then_some("agentctl service install switches it on for you")
}

/// The command that starts the daemon of a user who names no socket.
pub(crate) fn how(around: &Surroundings) -> String {
    match (unit(around), system_start_command(around)) {
        (Some(unit), _) => unit.to_owned(),
        (None, Some(system)) => format!("{system}, or {START} for one of your own"),
        (None, None) => START.to_owned(),
    }
}

/// Connects to the daemon, starting it if none answers and none was named.
///
/// # Errors
/// None could be reached or started.
pub(crate) async fn reach_or_start(cx: &mut Context) -> Result<Client, Error> {
    match Client::connect(&cx.sockets).await {
        Ok(client) => Ok(client),
        Err(refusals) if cx.sockets.named || is_forbidden() => {
            Err(unreachable(refusals, &cx.sockets.start))
        }
        Err(refusals) => start(cx, refusals).await,
    }
}

/// Starts a daemon where the first of these sockets has none, and waits until it
/// answers.
///
/// # Errors
/// It may not be, or could not be, started.
pub(crate) async fn start(cx: &mut Context, refusals: Vec<Refusal>) -> Result<Client, Error> {
    let sockets = &cx.sockets;
    // A user may have a daemon of their own beside one they may not talk to.
    let vacant = refusals.first().is_some_and(Refusal::nobody_there);
    if !vacant || (!sockets.named && unit(&cx.surroundings).is_some()) {
        return Err(unreachable(refusals, &sockets.start));
    }
    let around = &cx.surroundings;
    let Some(program) = find_program(around.own.as_deref(), around.path.as_deref()) else {
        let error = unreachable(refusals, &sockets.start);
        return Err(error.hint("install agentd beside agentctl, or on PATH"));
    };
    let log = Log::open(&cx.env)
        .map_err(|error| Error::new(Kind::Unreachable, "cannot start agentd").because(error))?;
    let socket = sockets.paths.first().filter(|_| sockets.named);
    let child = spawn(&program, socket.map(PathBuf::as_path), &log)?;
    let pid = child.id();
    let client = answer(sockets, child, &log).await?;
    let log = log.path.display();
    cx.out
        .message(&format!("started agentd (pid {pid}), its log is {log}"));
    Ok(client)
}

fn switched_off(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != "0")
}

/// `agentd` beside this program, else on PATH.
pub(crate) fn find_program(own: Option<&Path>, path: Option<&OsStr>) -> Option<PathBuf> {
    let beside = own.and_then(Path::parent).map(Path::to_path_buf);
    let listed = path.map(|path| env::split_paths(path).collect::<Vec<_>>());
    beside
        .into_iter()
        .chain(listed.unwrap_or_default())
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("agentd"))
        .find(|file| is_executable(file))
}

pub(crate) fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The log of a daemon that has no service manager to keep it.
struct Log {
    path: PathBuf,
    file: File,
    /// Where this start's part begins.
    from: u64,
}

impl Log {
    fn open(env: &Environment) -> io::Result<Self> {
        let dir = env
            .state_dir()
            .ok_or_else(|| io::Error::other("neither HOME nor XDG_STATE_HOME is set"))?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)?;
        let path = dir.join("agentd.log");
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > LOG_LIMIT) {
            fs::rename(&path, dir.join("agentd.log.1"))?;
        }
        let file = File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)?;
        let from = file.metadata()?.len();
        Ok(Self { path, file, from })
    }

    /// Why a daemon that has ended at once did so: its own words, and its own hint.
    fn obituary(&self, status: ExitStatus) -> Error {
        let said = self.last_lines().unwrap_or_default();
        let path = self.path.display();
        let (hints, said): (Vec<&str>, Vec<&str>) =
            said.lines().partition(|line| line.starts_with("hint: "));
        let why = match said.as_slice() {
            [] => format!("it said nothing in {path}"),
            said => said.join("\n"),
        };
        let hint = match hints.last().and_then(|hint| hint.strip_prefix("hint: ")) {
            Some(hint) => hint.to_owned(),
            None => format!("agentd check-config reads its configuration; its log is {path}"),
        };
        let what = format!("agentd ended as soon as it was started ({status})");
        Error::new(Kind::Unreachable, what).because(why).hint(hint)
    }

    /// The last lines since the start.
    fn last_lines(&self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(
            length.saturating_sub(LOG_TAIL).max(self.from),
        ))?;
        let mut text = Vec::new();
        file.take(LOG_TAIL).read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        Ok(lines[lines.len().saturating_sub(5)..].join("\n"))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where agentctl starts a process"
)]
fn spawn(program: &Path, socket: Option<&Path>, log: &Log) -> Result<Child, Error> {
    let failed = |error: io::Error| {
        Error::new(
            Kind::Unreachable,
            format!("cannot start {}", program.display()),
        )
        .because(error)
    };
    let mut command = Command::new(program);
    if let Some(socket) = socket {
        // It runs in another directory.
        let socket = path::absolute(socket).map_err(failed)?;
        command.arg("--socket").arg(socket);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.file.try_clone().map_err(failed)?)
        // It must not keep the caller's directory from being unmounted.
        .current_dir("/")
        // What a service manager gave to our caller is not for the daemon.
        .env_remove("RUNTIME_DIRECTORY")
        .env_remove("STATE_DIRECTORY")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_PID")
        // It would be taken for a process of the attempt, and refuses to start.
        .env_remove("AGENTD_ATTEMPT")
        .process_group(0)
        .spawn()
        .map_err(failed)
}

/// Waits until the socket answers, or the daemon dies.
async fn answer(sockets: &Sockets, mut child: Child, log: &Log) -> Result<Client, Error> {
    let mut backoff = Backoff::new(BEGIN);
    let mut died: Option<(ExitStatus, Backoff)> = None;
    loop {
        let refusals = match Client::connect(sockets).await {
            Ok(client) => return Ok(client),
            Err(refusals) => refusals,
        };
        if died.is_none() {
            let ended = child.try_wait().ok().flatten();
            died = ended.map(|status| (status, Backoff::new(RIVAL)));
        }
        // One that died because another holds the lock leaves that one to answer.
        let waiting = match &mut died {
            Some((_, rival)) => rival.pause().await,
            None => backoff.pause().await,
        };
        if waiting {
            continue;
        }
        return Err(match died {
            Some((status, _)) => log.obituary(status),
            None => unreachable(refusals, &sockets.start).hint(format!(
                "agentd was started and does not answer yet: look into {}",
                log.path.display()
            )),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch() {
        assert!(!switched_off(None));
        assert!(!switched_off(Some("".as_ref())));
        assert!(!switched_off(Some("0".as_ref())));
        assert!(switched_off(Some("1".as_ref())));
    }

    #[test]
    fn how_to_start_it_follows_what_is_installed() {
        let dir = tempfile::tempdir().unwrap();
        let around = Surroundings {
            config_home: Some(dir.path().join("conf")),
            root: dir.path().join("root"),
            ..Surroundings::default()
        };
        let install = |path: &str| {
            let file = dir.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        };
        assert_eq!(how(&around), "agentctl start");
        install("root/lib/systemd/system/agentd.service");
        // It is there; whether it is used is for its administrator to say.
        assert_eq!(how(&around), "agentctl start");
        install("root/etc/systemd/system/multi-user.target.wants/agentd.service");
        assert_eq!(
            how(&around),
            "sudo systemctl start agentd, or agentctl start for one of your own"
        );
        install("root/usr/lib/systemd/user/agentd.service");
        // A package may be where systemd does not run, as in a container.
        assert_eq!(unit(&around), None);
        fs::create_dir_all(dir.path().join("root/run/systemd/system")).unwrap();
        assert_eq!(
            how(&around),
            "agentctl service install switches it on for you"
        );
        install("conf/systemd/user/agentd.service");
        assert_eq!(how(&around), "systemctl --user start agentd");
    }

    #[test]
    fn the_hint_of_a_daemon_that_died_is_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let env = Environment {
            xdg_state_home: Some(dir.path().into()),
            ..Environment::default()
        };
        let log = Log::open(&env).unwrap();
        let status = ExitStatus::default();
        let silent = log.obituary(status);
        assert!(silent.render().contains("it said nothing"), "{silent:?}");
        fs::write(&log.path, "agentd: the store is damaged\nhint: look here\n").unwrap();
        let told = log.obituary(status).render();
        assert!(
            told.ends_with(": agentd: the store is damaged\nhint: look here"),
            "{told}"
        );
    }

    #[test]
    fn the_neighbour_comes_before_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for place in [&a, &b] {
            fs::create_dir(place).unwrap();
            fs::write(place.join("agentd"), "").unwrap();
        }
        let own = a.join("agentctl");
        let path = env::join_paths(["relative".into(), b.clone()]).unwrap();
        let find = || find_program(Some(&own), Some(&path));
        // A file that may not be executed is no program.
        assert_eq!(find(), None);
        let mode = |place: &Path| {
            fs::set_permissions(place.join("agentd"), fs::Permissions::from_mode(0o755)).unwrap();
        };
        mode(&b);
        assert_eq!(find(), Some(b.join("agentd")));
        mode(&a);
        assert_eq!(find(), Some(a.join("agentd")));
    }

    #[test]
    fn the_log_is_private_and_only_this_start_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let env = Environment {
            xdg_state_home: Some(dir.path().into()),
            ..Environment::default()
        };
        drop(Log::open(&env).unwrap());
        let path = dir.path().join("agentd/agentd.log");
        fs::write(&path, "an older start\n").unwrap();
        let log = Log::open(&env).unwrap();
        assert_eq!(log.last_lines().unwrap(), "");
        let lines: String = (1..=7).map(|n| format!("line {n}\n")).collect();
        fs::write(&path, format!("an older start\n{lines}")).unwrap();
        assert_eq!(
            log.last_lines().unwrap(),
            "line 3\nline 4\nline 5\nline 6\nline 7"
        );
        let long = File::options().write(true).open(&path).unwrap();
        long.set_len(LOG_LIMIT + 1).unwrap();
        assert_eq!(Log::open(&env).unwrap().from, 0);
        assert!(path.with_extension("log.1").exists());

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }
}
