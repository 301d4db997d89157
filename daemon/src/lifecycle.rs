//! One life of the daemon, from its lock to its last commit.

mod directory;
mod running;

use std::{path::PathBuf, sync::Arc, time::Duration};

use agentd_proto::endpoint::{Environment, SOCKET_NAME};
use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

pub(crate) use self::directory::{open_store, take_state};
use self::running::{Beside, End, Signals, run_until_ended};
use crate::{
    agents::Surveys,
    backup::{self, Backups},
    clock,
    config::Config,
    dispatcher::{self, Handle, Parts},
    host,
    notify::Notices,
    process::{self, Containment},
    reload::Reloader,
    retention::{self, Collector},
    rpc::{self, Shared},
    scrape::Scraper,
    service::{self, Listener, Manager, Patience},
    spool::StateDir,
    store::Store,
    supervisor::Place,
    task::notice::Way,
};

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
    let surveys = Arc::new(Surveys::new(Arc::clone(&versions)));
    let metrics = Arc::default();
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
        versions,
        metrics: Arc::clone(&metrics),
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
    let started_at = clock::now();
    let scraper = Scraper {
        metrics,
        dispatcher: dispatcher.clone(),
        store: Arc::clone(&store),
        state: state.clone(),
        started_at,
    };
    let notices = Arc::new(Notices::new(
        Arc::clone(&store),
        dispatcher.clone(),
        path.clone(),
        host::name(),
    ));
    let shared = Arc::new(Shared {
        scraper,
        collector: collector.clone(),
        surveys: Arc::clone(&surveys),
        notices: Arc::clone(&notices),
        containment,
        backups: Arc::clone(&backups),
        reloader: Arc::clone(&reloader),
        dispatcher: dispatcher.clone(),
        store,
        state: state.clone(),
        socket: path,
        started_at,
        stop: stop.clone(),
    });
    let surveying = dispatcher.clone();
    let loop_ended = tokio::task::spawn_blocking(move || thread.join());
    drop(patience);
    // Whoever knows that it is ready may send them.
    let signals = Signals::new()?;
    manager.notifier.ready();
    let mut beside = Beside::default();
    beside.spawn(
        "telling the service manager",
        service::report(
            manager.notifier.clone(),
            manager.watchdog,
            dispatcher.clone(),
        ),
    );
    beside.spawn("collecting", retention::run(collector));
    beside.spawn("copying the store", backups.daily());
    beside.spawn("looking at agents", look_at_agents(surveying, surveys));
    for way in Way::ALL {
        beside.spawn("telling of ends", Arc::clone(&notices).run(way));
    }
    let end = End {
        notifier: manager.notifier,
        state,
        stop,
    };
    let serving = rpc::serve(shared, socket);
    let around = (signals, beside, end);
    run_until_ended(serving, loop_ended, dispatcher, around, reloader).await
}

/// Looks at all agents at the start, and whenever their configuration was read
/// anew.
async fn look_at_agents(dispatcher: Handle, surveys: Arc<Surveys>) {
    let mut config = dispatcher.config();
    loop {
        surveys.look(&config).await;
        let Some(next) = dispatcher.config_after(&config).await else {
            return;
        };
        config = next;
    }
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
