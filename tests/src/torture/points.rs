//! Every failpoint in turn, under load.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    AttemptName,
    world::{World, attempt_in},
};

/// The variable that names the directory of the failpoints.
pub const VARIABLE: &str = "AGENTD_FAILPOINTS";

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Only when the daemon makes its store.
    FirstStart,
    /// While tasks run.
    Load,
    /// While tasks run and a runner has died.
    Loss,
    /// When the copy of a day is made.
    Daily,
    /// While what is old is collected, which the torture does not do: it
    /// compares all there was. `tests/tests/crash/pruning.rs` does.
    Pruning,
    /// While people are told of ends: `tests/tests/crash/notices.rs`.
    Notices,
    /// While attempts have scopes, which needs a service manager:
    /// `tests/tests/systemd/scope_points.rs` does.
    Scopes,
    /// While a store is raised to a newer format, of which there is none yet;
    /// the store's own tests cut the power there.
    Migration,
}

/// A place in the daemon or the runner, and what is done there besides `kill`.
type Point = (&'static str, At, &'static [&'static str]);

/// All points; a test of the source tree compares them with the sources.
const POINTS: &[Point] = &[
    ("store.create.made", At::FirstStart, &["ENOSPC"]),
    ("store.create.renamed", At::FirstStart, &[]),
    ("store.migrate.copied", At::Migration, &[]),
    ("store.migrate.before", At::Migration, &[]),
    ("store.migrate.after", At::Migration, &[]),
    ("store.commit.before", At::Load, &["EIO", "ENOSPC"]),
    ("store.commit.after", At::Load, &[]),
    ("dispatcher.act", At::Load, &[]),
    ("workspace.fetch.before", At::Load, &["EMFILE"]),
    ("workspace.fetch.after", At::Load, &[]),
    ("dispatcher.workspace", At::Load, &["EMFILE"]),
    ("supervisor.spawn.created", At::Load, &["ENOSPC"]),
    ("supervisor.spawn.written", At::Load, &["ENOSPC"]),
    ("supervisor.spawn.before", At::Load, &["EAGAIN", "EMFILE"]),
    ("supervisor.spawn.after", At::Load, &[]),
    ("runner.sign", At::Load, &["ENOSPC"]),
    ("runner.scope.before", At::Scopes, &["EIO"]),
    ("runner.scope.entered", At::Scopes, &[]),
    ("runner.scope.after", At::Scopes, &[]),
    ("runner.evicted", At::Scopes, &[]),
    ("runner.register.before", At::Load, &[]),
    ("rpc.register", At::Load, &[]),
    ("runner.register.after", At::Load, &[]),
    ("supervisor.go", At::Load, &[]),
    ("runner.setup.before", At::Load, &[]),
    ("spool.setup.before", At::Load, &["ENOSPC", "EIO"]),
    ("spool.setup.after", At::Load, &[]),
    ("runner.setup.after", At::Load, &[]),
    ("runner.go", At::Load, &[]),
    ("runner.exec.before", At::Load, &["EAGAIN", "EMFILE"]),
    ("runner.exec.after", At::Load, &[]),
    ("rpc.report", At::Load, &[]),
    ("supervisor.stop", At::Load, &[]),
    ("runner.signal.polite", At::Load, &[]),
    ("runner.signal.tree", At::Load, &[]),
    ("runner.signal.kill", At::Load, &[]),
    ("spool.result.before", At::Load, &["ENOSPC", "EIO"]),
    ("spool.result.written", At::Load, &["ENOSPC", "EIO"]),
    ("spool.result.renamed", At::Load, &[]),
    ("runner.observed.tell", At::Load, &[]),
    ("runner.fallback.before", At::Load, &[]),
    ("runner.fallback.after", At::Load, &[]),
    ("runner.result.tell", At::Load, &[]),
    ("dispatcher.close", At::Load, &[]),
    ("supervisor.ack", At::Load, &[]),
    ("runner.leave", At::Load, &[]),
    ("spool.put_away.before", At::Load, &["EIO"]),
    ("spool.put_away.emptied", At::Load, &["EIO"]),
    ("spool.put_away.after", At::Load, &[]),
    ("spool.discard.before", At::Pruning, &["EIO"]),
    ("spool.discard.removed", At::Pruning, &[]),
    ("workspace.remove.before", At::Pruning, &["EIO"]),
    ("workspace.remove.after", At::Pruning, &[]),
    ("supervisor.reap.before", At::Loss, &[]),
    ("supervisor.reap.after", At::Loss, &[]),
    ("notify.tell.before", At::Notices, &[]),
    ("notify.tell.after", At::Notices, &[]),
    ("store.copy.made", At::Daily, &["ENOSPC"]),
    ("backup.daily.renamed", At::Daily, &[]),
];

/// The names of all points.
pub fn names() -> impl Iterator<Item = &'static str> {
    POINTS.iter().map(|(name, _, _)| *name)
}

/// Where a runner dies of which the daemon then hears.
const LOSS: &str = "runner.exec.after";

/// How long it may take until a point is met. Some are met by one job in twenty.
const MET: Duration = crate::wait::DEADLINE;
/// Between two looks.
const AGAIN: Duration = Duration::from_millis(5);

/// The files through which the daemon is told what is to happen.
#[derive(Debug)]
pub(super) struct Plan {
    dir: PathBuf,
}

/// What the plan has led to.
#[derive(Debug, Default)]
pub(super) struct Fired {
    pub(super) daemons: u64,
    pub(super) errors: u64,
    /// Attempts whose runner died.
    pub(super) runners: HashSet<AttemptName>,
}

impl Plan {
    /// A plan for the daemon of this world. Nothing is planned yet.
    pub(super) fn new(world: &mut World) -> io::Result<Self> {
        let dir = world.path().join("failpoints");
        fs::create_dir(&dir)?;
        world.set(VARIABLE, &dir);
        Ok(Self { dir })
    }

    fn hits(&self, point: &str) -> u64 {
        fs::metadata(self.dir.join(point)).map_or(0, |meta| meta.len())
    }

    fn fired_lines(&self) -> String {
        fs::read_to_string(self.dir.join("fired")).unwrap_or_default()
    }

    fn add(&self, point: &str, action: &str, hit: u64) -> io::Result<()> {
        let mut plan = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("plan"))?;
        plan.write_all(format!("{point} {action} {hit}\n").as_bytes())
    }

    /// Plans `action` for a hit of `point` that has not been yet, and waits for
    /// it. A daemon that ends of it is started again. False: it never happened.
    async fn carry_out(&self, world: &mut World, point: &str, action: &str) -> io::Result<bool> {
        let begin = Instant::now();
        let before = self.count(point, action);
        let mut planned = 0;
        while begin.elapsed() < MET {
            // If it was met while the plan was written, the next hit it is.
            let hits = self.hits(point);
            if planned <= hits && self.count(point, action) == before {
                planned = hits + 1;
                self.add(point, action, planned)?;
            }
            world.revive()?;
            if self.count(point, action) > before {
                return Ok(true);
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(false)
    }

    fn count(&self, point: &str, action: &str) -> usize {
        let wanted = format!("{point} {action} ");
        let lines = self.fired_lines();
        lines
            .lines()
            .filter(|line| line.starts_with(&wanted))
            .count()
    }

    /// What has happened.
    pub(super) fn fired(&self) -> Fired {
        let mut fired = Fired::default();
        for line in self.fired_lines().lines() {
            let runner = line
                .contains(" runner ")
                .then(|| attempt_in(line))
                .flatten();
            match (line.split(' ').nth(1), runner) {
                (Some("kill"), Some(attempt)) => {
                    fired.runners.insert(attempt);
                }
                (Some("kill"), None) => fired.daemons += 1,
                (Some(_) | None, _) => fired.errors += 1,
            }
        }
        fired
    }
}

/// Has the next daemon find that the copy of this day is not made yet.
fn forget_copies(world: &mut World) -> io::Result<()> {
    world.kill()?;
    for copy in fs::read_dir(world.state().join("backups"))? {
        fs::remove_file(copy?.path())?;
    }
    Ok(())
}

/// Has the daemon, or a runner, die at each point in turn, and the system
/// refuse where it may; `under_load` is called when the store has been made.
/// What must not be is returned.
pub(super) async fn each(
    world: &mut World,
    plan: &Plan,
    under_load: impl FnOnce(),
) -> io::Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut under_load = Some(under_load);
    for at in [At::FirstStart, At::Load, At::Loss, At::Daily] {
        if at == At::Load
            && let Some(begin) = under_load.take()
        {
            begin();
        }
        for (point, _, errors) in POINTS.iter().filter(|(_, when, _)| *when == at) {
            for action in ["kill"].iter().chain(*errors) {
                if at == At::Loss {
                    plan.add(LOSS, "kill", plan.hits(LOSS) + 1)?;
                }
                if at == At::Daily {
                    forget_copies(world)?;
                }
                if !plan.carry_out(world, point, action).await? {
                    faults.push(format!("{action} at {point} did not come within {MET:?}"));
                }
            }
        }
    }
    Ok(faults)
}
