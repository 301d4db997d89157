//! Whose process this is: of an attempt, or of somebody else.

use std::io;

use super::{
    cgroup,
    marker::{Marker, environment},
    stat::Stat,
};
use crate::task::id::AttemptId;

/// Longest line of ancestors that is followed. One that is longer was made to
/// be.
const LONGEST_LINE: usize = 1024;
/// Looks at a line that changes while it is looked at.
const LOOKS: usize = 16;

/// Where a process comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// No attempt.
    Outside,
    /// The named attempt, of this daemon or another.
    Attempt(String),
    /// It is dead, or its ancestors keep changing: nobody can tell any more.
    Unknown,
}

/// When the process that has this pid now began, clock ticks after boot; `None`
/// if there is none. With the pid it names the process for this boot.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn start_ticks(pid: u32) -> io::Result<Option<u64>> {
    let stat = Stat::read(pid)?.filter(|stat| stat.alive);
    Ok(stat.map(|stat| stat.start_ticks))
}

/// Whose process this is, by its cgroup, its own marker, and its ancestors:
/// one that carries an attempt's marker, or a runner, which is an ancestor of
/// whatever its agent starts for as long as it lives. A process can take the
/// marker out of its own environment; it cannot choose its ancestors.
///
/// An attempt in which this very process is, too, does not count: there it
/// tells nobody from anybody.
///
/// Reads the memory of the process, which may hold up the call: not for an
/// async thread.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn origin(pid: u32, start_ticks: u64) -> io::Result<Origin> {
    let own = std::process::id();
    if let Some(leaf) = cgroup::leaf_of(pid)?
        && cgroup::leaf_of(own)?.as_ref() != Some(&leaf)
    {
        return Ok(Origin::Attempt(leaf.attempt.to_string()));
    }
    for _ in 0..LOOKS {
        let Some(first) = Stat::read(pid)?.filter(|s| s.alive && s.start_ticks == start_ticks)
        else {
            return Ok(Origin::Unknown);
        };
        let Some(marks) = marks(first, own)? else {
            continue;
        };
        if marks.is_empty() {
            return Ok(Origin::Outside);
        }
        let Some(ours) = Stat::read(own)?
            .map(|own| self::marks(own, 0))
            .transpose()?
        else {
            continue;
        };
        let ours = ours.unwrap_or_default();
        let found = marks.into_iter().find(|mark| !ours.contains(mark));
        return Ok(found.map_or(Origin::Outside, |mark| Origin::Attempt(attempt_in(&mark))));
    }
    Ok(Origin::Unknown)
}

/// The markers of a process and its ancestors, up to the process `end`; `None`
/// if one has died meanwhile, or there are too many.
fn marks(first: Stat, end: u32) -> io::Result<Option<Vec<String>>> {
    let mut marks = Vec::new();
    let mut process = first;
    for step in 0..LONGEST_LINE {
        if process.pid == end {
            return Ok(Some(marks));
        }
        // A runner itself belongs to the daemon.
        marks.extend(marked(process.pid, step > 0));
        if process.parent == 0 {
            return Ok(Some(marks));
        }
        // A child cannot be older than its parent: this one has its pid only.
        match Stat::read(process.parent)? {
            Some(parent) if parent.start_ticks <= process.start_ticks => process = parent,
            // Still the parent, and not shown to us (`hidepid`): another
            // user's, which no agent's is.
            None if still_below(&process)? => return Ok(Some(marks)),
            Some(_) | None => return Ok(None),
        }
    }
    Ok(None)
}

/// Whether a process has the parent that it had.
fn still_below(process: &Stat) -> io::Result<bool> {
    let now = Stat::read(process.pid)?;
    let name = |stat: &Stat| (stat.start_ticks, stat.parent);
    Ok(now.as_ref().map(name) == Some(name(process)))
}

/// A process's marker; that of a runner counts if `runners`.
fn marked(pid: u32, runners: bool) -> Option<String> {
    let environment = environment(pid);
    let mut entries = environment.split(|byte| *byte == 0);
    entries.find_map(|entry| {
        let (name, value) = str::from_utf8(entry).ok()?.split_once('=')?;
        let known = name == Marker::VARIABLE || runners && name == Marker::RUNNER;
        known.then(|| value.to_owned())
    })
}

/// The attempt in a marker. Anybody can write one, and this is going to be
/// shown: what is no attempt's name is not.
fn attempt_in(mark: &str) -> String {
    let attempt = mark.split(':').next().unwrap_or_default();
    let attempt = attempt.parse::<AttemptId>();
    attempt.map_or_else(|_| "?".to_owned(), |attempt| attempt.to_string())
}
