//! What a repository is set up with: where it is written down that it was, and
//! what undoes it before a worktree is removed.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{WorkspaceError, git::words, records::Records};
use crate::{
    process,
    task::{attempt::Workspace, limits::span, spec::WorkspaceMode},
};

/// What a teardown prints that is kept of each output, bytes.
const MAX_OUTPUT: usize = 64 * 1024;
/// Lines of it that an error shows.
const SHOWN_LINES: usize = 3;

/// Where it is written down that a workspace was set up; `None`: nowhere. It is
/// gone with the worktree (`workspace/records.rs`). Of an operator's own checkout nobody can say what has
/// become of it since.
#[must_use]
pub fn setup_record(mode: WorkspaceMode, workspace: &Workspace) -> Option<PathBuf> {
    match mode {
        WorkspaceMode::Worktree => Some(Records::of(&workspace.path).setup()),
        WorkspaceMode::InPlace | WorkspaceMode::None => None,
    }
}

/// What is run in a worktree before that is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teardown {
    /// Program and arguments; if empty, nothing is run.
    pub argv: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
    /// The repository.
    pub repo: PathBuf,
}

impl Teardown {
    /// Runs it. Blocks, up to its limit and a little.
    pub(super) fn run(&self, path: &Path) -> Result<(), WorkspaceError> {
        let Some((program, arguments)) = self.argv.split_first() else {
            return Ok(());
        };
        let failed = |why: &str| {
            WorkspaceError::failed(format!(
                "{} stays: teardown `{}`: {why}",
                path.display(),
                self.argv.join(" ")
            ))
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "the operator's own program, within limits"
        )]
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(path)
            .env("AGENTD_WORKSPACE", path)
            .env("AGENTD_REPO", &self.repo)
            .stdin(Stdio::null());
        let ended = process::run(command, self.limit, MAX_OUTPUT);
        let Some(ended) = ended.map_err(|err| failed(&err.to_string()))? else {
            let millis = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX);
            let limit = span(millis);
            return Err(failed(&format!(
                "not done within {limit}, its setup_timeout"
            )));
        };
        if ended.status.success() {
            return Ok(());
        }
        let said = [ended.stdout, ended.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let last: Vec<&str> = lines.collect();
        let last = &last[last.len().saturating_sub(SHOWN_LINES)..];
        let exit = words(&[], ended.status);
        Err(failed(&[&[exit.as_str()][..], last].concat().join("; ")))
    }
}
