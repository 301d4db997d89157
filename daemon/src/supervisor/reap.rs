//! Ending what a dead runner has left.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    process::{Leaf, Marker, SweepOutcome, is_leaf_of, sweep_marked},
    spool::{AttemptDir, StateDir},
    task::event::AttemptRef,
};

/// Kills the tree of a runner that is dead: first what is in its control group,
/// if it has one, all at once and proved empty; then whatever carries its
/// marker, wherever that has gone. Blocks, for `limit` at most.
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
    if let Some(leaf) = leaf_of(state, &state.attempt(attempt.id), attempt) {
        match end_leaf(&leaf, limit) {
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

/// The leaf that is named in the launch file. That lies where an agent can
/// write: it is used only if it is this attempt's own.
fn leaf_of(state: &StateDir, dir: &AttemptDir, attempt: AttemptRef) -> Option<Leaf> {
    let path = dir.read_launch().ok()?.cgroup?;
    is_leaf_of(&path, state.path(), attempt.id).then(|| Leaf::at(path))
}

/// False if something outlives the kill.
fn end_leaf(leaf: &Leaf, limit: Duration) -> io::Result<bool> {
    if leaf.is_populated()? {
        leaf.kill()?;
        if !leaf.wait_empty(limit)? {
            return Ok(false);
        }
    }
    leaf.remove()?;
    Ok(true)
}
