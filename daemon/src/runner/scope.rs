//! The runner's own unit: a scope of the service manager, in which it makes the
//! agent's control group.
//!
//! The runner does it alone, and before it says that it is there: whoever dies
//! meanwhile changes nothing, and an agent that has a scope was never elsewhere.
//! If it does not come to be, the agent is held as it is without a manager.

use std::{fmt, io, time::Duration};

use super::setup::Ready;
use crate::{
    process::{self, AskError, NewScope},
    spool::{Launch, Scope},
    task::limits::KILL_LIMIT,
};

/// How long the service manager may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// The signal that tells the runner that its scope is to end. The manager sends
/// it to all that is in there; this one, nobody else dies of: so it is the runner
/// that ends the agent, and knows why it ended.
pub(super) const STOP_SIGNAL: i32 = nix::libc::SIGWINCH;
/// The longest grace that an agent has then: a machine waits to be shut down.
const LONGEST_GRACE: u64 = 20_000;
/// Until the runner has ended too, beyond what its agent may take, milliseconds.
const SLACK: u64 = 5_000;
/// What the limits of the scope leave to the runner, beyond the agent's, so that
/// it is neither throttled nor short of anything: bytes, most of them for the
/// transcript's way to the disk; processes; thousandths of a CPU.
const OWN_MEMORY: u64 = 64 << 20;
const OWN_PIDS: u64 = 16;
const OWN_CPU: u64 = 250;

/// Why an attempt has no scope.
#[derive(Debug)]
enum NoScope {
    Ask(AskError),
    Slow,
    Settle(io::Error),
}

impl fmt::Display for NoScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(error) => write!(f, "the service manager: {error}"),
            Self::Slow => write!(f, "the service manager took longer than {PATIENCE:?}"),
            Self::Settle(error) => write!(f, "cannot use it: {error}"),
        }
    }
}

/// What an agent has when the service manager ends its scope, milliseconds.
pub(super) fn grace(launch: &Launch) -> u64 {
    launch.kill_grace.min(LONGEST_GRACE)
}

/// Goes into the attempt's scope, if it is to have one.
pub(super) fn enter(mut ready: Ready) -> Ready {
    let launch = &mut ready.launch;
    let Some(scope) = &launch.scope else {
        return ready;
    };
    match try_enter(launch, scope) {
        Ok(()) => launch.cgroup = Some(scope.leaf.clone()),
        Err(error) => launch
            .notes
            .push(format!("no scope for the attempt: {error}")),
    }
    ready
}

fn try_enter(launch: &Launch, scope: &Scope) -> Result<(), NoScope> {
    failpoint!("runner.scope.before").map_err(NoScope::Settle)?;
    ask(launch, scope)?;
    crashpoint!("runner.scope.entered");
    process::settle(&scope.group).map_err(NoScope::Settle)?;
    crashpoint!("runner.scope.after");
    Ok(())
}

/// In a runtime of its own, so that all that the connection is made of is gone
/// with it. It has no thread but this one.
fn ask(launch: &Launch, scope: &Scope) -> Result<(), NoScope> {
    let more = |limit: Option<u32>, own: u64| limit.map(|limit| u64::from(limit) + own);
    let wanted = NewScope {
        unit: &scope.unit,
        slice: &scope.slice,
        before: &scope.before,
        description: &scope.description,
        stop_signal: STOP_SIGNAL,
        stop_timeout: grace(launch) + KILL_LIMIT + SLACK,
        memory: launch.memory.map(|limit| limit.saturating_add(OWN_MEMORY)),
        pids: more(launch.pids, OWN_PIDS),
        cpu: more(launch.cpu, OWN_CPU),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(NoScope::Settle)?;
    let entered = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, process::enter_scope(&scope.bus, &wanted)).await
    });
    match entered {
        Ok(entered) => entered.map_err(NoScope::Ask),
        Err(_) => Err(NoScope::Slow),
    }
}
