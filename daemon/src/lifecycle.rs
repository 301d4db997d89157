//! One life of the daemon, from its lock to its last commit.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use agentd_proto::endpoint::{Environment, SOCKET_NAME};
use anyhow::{Context as _, bail};
use rustix::{
    event::{Timespec, poll},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    backup::{self, Backups},
    clock::{self, ClockWatch},
    config::Config,
    cron,
    dispatcher::{self, Handle, Parts, ShutDown},
    process::{self, Containment},
    reload::Reloader,
    retention::{self, Collector},
    rpc::{self, Shared},
    service::{self, Listener, Manager, Notifier, Patience},
    spool::StateDir,
    store::{OpenError, Store, StoreError},
    supervisor::Place,
};

/// How long the daemon lets what is under way end before it exits.
const STOP: Duration = Duration::from_secs(3);

/// How often, and at what distance, the store must be in use to be believed
/// another's.
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

/// Runs the daemon until it is told to stop, for `manager` if it has one.
///
/// # Errors
/// Whatever keeps it from starting, with its cause; or a store that failed.
pub fn run(options: Options, manager: Manager) -> anyhow::Result<()> {
    let config = Config::load(options.config.as_deref())?;
    let (state, _lock) = take_state(&state_path(options.state_dir)?)?;
    // Runners and agents work elsewhere.
    let named = options.socket.map(std::path::absolute).transpose();
    let named = named.context("cannot find the current directory")?;
    let patience = manager.notifier.patience("opening the task store");
    backup::tidy(&state).context("cannot remove unfinished copies of the store")?;
    let store = open_store(&state, config.cache_bytes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("agentd")
        .build()
        .context("cannot start the runtime")?;
    let done = runtime.block_on(async {
        let mut manager = manager;
        let open = !config.access.is_closed();
        let listener = listen(&mut manager, named, open).await?;
        live(
            (config, options.config),
            state,
            listener,
            store,
            (manager, patience),
        )
        .await
    });
    // Reading threads end with the process; nothing of theirs is unfinished.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

/// The socket that the manager keeps, else one of our own.
async fn listen(
    manager: &mut Manager,
    named: Option<PathBuf>,
    open: bool,
) -> anyhow::Result<Listener> {
    if let Some(listener) = manager.listener(named.as_deref())? {
        return Ok(listener);
    }
    let environment = Environment::of_process();
    let chosen = named.is_some() || environment.socket.is_some();
    let path = named
        .or_else(|| environment.socket.as_ref().map(PathBuf::from))
        .or_else(|| environment.runtime_dir().map(|dir| dir.join(SOCKET_NAME)))
        .context("no runtime directory: set XDG_RUNTIME_DIR, or name a socket with --socket")?;
    let path = std::path::absolute(path).context("cannot find the current directory")?;
    Ok(Listener::bind(path, chosen, open).await?)
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
    Listener { socket, path, door }: Listener,
    store: Store,
    (manager, patience): (Manager, Patience),
) -> anyhow::Result<()> {
    let boot_id = process::boot_id().context("cannot read the boot id")?;
    state
        .point_to_socket(&path)
        .context("cannot tell runners where the socket is")?;
    let store = Arc::new(store);
    let containment = Arc::new(containment(&config, &state).await);
    let versions = Arc::default();
    let (dispatcher, thread) = dispatcher::start(Parts {
        store: Arc::clone(&store),
        config: Arc::new(config),
        place: Place {
            state: state.clone(),
            boot_id,
            socket: path.clone(),
            containment: Arc::clone(&containment),
            open_files: raise_open_files(),
        },
        versions: Arc::clone(&versions),
        runtime: tokio::runtime::Handle::current(),
    })?;
    let stop = CancellationToken::new();
    tracing::info!(
        incarnation = %dispatcher.incarnation(), version = env!("CARGO_PKG_VERSION"),
        socket = %path.display(), state = %state.path().display(), "agentd is up"
    );
    let backups = Arc::new(Backups::new(
        Arc::clone(&store),
        state.clone(),
        dispatcher.clone(),
        stop.clone(),
    ));
    let reloader = Arc::new(Reloader::new(
        dispatcher.clone(),
        named_config,
        manager.notifier.clone(),
        door,
    ));
    let collector = Collector::new(
        dispatcher.clone(),
        Arc::clone(&store),
        state.clone(),
        stop.clone(),
    );
    let shared = Arc::new(Shared {
        collector: collector.clone(),
        versions,
        containment,
        backups: Arc::clone(&backups),
        reloader: Arc::clone(&reloader),
        dispatcher: dispatcher.clone(),
        store,
        state: state.clone(),
        socket: path,
        started_at: clock::now(),
        stop: stop.clone(),
    });
    let serving = rpc::serve(shared, socket);
    let loop_ended = tokio::task::spawn_blocking(move || thread.join());
    drop(patience);
    manager.notifier.ready();
    let mut telling = JoinSet::new();
    telling.spawn(service::report(
        manager.notifier.clone(),
        manager.watchdog,
        dispatcher.clone(),
    ));
    let beside = (retention::run(collector), backups.daily());
    let end = End {
        telling,
        notifier: manager.notifier,
        state,
        stop,
    };
    supervise(serving, beside, loop_ended, dispatcher, end, reloader).await
}

/// What the trees of agents are held by; without any of it, it goes on, too.
async fn containment(config: &Config, state: &StateDir) -> Containment {
    if !config.cgroups {
        return Containment::none();
    }
    let runtime_dir = Environment::of_process().xdg_runtime_dir.map(PathBuf::from);
    let found = Containment::find(state.path(), runtime_dir.as_deref()).await;
    match &*found.scopes() {
        Ok(scopes) => tracing::info!(slice = scopes.slice(), "attempts have scopes"),
        Err(why) => tracing::info!(%why, "attempts have no scopes"),
    }
    match found.handed_over() {
        Ok(Some(groups)) => {
            let controllers = groups.controllers().join(" ");
            tracing::info!(below = %groups.base().display(), controllers, "attempts have control groups");
        }
        Ok(None) => tracing::info!("attempts have no control groups: none may be made"),
        Err(error) => tracing::warn!(%error, "attempts have no control groups"),
    }
    found
}

/// What is to be done when the loop has ended.
struct End {
    /// Who tells the service manager how things stand.
    telling: JoinSet<()>,
    notifier: Notifier,
    state: StateDir,
    stop: CancellationToken,
}

impl End {
    /// Nobody is served any more; of agents that go on, as many as are known.
    /// Runners wait for the next daemon if this one was `told` to end.
    async fn begin(mut self, told: bool, left: u64) {
        self.telling.shutdown().await;
        if told && let Err(error) = self.state.point_to_nobody() {
            tracing::warn!(%error, "runners will go on looking for a daemon");
        }
        match left {
            0 => self.notifier.stopping("stopped"),
            1 => self.notifier.stopping("stopped, 1 agent goes on"),
            left => self
                .notifier
                .stopping(&format!("stopped, {left} agents go on")),
        }
        self.stop.cancel();
    }
}

/// Waits for a signal, or for the end of a part; then ends the others.
async fn supervise(
    serving: impl Future<Output = anyhow::Result<()>>,
    (collecting, copying): (impl Future<Output = ()>, impl Future<Output = ()>),
    loop_ended: tokio::task::JoinHandle<std::thread::Result<Result<(), StoreError>>>,
    dispatcher: Handle,
    end: End,
    reloader: Arc<Reloader>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut clock = ClockWatch::new()
        .inspect_err(|error| tracing::warn!(%error, "cannot see when the clock is set"))
        .ok();
    let mut left = 0;
    let schedules_look = Arc::new(Notify::new());
    let scheduling = cron::run(dispatcher.clone(), Arc::clone(&schedules_look));
    let (mut scheduling_ended, mut collecting_ended, mut copying_ended) = (false, false, false);
    tokio::pin!(serving, collecting, copying, loop_ended, scheduling);
    let ended = loop {
        tokio::select! {
            _ = terminate.recv() => left = left.max(leave(&dispatcher).await),
            _ = interrupt.recv() => left = left.max(leave(&dispatcher).await),
            _ = hang_up.recv() => { reloader.reload().await.ok(); }
            () = jumped(&mut clock) => {
                schedules_look.notify_one();
                dispatcher.clock_set().await.ok();
            }
            () = &mut scheduling, if !scheduling_ended => scheduling_ended = true,
            () = &mut copying, if !copying_ended => copying_ended = true,
            () = &mut collecting, if !collecting_ended => collecting_ended = true,
            joined = &mut loop_ended => {
                break joined;
            }
            served = &mut serving => {
                served.context("the server ended")?;
                bail!("the server ended");
            }
        }
    };
    end.begin(matches!(ended, Ok(Ok(Ok(())))), left).await;
    if tokio::time::timeout(STOP, serving).await.is_err() {
        tracing::warn!("clients did not let go in time");
    }
    match ended {
        Ok(Ok(Ok(()))) => {
            tracing::info!(agents = left, "agentd is down; agents go on");
            Ok(())
        }
        Ok(Ok(Err(error))) => Err(error).context("the store failed"),
        Ok(Err(_)) | Err(_) => bail!("the dispatcher panicked"),
    }
}

/// Ends the loop, and no agent. Returns how many go on.
async fn leave(dispatcher: &Handle) -> u64 {
    // A second signal comes to a loop that has ended.
    dispatcher.shut_down(ShutDown::Leave).await.unwrap_or(0)
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
            Ok(()) => {
                sign(&file);
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) if look < LOCK_LOOKS => {
                poll(&mut [], Some(&Timespec::try_from(LOOK_AGAIN)?))?;
            }
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    let holder = fs::read_to_string(&path).unwrap_or_default();
    let holder = holder.trim().parse::<u32>().ok();
    let process = holder.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let used = format!("another agentd{process} uses {}", state.path().display());
    if let Some(socket) = state.socket_that_answers() {
        let at = socket.display();
        bail!(
            "{used} and listens at {at}: agentctl --socket {at} shutdown ends it (agents go on), or name another --state-dir"
        )
    }
    // Its socket may have been taken from it, so that only its pid reaches it.
    let kill = holder.map_or_else(String::new, |pid| format!(": kill {pid} ends it"));
    bail!("{used} and does not answer{kill}; or name another --state-dir")
}

/// Says in the lock file whose it is, for people. That it cannot (a full disk) is
/// no reason not to start.
fn sign(mut file: &File) {
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = written {
        tracing::warn!(%error, "cannot write into the lock file");
    }
}
