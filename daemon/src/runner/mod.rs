//! The supervisor process of one attempt: `agentd runner <attempt dir>`.
//!
//! It is the parent of the agent, writes its transcript, ends its tree when it
//! is told to, and brings its result to the daemon, however long that is away.
//! It outlives the daemon; the kernel ends the agent with it.
//!
//! One thread, one loop: `supervise` waits for one thing, the state machine
//! in `machine` decides what follows, and what it asks for is done. The
//! connection to the daemon (`link`) is a state to be told, not a queue, so
//! neither the agent nor the memory of the runner depends on who listens.
//!
//! Invariants: no agent without Go; one agent at most; a result is on disk
//! before it is told, unless the disk refuses it, and it is told until it is
//! acknowledged; the lock that proves that the runner lives is held until the
//! process is gone.
//!
//! It does not know tasks, limits or retries. It reads what the agent prints
//! (see [`crate::agents::stream`]) and tells it; it draws no conclusions.

mod activity;
mod agent;
mod eviction;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod link;
pub mod machine;
mod news;
mod output;
mod scope;
mod setup;
mod supervise;
mod wire;

use std::{fmt::Display, io, io::Write as _, path::Path, process::ExitCode};

use self::{machine::Leave, setup::Ready};
use crate::clock;

/// The result was acknowledged, or nobody is left who could do so; or the
/// service manager has ended the attempt.
pub const EXIT_DONE: u8 = 0;
/// It was not started as the daemon starts it, or the system refused what it
/// needs; nothing was run.
pub const EXIT_UNUSABLE: u8 = 1;
/// No Go came in time; nothing was run.
pub const EXIT_NO_GO: u8 = 3;
/// The daemon said that the attempt has ended or was replaced; whatever ran
/// was killed.
pub const EXIT_FENCED: u8 = 4;

/// Runs the attempt in this directory to its end. Its standard input must be
/// the attempt's lock (see [`crate::spool`]).
///
/// Changes the whole process: session, signals, working directory, standard
/// input.
#[must_use]
pub fn run(dir: &Path) -> ExitCode {
    let code = match setup::prepare(dir).map(scope::enter).and_then(supervise) {
        Ok(Leave::Acknowledged | Leave::Abandoned | Leave::Evicted) => EXIT_DONE,
        Ok(Leave::NoGo) => {
            log("gave up", &"no Go within the start timeout");
            EXIT_NO_GO
        }
        Ok(Leave::Fenced) => {
            log("gave up", &"the attempt has ended or was replaced");
            EXIT_FENCED
        }
        Err(error) => {
            log("cannot run the attempt", &error);
            EXIT_UNUSABLE
        }
    };
    ExitCode::from(code)
}

fn supervise(ready: Ready) -> Result<Leave, setup::SetupError> {
    // No file or name is ever asked for through the runtime: it would start
    // threads for that.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(setup::SetupError::system("cannot start the runtime"))?;
    runtime.block_on(supervise::supervise(ready))
}

/// A line in `runner.log`. A full disk must not end the runner.
fn log(what: &str, why: &dyn Display) {
    let now = jiff::Timestamp::from_millisecond(clock::now().0).unwrap_or_default();
    writeln!(io::stderr(), "{now:.3} {what}: {why}").ok();
}
