//! The marker in the environment of an agent, by which its processes are found
//! when nothing else leads to them any more.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    fs, io,
    io::Read as _,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Signal,
};
use sha2::{Digest as _, Sha256};

use super::{
    identity::Pinned,
    stat::{self, Stat},
    tree::{below, strike},
};
use crate::task::id::{AttemptId, Nonce};

/// Longest environment that is looked through, bytes; the kernel's own limit
/// for an environment is lower unless the stack is unlimited.
const MAX_ENVIRONMENT: u64 = 8 * 1024 * 1024;
/// Room for the environment that most have, so that one read gets it, bytes.
const USUAL_ENVIRONMENT: usize = 8 * 1024;
/// Longest wait for killed processes before the next look.
const PAUSE: Duration = Duration::from_millis(100);
/// Looks in a row that must find nothing.
const EMPTY_LOOKS: u32 = 2;
/// Bytes of the nonce's digest in a marker.
const DIGEST: usize = 16;

/// Ties a process to an attempt: an entry of its environment, which all its
/// children inherit.
///
/// It holds a digest of the nonce, not the nonce: an agent can read its marker,
/// and whoever knows the nonce can speak as the runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(String);

impl Marker {
    /// The variable's name.
    pub const VARIABLE: &str = "AGENTD_ATTEMPT";
    /// The variable that marks a runner itself, and none of its agent's
    /// processes, with the same value.
    pub const RUNNER: &str = "AGENTD_RUNNER";

    /// The marker of an attempt.
    #[must_use]
    pub fn new(attempt: AttemptId, nonce: Nonce) -> Self {
        let mut hash = Sha256::new();
        // Nothing else that is made of a nonce can have the same digest.
        hash.update(b"agentd marker\0");
        hash.update(nonce.0);
        let digest = hash.finalize();
        let mut value = format!("{attempt}:");
        for byte in &digest[..DIGEST] {
            write!(value, "{byte:02x}").expect("a string takes whatever is written");
        }
        Self(value)
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

/// What became of the processes that carried a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SweepOutcome {
    /// Kills that were sent.
    pub killed: u32,
    /// Processes that still live; 0 is proof as far as a marker can give it.
    pub left: u32,
}

/// The pids of the living processes that carry the marker, and of those below
/// them; never our own, nor those that are there because of us.
///
/// # Errors
/// If `/proc` cannot be read. Processes whose environment may not be read
/// belong to others and are passed over.
pub fn with_marker(marker: &Marker) -> io::Result<Vec<u32>> {
    Ok(marked(marker)?.iter().map(|stat| stat.pid).collect())
}

/// A living process that carries a marker, of whichever daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Its pid.
    pub pid: u32,
    /// When it began, clock ticks after boot.
    pub start_ticks: u64,
    /// The marker's value; anybody can write one.
    pub marker: String,
}

impl Marked {
    /// The attempt that the marker names.
    #[must_use]
    pub fn attempt(&self) -> Option<AttemptId> {
        self.marker.split(':').next()?.parse().ok()
    }
}

/// All living processes that carry a marker and whose environment may be read.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn all_marked() -> io::Result<Vec<Marked>> {
    let alive = stat::all()?.into_iter().filter(|stat| stat.alive);
    let marked = alive.filter_map(|stat| {
        let environment = environment(stat.pid);
        let mut entries = environment.split(|byte| *byte == 0);
        let marker = entries.find_map(|entry| {
            let (name, value) = str::from_utf8(entry).ok()?.split_once('=')?;
            (name == Marker::VARIABLE).then(|| value.to_owned())
        });
        Some(Marked {
            pid: stat.pid,
            start_ticks: stat.start_ticks,
            marker: marker?,
        })
    });
    Ok(marked.collect())
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
    let carries = |stat: &Stat| stat.alive && marker.is_in(&environment(stat.pid));
    let own = std::process::id();
    let mut found = of_attempt(stat::all()?, own, carries);
    found.retain(|stat| stat.alive);
    Ok(found)
}

/// The processes that carry the marker, and those below them; but never `own`
/// process, nor its ancestors that do not carry it, nor what is below these and
/// does not carry it. An agent that started this daemon, marker removed, must
/// not take it along, and with it the runners of all others.
pub(super) fn of_attempt(all: Vec<Stat>, own: u32, carries: impl Fn(&Stat) -> bool) -> Vec<Stat> {
    let parents: HashMap<u32, u32> = all.iter().map(|stat| (stat.pid, stat.parent)).collect();
    let mut line = HashSet::new();
    let mut next = Some(own);
    while let Some(pid) = next.filter(|pid| line.insert(*pid)) {
        next = parents.get(&pid).copied();
    }
    let (mut marked, mut others) = (HashSet::new(), Vec::new());
    for stat in all {
        if stat.pid != own && carries(&stat) {
            marked.insert(stat.pid);
            others.push(stat);
        } else if !line.contains(&stat.pid) {
            others.push(stat);
        }
    }
    below(others, |stat| marked.contains(&stat.pid))
}

/// The environment that a process was started with; empty if it may not be
/// read, as that of another's process.
pub(super) fn environment(pid: u32) -> Vec<u8> {
    let mut environment = Vec::with_capacity(USUAL_ENVIRONMENT);
    let read = fs::File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(MAX_ENVIRONMENT).read_to_end(&mut environment));
    if read.is_err() {
        environment.clear();
    }
    environment
}
