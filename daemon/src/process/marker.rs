//! The marker in the environment of an agent, by which its processes are found
//! when nothing else leads to them any more.

use std::{
    fmt, fs, io,
    io::Read as _,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Signal,
};

use super::{
    identity::Pinned,
    stat::{self, Stat},
    tree::{below, strike},
};
use crate::task::id::{AttemptId, Nonce};

/// Longest environment that is looked through, bytes; the kernel's own limit
/// for an environment is lower unless the stack is unlimited.
const MAX_ENVIRONMENT: u64 = 8 * 1024 * 1024;
/// Longest wait for killed processes before the next look.
const PAUSE: Duration = Duration::from_millis(100);
/// Looks in a row that must find nothing.
const EMPTY_LOOKS: u32 = 2;

/// Ties a process to an attempt: an entry of its environment, which all its
/// children inherit. Holds the nonce, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Marker(String);

impl Marker {
    /// The variable's name.
    pub const VARIABLE: &str = "AGENTD_ATTEMPT";

    /// The marker of an attempt.
    #[must_use]
    pub fn new(attempt: AttemptId, nonce: Nonce) -> Self {
        Self(format!("{attempt}:{}", nonce.to_hex()))
    }

    /// The variable's value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.0
    }

    pub(super) fn is_in(&self, environment: &[u8]) -> bool {
        let entry = format!("{}={}", Self::VARIABLE, self.0);
        let mut entries = environment.split(|byte| *byte == 0);
        entries.any(|found| found == entry.as_bytes())
    }
}

impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marker(..)")
    }
}

/// What became of the processes that carried a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SweepOutcome {
    /// Kills that were sent.
    pub killed: u32,
    /// Processes that still live; 0 is proof as far as a marker can give it.
    pub left: u32,
}

/// The pids of the living processes that carry the marker, and of those below
/// them; never our own.
///
/// # Errors
/// If `/proc` cannot be read. Processes whose environment may not be read
/// belong to others and are passed over.
pub fn with_marker(marker: &Marker) -> io::Result<Vec<u32>> {
    Ok(marked(marker)?.iter().map(|stat| stat.pid).collect())
}

/// Kills the processes that carry the marker, and those below them, until two
/// looks in a row find none, or `limit` is over. Blocks.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn sweep_marked(marker: &Marker, limit: Duration) -> io::Result<SweepOutcome> {
    let begin = Instant::now();
    let mut killed = 0;
    let mut empty = 0;
    loop {
        let met = strike(|| marked(marker))?;
        killed += met;
        empty = if met == 0 { empty + 1 } else { 0 };
        if empty == EMPTY_LOOKS {
            return Ok(SweepOutcome { killed, left: 0 });
        }
        let left = marked(marker)?;
        if begin.elapsed() >= limit {
            let left = u32::try_from(left.len()).unwrap_or(u32::MAX);
            return Ok(SweepOutcome { killed, left });
        }
        wait_for_one(&left)?;
    }
}

/// Waits until the first of them is dead, or a little while.
fn wait_for_one(processes: &[Stat]) -> io::Result<()> {
    let Some(first) = processes.first() else {
        return Ok(());
    };
    let Some(process) = Pinned::of(first.pid, first.start_ticks)? else {
        return Ok(());
    };
    // Sent again: it may have been forked after the kill.
    process.signal(Signal::KILL).ok();
    let pause = Timespec::try_from(PAUSE).map_err(io::Error::other)?;
    poll(
        &mut [PollFd::new(process.fd(), PollFlags::IN)],
        Some(&pause),
    )?;
    Ok(())
}

fn marked(marker: &Marker) -> io::Result<Vec<Stat>> {
    let own = std::process::id();
    let all = stat::all()?;
    let mut found = below(all, |stat| {
        stat.alive && stat.pid != own && carries(stat.pid, marker)
    });
    found.retain(|stat| stat.alive && stat.pid != own);
    Ok(found)
}

fn carries(pid: u32, marker: &Marker) -> bool {
    let mut environment = Vec::new();
    let read = fs::File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(MAX_ENVIRONMENT).read_to_end(&mut environment));
    read.is_ok() && marker.is_in(&environment)
}
