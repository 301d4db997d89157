//! What an attempt did to its workspace.

use agentd_proto::v1;
use serde::Serialize;

use super::text;

/// What an attempt did to its workspace, and what it left there.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ChangesView {
    /// Everything was left as it had been found.
    none: bool,
    head: Option<String>,
    commits: u32,
    files: u32,
    uncommitted: u32,
    /// `null` without a remote.
    unpushed: Option<u32>,
    conflicts: u32,
    /// The ref that holds what is uncommitted.
    recorded: Option<String>,
    left_out: Option<String>,
}

impl From<v1::Changes> for ChangesView {
    fn from(changes: v1::Changes) -> Self {
        Self {
            none: changes.none,
            head: text(changes.head),
            commits: changes.commits,
            files: changes.files,
            uncommitted: changes.uncommitted,
            unpushed: changes.unpushed,
            conflicts: changes.conflicts,
            recorded: text(changes.recorded),
            left_out: text(changes.left_out),
        }
    }
}
