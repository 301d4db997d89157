//! Starts the per-user daemon for a submit that finds none.
//!
//! Not where the user named a socket, where a service manager is to start it (this
//! user has a unit of it, or a package has and systemd runs), or where `AGENTCTL_NO_AUTOSTART` says so. The daemon gets a process group
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
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use agentd_proto::endpoint::Environment;

use crate::{
    client::{Client, unreachable},
    error::{Error, Kind},
    output::Output,
    reconnect::Backoff,
    socket::{Refusal, Sockets},
};

/// How long a daemon may take from its start to its first answer.
const START: Duration = Duration::from_secs(10);

/// How long another daemon, started at the same time and faster, may take.
const RIVAL: Duration = Duration::from_secs(2);

/// How long the log may be before a start sets it aside, bytes. Only one older
/// log is kept.
const LOG_LIMIT: u64 = 8 << 20;

/// How much of the log to read for its last lines, bytes.
const LOG_TAIL: u64 = 4096;

/// Whether it is for agentctl to start the daemon: the user named none, did not
/// forbid it, and has no unit of it.
pub(crate) fn is_on(sockets: &Sockets, env: &Environment) -> bool {
    !sockets.named && !is_forbidden() && unit(env).is_none()
}

fn is_forbidden() -> bool {
    switched_off(env::var_os("AGENTCTL_NO_AUTOSTART").as_deref())
}

/// What starts the daemon if a service manager is to do it.
fn unit(env: &Environment) -> Option<&'static str> {
    let config_home = env::var_os("XDG_CONFIG_HOME");
    if unit_installed(own_units(env, config_home.as_deref())) {
        return Some("systemctl --user start agentd");
    }
    // A package may be where systemd does not run, as in a container.
    let runs = Path::new("/run/systemd/system").is_dir();
    (runs && unit_installed(PACKAGED)).then_some("agentctl service install switches it on for you")
}

/// Connects to the daemon, starting it if none answers and none was named.
///
/// # Errors
/// None could be reached or started.
pub(crate) async fn reach_or_start(
    sockets: &Sockets,
    env: &Environment,
    out: &mut Output,
) -> Result<Client, Error> {
    let refusals = match Client::connect(sockets).await {
        Ok(client) => return Ok(client),
        Err(refusals) => refusals,
    };
    // A user may have a daemon of their own beside one they may not talk to.
    let start = !sockets.named && refusals.first().is_some_and(Refusal::nobody_there);
    if !start || is_forbidden() {
        return Err(unreachable(refusals));
    }
    if let Some(start) = unit(env) {
        return Err(unreachable(refusals).hint(start));
    }
    let beside = env::current_exe().ok();
    let program = find_program(beside.as_deref(), env::var_os("PATH").as_deref())
        .ok_or_else(|| unreachable(refusals).hint("install agentd beside agentctl, or on PATH"))?;
    let log = Log::open(env)
        .map_err(|error| Error::new(Kind::Unreachable, "cannot start agentd").because(error))?;
    let child = spawn(&program, &log)?;
    out.message(&format!(
        "started agentd (pid {}), its log is {}",
        child.id(),
        log.path.display()
    ));
    answer(sockets, child, &log).await
}

fn switched_off(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != "0")
}

/// Where packages and the administrator install units for users' managers.
const PACKAGED: [&str; 4] = [
    "/etc/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
    "/lib/systemd/user",
];

/// Where this user's own units are.
fn own_units(env: &Environment, config_home: Option<&OsStr>) -> Option<PathBuf> {
    let config = config_home
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(env.home.as_ref()?).join(".config")));
    config.map(|config| config.join("systemd/user"))
}

fn unit_installed(dirs: impl IntoIterator<Item = impl AsRef<Path>>) -> bool {
    let mut dirs = dirs.into_iter();
    dirs.any(|dir| dir.as_ref().join("agentd.service").exists())
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
fn spawn(program: &Path, log: &Log) -> Result<Child, Error> {
    let failed = |error: io::Error| {
        Error::new(
            Kind::Unreachable,
            format!("cannot start {}", program.display()),
        )
        .because(error)
    };
    Command::new(program)
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
    let mut backoff = Backoff::new(START);
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
            Some((status, _)) => {
                let said = log.last_lines().unwrap_or_default();
                let said = if said.is_empty() {
                    format!("it said nothing in {}", log.path.display())
                } else {
                    said
                };
                Error::new(
                    Kind::Unreachable,
                    format!("agentd ended as soon as it was started ({status})"),
                )
                .because(said)
                .hint("agentd check-config tells whether its configuration is at fault")
            }
            None => unreachable(refusals).hint(format!(
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
    fn units_are_looked_for_where_they_are_installed() {
        let env = Environment {
            home: Some("/home/ann".into()),
            ..Environment::default()
        };
        let own = |config_home: Option<&str>| own_units(&env, config_home.map(OsStr::new));
        let default = Some(PathBuf::from("/home/ann/.config/systemd/user"));
        assert_eq!(own(None), default);
        assert_eq!(own(Some("")), default);
        assert_eq!(own(Some("/conf")), Some("/conf/systemd/user".into()));
        assert_eq!(own_units(&Environment::default(), None), None);
        let dir = tempfile::tempdir().unwrap();
        assert!(!unit_installed([dir.path()]));
        fs::write(dir.path().join("agentd.service"), "").unwrap();
        assert!(unit_installed([dir.path()]));
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
