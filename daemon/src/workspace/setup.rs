//! What a repository is set up with: where it is written down that it was, and
//! what undoes it before a worktree is removed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    WorkspaceError,
    git::{Git, words},
    worktree::rev_parse,
};
use crate::{
    process,
    task::{attempt::Workspace, limits::span, spec::WorkspaceMode},
};

/// The file of git's own directory of a worktree that says that it was set up.
const RECORD: &str = "agentd.setup";
/// What a teardown prints that is kept of each output, bytes.
const MAX_OUTPUT: usize = 64 * 1024;
/// Lines of it that an error shows.
const SHOWN_LINES: usize = 3;

/// Where it is written down that a workspace was set up; `None`: nowhere. It is
/// gone with the worktree. Of an operator's own checkout nobody can say what has
/// become of it since.
///
/// # Errors
/// If git does not say where its directory of the worktree is.
pub fn setup_record(
    mode: WorkspaceMode,
    workspace: &Workspace,
) -> Result<Option<PathBuf>, WorkspaceError> {
    match mode {
        WorkspaceMode::Worktree => {
            let own = rev_parse(&Git::at(&workspace.path), "--absolute-git-dir")?;
            Ok(Some(own.join(RECORD)))
        }
        WorkspaceMode::InPlace | WorkspaceMode::None => Ok(None),
    }
}

/// Forgets that a worktree was set up.
pub(super) fn forget_setup(git: &Git<'_>) -> Result<(), WorkspaceError> {
    let record = rev_parse(git, "--absolute-git-dir")?.join(RECORD);
    match fs::remove_file(&record) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(WorkspaceError::io(&record, &err)),
        _ => Ok(()),
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
