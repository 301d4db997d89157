//! Where an agent works, and what becomes of what is there.

use std::path::Path;

use agentd_proto::v1;

use super::Failure;
use crate::task::{
    spec::{WorkspaceMode, WorkspaceReuse},
    state::Task,
};

/// With a repository the default is a worktree; "none" makes no workspace and
/// so runs in the repository itself.
pub(super) fn workspace_mode(given: i32, repo: Option<&Path>) -> Result<WorkspaceMode, Failure> {
    let given = v1::WorkspaceMode::try_from(given)
        .map_err(|_| Failure::field("workspace_mode", "unknown workspace mode"))?;
    match (given, repo) {
        (v1::WorkspaceMode::Unspecified | v1::WorkspaceMode::Worktree, Some(_)) => {
            Ok(WorkspaceMode::Worktree)
        }
        (v1::WorkspaceMode::InPlace | v1::WorkspaceMode::None, Some(_)) => {
            Ok(WorkspaceMode::InPlace)
        }
        (v1::WorkspaceMode::Unspecified | v1::WorkspaceMode::None, None) => Ok(WorkspaceMode::None),
        (v1::WorkspaceMode::Worktree | v1::WorkspaceMode::InPlace, None) => Err(Failure::field(
            "repo",
            "this workspace mode needs a repository",
        )
        .hint("name one with --repo")),
    }
}

/// Only a worktree is the daemon's to clean.
pub(super) fn workspace_reuse(given: i32, of: &Task) -> Result<WorkspaceReuse, Failure> {
    let wanted = match v1::WorkspaceReuse::try_from(given) {
        Ok(v1::WorkspaceReuse::Unspecified | v1::WorkspaceReuse::Keep) => {
            return Ok(WorkspaceReuse::Keep);
        }
        Ok(v1::WorkspaceReuse::Reset) => WorkspaceReuse::Reset,
        Ok(v1::WorkspaceReuse::Fresh) => WorkspaceReuse::Fresh,
        Err(_) => {
            return Err(Failure::field("workspace_reuse", "unknown workspace reuse"));
        }
    };
    let place = match of.spec.workspace_mode {
        WorkspaceMode::Worktree => return Ok(wanted),
        WorkspaceMode::InPlace => "the repository's own checkout",
        WorkspaceMode::None => "a private directory",
    };
    Err(Failure::field(
        "workspace_reuse",
        format!(
            "task {} works in {place}: only a worktree can be made {}",
            of.id,
            wanted.as_str()
        ),
    )
    .hint(format!("agentctl rerun {} keeps what is there", of.id)))
}
