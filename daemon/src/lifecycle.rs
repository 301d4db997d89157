//! One life of the daemon, from its lock to its last commit.

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::{
        fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use agentd_proto::endpoint::{Environment, MAX_SOCKET_PATH, SOCKET_NAME};
use anyhow::{Context as _, bail};
use rustix::{
    event::{Timespec, poll},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use sd_notify::NotifyState;
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

use crate::{
    backup::{self, Backups},
    clock::{self, ClockWatch},
    config::Config,
    cron,
    dispatcher::{self, Handle, Parts, ShutDown},
    process::{self, Groups},
    reload::Reloader,
    retention::{self, Collector},
    rpc::{self, Shared},
    spool::{StateDir, make_private},
    store::{OpenError, Store, StoreError},
    supervisor::Place,
};

/// How long the daemon lets what is under way end before it exits.
const STOP: Duration = Duration::from_secs(3);

/// How often, and at what distance, somebody must answer on the socket to be
/// believed to listen there.
const LOOKS: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// How often the lock must be held to be believed another daemon's; on a busy
/// machine a child may take long to become what it is to be.
const LOCK_LOOKS: u32 = 80;

/// Where things are, if not where the environment says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The directory for the store and all other files.
    pub state_dir: Option<PathBuf>,
    /// The socket.
    pub socket: Option<PathBuf>,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting, with its cause; or a store that failed.
pub fn run(options: Options) -> anyhow::Result<()> {
    let config = Config::load(options.config.as_deref())?;
    let environment = Environment::of_process();
    let (state, _lock) = take_state(&state_path(options.state_dir)?)?;
    let socket = options
        .socket
        .or_else(|| environment.socket.as_ref().map(PathBuf::from))
        .or_else(|| environment.runtime_dir().map(|dir| dir.join(SOCKET_NAME)))
        .context("no runtime directory: set XDG_RUNTIME_DIR, or name a socket with --socket")?;
    // Runners and agents work elsewhere.
    let socket = std::path::absolute(socket).context("cannot find the current directory")?;
    backup::tidy(&state).context("cannot remove unfinished copies of the store")?;
    let store = open_store(&state, config.cache_bytes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("agentd")
        .build()
        .context("cannot start the runtime")?;
    let done = runtime.block_on(live((config, options.config), state, socket, store));
    // Reading threads end with the process; nothing of theirs is unfinished.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

/// Where the state directory is, or is to be.
pub(crate) fn state_path(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    named
        .or_else(|| std::env::var_os("STATE_DIRECTORY").map(PathBuf::from))
        .or_else(|| Environment::of_process().state_dir())
        .context("no state directory: set HOME, or name one with --state-dir")
}

/// The state directory, for this process alone for as long as the file is open.
pub(crate) fn take_state(path: &Path) -> anyhow::Result<(StateDir, File)> {
    let state = StateDir::open(path)
        .with_context(|| format!("cannot use the state directory {}", path.display()))?;
    let lock = lock(&state)?;
    Ok((state, lock))
}

async fn live(
    (config, named_config): (Config, Option<PathBuf>),
    state: StateDir,
    socket: PathBuf,
    store: Store,
) -> anyhow::Result<()> {
    let boot_id = process::boot_id().context("cannot read the boot id")?;
    let listener = bind(&socket).await?;
    state
        .point_to_socket(&socket)
        .context("cannot tell runners where the socket is")?;
    let store = Arc::new(store);
    let groups = groups(&config, &state);
    let groups_base = groups.as_ref().map(|groups| groups.base().to_owned());
    let versions = Arc::default();
    let (dispatcher, thread) = dispatcher::start(Parts {
        store: Arc::clone(&store),
        config: Arc::new(config),
        place: Place {
            state: state.clone(),
            boot_id,
            socket: socket.clone(),
            groups,
            open_files: raise_open_files(),
        },
        versions: Arc::clone(&versions),
        runtime: tokio::runtime::Handle::current(),
    })?;
    let stop = CancellationToken::new();
    tracing::info!(
        incarnation = %dispatcher.incarnation(), version = env!("CARGO_PKG_VERSION"),
        socket = %socket.display(), state = %state.path().display(), "agentd is up"
    );
    let backups = Arc::new(Backups::new(
        Arc::clone(&store),
        state.clone(),
        dispatcher.clone(),
        stop.clone(),
    ));
    let reloader = Arc::new(Reloader::new(dispatcher.clone(), named_config));
    let collector = Collector::new(
        dispatcher.clone(),
        Arc::clone(&store),
        state.clone(),
        stop.clone(),
    );
    let shared = Arc::new(Shared {
        collector: collector.clone(),
        versions,
        groups: groups_base,
        backups: Arc::clone(&backups),
        reloader: Arc::clone(&reloader),
        dispatcher: dispatcher.clone(),
        store,
        state,
        socket: socket.clone(),
        started_at: clock::now(),
        stop: stop.clone(),
    });
    let serving = rpc::serve(shared, listener);
    let loop_ended = tokio::task::spawn_blocking(move || thread.join());
    tell_service_manager(&[NotifyState::Ready]);
    let beside = (retention::run(collector), backups.daily());
    supervise(serving, beside, loop_ended, dispatcher, stop, reloader).await
}

/// Where the trees of agents are held; without such a place it goes on, too.
fn groups(config: &Config, state: &StateDir) -> Option<Groups> {
    if !config.cgroups {
        return None;
    }
    match Groups::find(state.path()) {
        Ok(Some(groups)) => {
            let controllers = groups.controllers().join(" ");
            tracing::info!(below = %groups.base().display(), controllers, "attempts have control groups");
            Some(groups)
        }
        Ok(None) => {
            tracing::info!("attempts have no control groups: none may be made");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "attempts have no control groups");
            None
        }
    }
}

/// Waits for a signal, or for the end of a part; then ends the others.
async fn supervise(
    serving: impl Future<Output = anyhow::Result<()>>,
    (collecting, copying): (impl Future<Output = ()>, impl Future<Output = ()>),
    loop_ended: tokio::task::JoinHandle<std::thread::Result<Result<(), StoreError>>>,
    dispatcher: Handle,
    stop: CancellationToken,
    reloader: Arc<Reloader>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut watched = dispatcher.clone();
    let mut clock = ClockWatch::new()
        .inspect_err(|error| tracing::warn!(%error, "cannot see when the clock is set"))
        .ok();
    tell_how_it_is(&watched);
    let schedules_look = Arc::new(Notify::new());
    let scheduling = cron::run(dispatcher.clone(), Arc::clone(&schedules_look));
    let (mut scheduling_ended, mut collecting_ended, mut copying_ended) = (false, false, false);
    tokio::pin!(serving, collecting, copying, loop_ended, scheduling);
    let ended = loop {
        tokio::select! {
            _ = terminate.recv() => { dispatcher.shut_down(ShutDown::Leave).await.ok(); }
            _ = interrupt.recv() => { dispatcher.shut_down(ShutDown::Leave).await.ok(); }
            _ = hang_up.recv() => { reloader.reload().await.ok(); }
            () = jumped(&mut clock) => {
                schedules_look.notify_one();
                dispatcher.clock_set().await.ok();
            }
            () = &mut scheduling, if !scheduling_ended => scheduling_ended = true,
            () = &mut copying, if !copying_ended => copying_ended = true,
            () = &mut collecting, if !collecting_ended => collecting_ended = true,
            Ok(()) = watched.changed() => tell_how_it_is(&watched),
            joined = &mut loop_ended => {
                break joined;
            }
            served = &mut serving => {
                served.context("the server ended")?;
                bail!("the server ended");
            }
        }
    };
    tell_service_manager(&[NotifyState::Stopping]);
    stop.cancel();
    if tokio::time::timeout(STOP, serving).await.is_err() {
        tracing::warn!("clients did not let go in time");
    }
    match ended {
        Ok(Ok(Ok(()))) => {
            tracing::info!("agentd is down; agents go on");
            Ok(())
        }
        Ok(Ok(Err(error))) => Err(error).context("the store failed"),
        Ok(Err(_)) | Err(_) => bail!("the dispatcher panicked"),
    }
}

/// Waits until the wall clock was set, or the machine has slept.
async fn jumped(clock: &mut Option<ClockWatch>) {
    let Some(watch) = clock else {
        return std::future::pending().await;
    };
    match watch.jumped().await {
        Ok(()) => tracing::info!("the clock was set, or the machine has slept"),
        Err(error) => {
            tracing::warn!(%error, "cannot see any more when the clock is set");
            *clock = None;
        }
    }
}

/// Each runner has a connection: as many files as the system grants. Returns
/// the limit before, for agents.
fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.current,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            None
        }
    }
}

