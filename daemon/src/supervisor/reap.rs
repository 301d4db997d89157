//! Ending what a dead runner has left.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    process::{Leaf, Marker, SweepOutcome, is_leaf_of, is_scope_of, sweep_marked},
    spool::{AttemptDir, StateDir},
    task::event::AttemptRef,
};

/// Kills the tree of a runner that is dead: first what is in its scope and its
/// control group, if it has them, all at once and proved empty; then whatever
/// carries its marker, wherever that has gone. Blocks, for `limit` at most.
///
/// # Errors
/// If `/proc` cannot be read.
pub(super) fn end_tree(
    state: &StateDir,
    attempt: AttemptRef,
    limit: Duration,
) -> io::Result<SweepOutcome> {
    let begin = Instant::now();
    let mut left = 0;
    for group in groups_of(state, &state.attempt(attempt.id), attempt) {
        match group.end(limit.saturating_sub(begin.elapsed())) {
            Ok(true) => {}
            Ok(false) => left = 1,
            // The sweep does not need it.
            Err(error) => {
                tracing::warn!(task = %attempt.id.task, attempt = attempt.id.number, %error, "cannot end the attempt's control group");
            }
        }
    }
    let marker = Marker::new(attempt.id, attempt.nonce);
    let mut swept = sweep_marked(&marker, limit.saturating_sub(begin.elapsed()))?;
    swept.left = swept.left.max(left);
    Ok(swept)
}

/// A control group in which the tree may be.
enum Group {
    /// The service manager's: it removes what is empty.
    Scope(Leaf),
    /// The runner's.
    Leaf(Leaf),
}

/// The groups that are named in the launch file. That lies where an agent can
/// write: they are used only if they are this attempt's own.
fn groups_of(state: &StateDir, dir: &AttemptDir, attempt: AttemptRef) -> Vec<Group> {
    let Ok(launch) = dir.read_launch() else {
        return Vec::new();
    };
    let scope = launch.scope.map(|scope| scope.group);
    let scope = scope.filter(|path| is_scope_of(path, state.path(), attempt.id));
    let leaf = launch.cgroup;
    let leaf = leaf.filter(|path| is_leaf_of(path, state.path(), attempt.id));
    let scope = scope.map(|path| Group::Scope(Leaf::at(path)));
    let leaf = leaf.map(|path| Group::Leaf(Leaf::at(path)));
    scope.into_iter().chain(leaf).collect()
}

impl Group {
    /// Kills what is in it; false if something outlives that.
    fn end(&self, limit: Duration) -> io::Result<bool> {
        let (Self::Scope(group) | Self::Leaf(group)) = self;
        if group.is_populated()? {
            group.kill()?;
            if !group.wait_empty(limit)? {
                return Ok(false);
            }
        }
        match self {
            Self::Scope(_) => {}
            Self::Leaf(leaf) => leaf.remove()?,
        }
        Ok(true)
    }
}
