//! What has ended long ago is collected: worktrees of which nothing is lost,
//! history, transcripts.
//!
//! ```text
//! worktrees ─► history ─► transcripts and empty private directories
//! ```
//!
//! A pass reads snapshots and asks the dispatcher, in small batches, to forget
//! rows; files go only after the commit that says so. What a crash has left is
//! found by the next pass: files of tasks that the store has forgotten, and of
//! transcripts that it says are gone. Snapshots under `refs/agentd` never go,
//! since they may be the only copy of what was not committed.
//!
//! Everything here that waits runs on threads for blocking work; there is one
//! pass at a time.

mod files;
mod history;
mod worktrees;

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{runtime, sync::Mutex};
use tokio_util::sync::CancellationToken;

pub use self::worktrees::{User, Users, teardown_of};
use crate::{
    clock,
    dispatcher::{Handle, Phase, Pruned, Pruning, Unavailable},
    spool::StateDir,
    store::{Filter, Store, StoreError},
    task::{
        id::{AttemptId, TaskId, Timestamp},
        retention::Retention,
    },
};

/// The first collection after a start, at the latest.
const FIRST: Duration = Duration::from_secs(10 * 60);
/// The next try when the daemon is busy with itself.
const AGAIN: Duration = Duration::from_secs(60);

/// What is to be collected. Ages are milliseconds since the end of a task;
/// `None`: nothing of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// Lineages all of which are so old.
    pub tasks: Option<u64>,
    /// Transcripts of tasks so old, and what forgotten tasks have left.
    pub transcripts: Option<u64>,
    /// Worktrees, not worked in for so long, of which nothing is lost.
    pub worktrees: Option<u64>,
    /// Those of which something has to be recorded under `refs/agentd` first.
    pub recorded: Option<u64>,
    /// Nothing of so many tasks, the newest, goes.
    pub keep: usize,
    /// Nothing goes; it is only told what would.
    pub dry_run: bool,
}

impl From<Retention> for Wish {
    fn from(set: Retention) -> Self {
        Self {
            tasks: set.tasks,
            transcripts: set.transcripts,
            worktrees: set.worktrees,
            recorded: set.worktrees,
            ..Self::default()
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// The history of a task.
    Task(TaskId),
    /// What an attempt's agent wrote.
    Transcript(AttemptId),
    /// A worktree, and the branch that went with it.
    Worktree {
        /// Where it is, or was.
        path: PathBuf,
        /// Who had it last.
        attempt: Option<AttemptId>,
        /// The branch, if it went, too.
        branch: Option<String>,
    },
    /// The private directory of a task.
    Directory(PathBuf),
}

/// What becomes of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Which.
    pub thing: Thing,
    /// What it takes on disk, as far as it is counted.
    pub bytes: u64,
    /// Empty: it is gone, or would go.
    pub stays_for: Vec<String>,
}

impl Item {
    fn goes(thing: Thing, bytes: u64) -> Self {
        Self {
            thing,
            bytes,
            stays_for: Vec::new(),
        }
    }

    fn stays(thing: Thing, why: impl Into<String>) -> Self {
        Self {
            thing,
            bytes: 0,
            stays_for: vec![why.into()],
        }
    }
}

/// Why a pass did not come to its end. What it has told is done.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// Another one is under way.
    #[error("another collection is under way")]
    Busy,
    /// Nobody listens any more.
    #[error("nobody wants to know any more")]
    Unwanted,
    /// The dispatcher does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A directory of ours cannot be read.
    #[error("cannot look into the state directory")]
    Io(#[from] io::Error),
}

/// Who collects; clones share one.
#[derive(Debug, Clone)]
pub struct Collector {
    dispatcher: Handle,
    store: Arc<Store>,
    state: StateDir,
    stop: CancellationToken,
    one: Arc<Mutex<()>>,
}

/// What a pass has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Totals {
    tasks: u64,
    transcripts: u64,
    bytes: u64,
    worktrees: u64,
}

impl Totals {
    fn add(&mut self, item: &Item) {
        if !item.stays_for.is_empty() {
            return;
        }
        self.bytes += item.bytes;
        match item.thing {
            Thing::Task(_) => self.tasks += 1,
            Thing::Transcript(_) => self.transcripts += 1,
            Thing::Worktree { .. } => self.worktrees += 1,
            Thing::Directory(_) => {}
        }
    }
}