/// A line for `systemctl status`.
fn tell_how_it_is(dispatcher: &Handle) {
    let status = match dispatcher.trouble() {
        Some(trouble) => trouble.to_string(),
        None => dispatcher.phase().as_str().to_owned(),
    };
    tell_service_manager(&[NotifyState::Status(&status)]);
}

/// Opens the store. The state directory is ours: whoever else has the file open
/// is a child of an earlier life that is about to begin its own program.
pub(crate) fn open_store(state: &StateDir, cache: u64) -> anyhow::Result<Store> {
    let mut looks = 0;
    loop {
        match Store::open(&state.store(), &state.backups(), cache) {
            Err(OpenError::Io { source, .. })
                if source.kind() == io::ErrorKind::ResourceBusy && looks < LOOKS =>
            {
                looks += 1;
                poll(&mut [], Some(&Timespec::try_from(LOOK_AGAIN)?))?;
            }
            opened => return opened.map_err(|error| advise(error, state)),
        }
    }
}

/// What to do about a store that cannot be opened. Nothing is done about it
/// here: an empty one in its place would be the loss of every task.
fn advise(error: OpenError, state: &StateDir) -> anyhow::Error {
    let hint = match &error {
        OpenError::Damaged { path, .. } => match backup::newest(state) {
            Some(copy) => format!(
                "put the newest copy, {}, in its place, or move {} away to begin anew",
                copy.path.display(),
                path.display()
            ),
            None => format!(
                "there is no copy in {}: put one of your own in its place, or move it away to begin anew",
                state.backups().display()
            ),
        },
        OpenError::Newer { .. } => "use the agentd that wrote it, or a newer one".to_owned(),
        OpenError::Io { .. } => return error.into(),
    };
    let error = anyhow::Error::new(error);
    anyhow::anyhow!("{error:#}\nhint: {hint}")
}

