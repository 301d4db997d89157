//! From the first signal to the last word: what goes on beside the loop, and
//! how it ends.
//!
//! Whatever waits for anything is a task of its own. Here it is only heard which
//! of them has ended, and what the signals say; so nothing that hangs (a disk on
//! the network, when the configuration is read) keeps a connection or SIGTERM
//! waiting.

use std::{collections::HashMap, io, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
    task::{Id, JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::ClockWatch,
    cron,
    dispatcher::{Handle, ShutDown},
    reload::Reloader,
    service::Notifier,
    spool::StateDir,
    store::StoreError,
};

/// How long the daemon lets what is under way end before it exits.
const STOP: Duration = Duration::from_secs(3);

/// The signals that mean something, from when this is made on.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// What goes on beside the loop; each of it ends with the daemon, or before.
#[derive(Default)]
pub(super) struct Beside {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Beside {
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until one has died, which is an error of the program. That one has
    /// come to its end is none.
    async fn died(&mut self) -> &'static str {
        loop {
            match self.tasks.join_next_with_id().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return self.names.get(&error.id()).copied().unwrap_or("a part");
                }
                None => return std::future::pending().await,
            }
        }
    }
}

/// What is to be done when the loop has ended.
pub(super) struct End {
    pub(super) notifier: Notifier,
    pub(super) state: StateDir,
    pub(super) stop: CancellationToken,
}

impl End {
    /// Nobody is served any more; of agents that go on, as many as are known.
    /// Runners wait for the next daemon if this one was `told` to end.
    fn begin(self, told: bool, left: u64) {
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
pub(super) async fn run_until_ended(
    serving: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    mut loop_ended: JoinHandle<thread::Result<Result<(), StoreError>>>,
    dispatcher: Handle,
    (signals, mut beside, end): (Signals, Beside, End),
    reloader: Arc<Reloader>,
) -> anyhow::Result<()> {
    let Signals {
        mut terminate,
        mut interrupt,
        hang_up,
    } = signals;
    let look = Arc::new(Notify::new());
    beside.spawn("reloading", reload_when_told(hang_up, reloader));
    beside.spawn(
        "watching the clock",
        watch_clock(dispatcher.clone(), Arc::clone(&look)),
    );
    beside.spawn("scheduling", cron::run(dispatcher.clone(), look));
    let mut server = JoinSet::new();
    server.spawn(serving);
    // How many agents go on, once the loop has answered a signal.
    let mut leaving: JoinSet<u64> = JoinSet::new();
    let ended = loop {
        tokio::select! {
            _ = terminate.recv(), if leaving.is_empty() => {
                leaving.spawn(leave(dispatcher.clone()));
            }
            _ = interrupt.recv(), if leaving.is_empty() => {
                leaving.spawn(leave(dispatcher.clone()));
            }
            ended = &mut loop_ended => break ended,
            name = beside.died() => bail!("{name}: it panicked"),
            served = server.join_next() => {
                served.context("nobody serves")?.context("the server")?.context("the server ended")?;
                bail!("the server ended");
            }
        }
    };
    // The loop has answered, or will not.
    let left = match leaving.join_next().await {
        Some(left) => left.unwrap_or(0),
        None => 0,
    };
    beside.tasks.shutdown().await;
    end.begin(matches!(ended, Ok(Ok(Ok(())))), left);
    if tokio::time::timeout(STOP, server.join_next())
        .await
        .is_err()
    {
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
async fn leave(dispatcher: Handle) -> u64 {
    dispatcher.shut_down(ShutDown::Leave).await.unwrap_or(0)
}

/// A signal that comes while it is read is taken afterwards; several are one.
async fn reload_when_told(mut hang_up: Signal, reloader: Arc<Reloader>) {
    while hang_up.recv().await.is_some() {
        // What is wrong with it was told.
        reloader.reload().await.ok();
    }
}

/// Tells of each time that the wall clock was set, or that the machine has
/// slept.
async fn watch_clock(dispatcher: Handle, look: Arc<Notify>) {
    let mut watch = match ClockWatch::new() {
        Ok(watch) => watch,
        Err(error) => {
            tracing::warn!(%error, "cannot see when the clock is set");
            return;
        }
    };
    loop {
        match watch.jumped().await {
            Ok(()) => tracing::info!("the clock was set, or the machine has slept"),
            Err(error) => {
                tracing::warn!(%error, "cannot see any more when the clock is set");
                return;
            }
        }
        look.notify_one();
        // If there is no loop, there is nobody to tell.
        dispatcher.clock_set().await.ok();
    }
}