/// One pass.
struct Pass<'a> {
    collector: &'a Collector,
    wish: Wish,
    now: Timestamp,
    /// Nothing of this task, or of later ones, goes.
    newest: Option<TaskId>,
    /// Attempts whose files are not put away yet.
    under_way: Vec<AttemptId>,
    totals: Totals,
    tell: &'a mut dyn FnMut(Item) -> bool,
}

impl Collector {
    /// Ends its passes when `stop` is cancelled.
    #[must_use]
    pub fn new(
        dispatcher: Handle,
        store: Arc<Store>,
        state: StateDir,
        stop: CancellationToken,
    ) -> Self {
        Self {
            dispatcher,
            store,
            state,
            stop,
            one: Arc::default(),
        }
    }

    /// Collects what is wished for. Each thing is told once it is done; if
    /// `tell` says no, nothing further is. Blocks, and is called where that is
    /// possible.
    ///
    /// # Errors
    /// If it comes to no end; what was told is done.
    pub fn collect(
        &self,
        wish: Wish,
        tell: &mut dyn FnMut(Item) -> bool,
    ) -> Result<(), PruneError> {
        let _one = self.one.try_lock().map_err(|_| PruneError::Busy)?;
        let newest = match wish.keep {
            0 => None,
            keep => {
                let listed = self.store.reader()?.list(&Filter::default(), None, keep)?;
                listed.tasks.last().map(|task| task.id)
            }
        };
        let mut pass = Pass {
            collector: self,
            wish,
            now: clock::now(),
            newest,
            under_way: self.state.attempts_present()?,
            totals: Totals::default(),
            tell,
        };
        let done = pass.run();
        let Totals {
            tasks,
            transcripts,
            bytes,
            worktrees,
        } = pass.totals;
        if !wish.dry_run && pass.totals != Totals::default() {
            tracing::info!(tasks, transcripts, bytes, worktrees, "collected");
        }
        done
    }
}

impl Pass<'_> {
    fn run(&mut self) -> Result<(), PruneError> {
        self.worktrees()?;
        self.history()?;
        self.files()
    }

    /// Whether to go on: the daemon is not about to end.
    fn goes_on(&self) -> Result<(), PruneError> {
        match self.collector.stop.is_cancelled() {
            true => Err(Unavailable::Stopping.into()),
            false => Ok(()),
        }
    }

    fn told(&mut self, item: Item) -> Result<(), PruneError> {
        self.totals.add(&item);
        self.goes_on()?;
        match (self.tell)(item) {
            true => Ok(()),
            false => Err(PruneError::Unwanted),
        }
    }

    fn is_newest(&self, task: TaskId) -> bool {
        self.newest.is_some_and(|newest| task >= newest)
    }

    /// Files of an attempt of this task are still in use.
    fn is_under_way(&self, task: TaskId) -> bool {
        self.under_way.iter().any(|attempt| attempt.task == task)
    }

    fn ask(&self, pruning: Pruning) -> Result<Pruned, PruneError> {
        let asking = self.collector.dispatcher.prune(pruning);
        Ok(runtime::Handle::current().block_on(asking)?)
    }
}

/// Collects what `[retention]` says, a while after the start and then from time
/// to time, until the dispatcher ends.
pub async fn run(collector: Collector) {
    let mut watched = collector.dispatcher.clone();
    let mut last: Option<Instant> = None;
    let begin = Instant::now();
    loop {
        let config = watched.config();
        let every = config.retention.every.map(Duration::from_millis);
        let due = every.and_then(|every| match last {
            None => begin.checked_add(every.min(FIRST)),
            Some(last) => last.checked_add(every),
        });
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            reloaded = watched.reconfigured(&config) => match reloaded {
                Ok(()) => continue,
                Err(_) => return,
            },
        }
        if watched.phase() != Phase::Ready {
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        let (collecting, wish) = (collector.clone(), Wish::from(config.retention));
        let pass = tokio::task::spawn_blocking(move || collecting.collect(wish, &mut |_| true));
        match pass.await {
            Ok(Ok(())) => {}
            Ok(Err(PruneError::Unavailable(Unavailable::Stopping))) => return,
            // A person's; what that one was not asked for is still to be done.
            Ok(Err(PruneError::Busy)) => {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Ok(Err(error)) => tracing::warn!(%error, "not everything was collected"),
            Err(error) => tracing::error!(%error, "collecting"),
        }
        last = Some(Instant::now());
    }
}