/// Takes the state directory for this process, for as long as the file is open.
fn lock(state: &StateDir) -> anyhow::Result<File> {
    let path = state.lock();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    // A child that an earlier life was about to start when it was killed may
    // hold the lock until its own program begins.
    for look in 0..=LOCK_LOOKS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if look < LOCK_LOOKS => {
                poll(&mut [], Some(&Timespec::try_from(LOOK_AGAIN)?))?;
            }
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    bail!(
        "another agentd uses {}: stop it first (agentctl shutdown), or name another --state-dir",
        state.path().display()
    )
}

/// Makes the socket. The instance lock is held: a socket of an earlier life
/// that nobody answers on is ours to replace.
async fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        bail!(
            "the socket's path {} has {length} bytes; {MAX_SOCKET_PATH} are the limit: name a shorter one with --socket",
            path.display()
        );
    }
    if let Some(dir) = path.parent() {
        make_private(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            bail!("{} is there and is no socket", path.display())
        }
        Ok(_) => {
            // A runner that an earlier life was about to start when it was
            // killed may hold its socket open until its own program begins.
            let mut looks = 0;
            while UnixStream::connect(path).is_ok() {
                looks += 1;
                if looks > LOOKS {
                    bail!("another program answers on {}", path.display());
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            std::fs::remove_file(path)
                .with_context(|| format!("cannot replace {}", path.display()))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look at {}", path.display()));
        }
    }
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Without a service manager this does nothing.
fn tell_service_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}
