//! What holds for any bytes that git prints, and for any names of tasks.

use std::{os::unix::process::ExitStatusExt as _, path::Path, process::ExitStatus};

use super::{WorkspaceError, git, list, name};
use crate::task::{id::TaskId, limits::MAX_MESSAGE};

/// Git's list has no more entries than it says, its words become one bounded
/// line, and names of agents and issues become one harmless component.
pub fn check(data: &[u8]) {
    let entries = list::parse(data);
    let said = data.split(|byte| *byte == b'\n');
    let said = said.filter(|line| line.starts_with(b"worktree")).count();
    assert!(entries.len() <= said, "{} of {said}", entries.len());

    let words = git::words(data, ExitStatus::from_raw(128 << 8));
    assert!(!words.is_empty());
    let shown = WorkspaceError::failed(words).message;
    assert!(shown.len() <= MAX_MESSAGE && !shown.contains(char::is_control));

    let text = String::from_utf8_lossy(data);
    let (agent, issue) = text.split_once('\n').unwrap_or(("claude", &text));
    let name = name::of_worktree(agent, Some(issue), TaskId::FIRST);
    component(&name);
    assert_eq!(name, name::of_worktree(agent, Some(issue), TaskId::FIRST));
    component(&name::of_repo(Path::new(&*text)));
}

/// One component of a path and of a ref that needs no quotes in a shell.
fn component(name: &str) {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    assert!(name.len() <= 200 && name.chars().all(harmless), "{name:?}");
    assert!(
        name.starts_with(|c: char| c.is_ascii_alphanumeric()),
        "{name:?}"
    );
    let refused = name.contains("..") || name.ends_with(".lock") || name.ends_with('.');
    assert!(!refused, "{name:?}");
}
