//! The names under which snapshots are kept.
//!
//! ```text
//! refs/agentd/42/1             what attempt 42.1 left, taken at its end
//! refs/agentd/42/1-before      what was there when 42.1 was given the worktree
//! refs/agentd/42/1-head        the commit that was checked out before a fresh start
//! refs/agentd/42/1-branch      the branch before a fresh start
//! refs/agentd/42/1-removed     what was there when the worktree was removed
//! refs/agentd/42/1.2           the second of a name: none is ever overwritten
//! ```
//!
//! Refs keep their objects from being collected. A snapshot is a commit: its
//! tree holds the files as they are, its first parent is the commit that was
//! checked out, and the others hold what git knows besides: what was staged
//! and is not in the files any more, the sides of a conflict, the commits of
//! a merge or rebase in progress.

use std::ffi::OsStr;

use super::{
    WorkspaceError,
    git::{Git, GitError},
    leftover,
    records::Records,
    snapshot::Snapshot,
    worktree::rev_parse,
};
use crate::task::id::{AttemptId, TaskId};

/// Below it are all snapshots.
pub(super) const PREFIX: &str = "refs/agentd/";
/// Snapshots of one name.
const MAX_SAME: u32 = 1000;

/// When a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// At the end of the attempt.
    End,
    /// When the attempt was given the workspace.
    Before,
    /// Before a fresh start: what was checked out.
    Head,
    /// Before a fresh start: the branch.
    Branch,
    /// When the worktree was removed.
    Removed,
}

impl Moment {
    const ALL: [Self; 5] = [
        Self::End,
        Self::Before,
        Self::Head,
        Self::Branch,
        Self::Removed,
    ];

    fn suffix(self) -> &'static str {
        match self {
            Self::End => "",
            Self::Before => "-before",
            Self::Head => "-head",
            Self::Branch => "-branch",
            Self::Removed => "-removed",
        }
    }
}

/// A snapshot that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// The whole name of the ref.
    pub(super) name: String,
    /// By, or before, which attempt.
    pub(super) attempt: AttemptId,
    /// When it was taken.
    pub(super) moment: Moment,
    /// Counted from 1, if the name was needed more than once.
    pub(super) number: u32,
    /// Its commit.
    pub(super) commit: String,
    pub(super) tree: String,
    pub(super) parents: Vec<String>,
}

/// The snapshots of one task. They are never all listed: of those of a repository there
/// may be any number.
pub(super) fn list(git: &Git<'_>, task: TaskId) -> Result<Vec<Kept>, GitError> {
    below(git, &format!("{PREFIX}{task}/"))
}

/// The snapshots whose names begin so, or that have this name.
fn below(git: &Git<'_>, name: &str) -> Result<Vec<Kept>, GitError> {
    let format = "--format=%(refname)%00%(objectname)%00%(tree)%00%(parent)";
    let listed = git.call(&[&"for-each-ref", &format, &name])?;
    let lines = listed.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(parse).collect())
}

/// One line of the list; `None` for a ref that is not ours.
fn parse(line: &[u8]) -> Option<Kept> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split('\0');
    let (name, commit) = (fields.next()?, fields.next()?);
    let (tree, parents) = (fields.next()?, fields.next()?);
    let (task, rest) = name.strip_prefix(PREFIX)?.split_once('/')?;
    let (rest, number) = match rest.split_once('.') {
        Some((rest, number)) => (rest, number.parse().ok()?),
        None => (rest, 1),
    };
    let end = rest.find('-').unwrap_or(rest.len());
    let moment = Moment::ALL
        .into_iter()
        .find(|moment| moment.suffix() == &rest[end..])?;
    Some(Kept {
        name: name.to_owned(),
        attempt: AttemptId {
            task: task.parse().ok().and_then(TaskId::new)?,
            number: rest[..end].parse().ok()?,
        },
        moment,
        number,
        commit: commit.to_owned(),
        tree: tree.to_owned(),
        parents: parents.split_whitespace().map(str::to_owned).collect(),
    })
}

/// Gives a snapshot a name, if there is anything in it. One that the task has kept
/// before, or that was the last of this workspace, keeps its name and needs no second.
pub(super) fn keep_snapshot(
    git: &Git<'_>,
    records: &Records,
    attempt: AttemptId,
    moment: Moment,
    snapshot: &Snapshot,
) -> Result<Option<(String, String)>, WorkspaceError> {
    let Some(commit) = &snapshot.commit else {
        return Ok(None);
    };
    let same = |kept: &Kept| kept.tree == snapshot.tree && kept.parents == snapshot.parents;
    let mut known = list(git, attempt.task)?;
    if let Some(last) = records.snapshot() {
        known.extend(below(git, &last)?);
    }
    let (name, commit) = match known.into_iter().find(same) {
        Some(known) => (known.name, known.commit),
        None => (keep(git, attempt, moment, commit)?, commit.clone()),
    };
    records.note_snapshot(&name);
    Ok(Some((name, commit)))
}

/// Gives a commit a name that nothing has. One that has the wanted name
/// already, whatever its number, keeps that.
pub(super) fn keep(
    git: &Git<'_>,
    attempt: AttemptId,
    moment: Moment,
    commit: &str,
) -> Result<String, WorkspaceError> {
    let kept = list(git, attempt.task)?;
    let mut same: Vec<&Kept> = kept
        .iter()
        .filter(|kept| kept.attempt == attempt && kept.moment == moment)
        .collect();
    if let Some(known) = same.iter().find(|kept| kept.commit == commit) {
        return Ok(known.name.clone());
    }
    same.sort_by_key(|kept| kept.number);
    let number = same.last().map_or(1, |last| last.number.saturating_add(1));
    let plain = format!(
        "{PREFIX}{}/{}{}",
        attempt.task,
        attempt.number,
        moment.suffix()
    );
    if number > MAX_SAME {
        return Err(WorkspaceError::failed(format!(
            "{plain} and {MAX_SAME} more of its kind exist already"
        )));
    }
    let name = match number {
        1 => plain,
        number => format!("{plain}.{number}"),
    };
    // A git that was killed here may have left its lock.
    let common = rev_parse(git, "--git-common-dir")?;
    leftover::clear(&[common.join(format!("{name}.lock"))], &[])?;
    // The empty old value: it must not be there.
    let update: [&dyn AsRef<OsStr>; 4] = [&"update-ref", &name, &commit, &""];
    git.call(&update)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        let of = |name: &str| parse(format!("{name}\0c\0t\0p q").as_bytes());
        let read = |name: &str| {
            let kept = of(name).unwrap();
            (kept.attempt.to_string(), kept.moment, kept.number)
        };
        for (name, attempt, moment, number) in [
            ("refs/agentd/42/1", "42.1", Moment::End, 1),
            ("refs/agentd/42/3-before", "42.3", Moment::Before, 1),
            ("refs/agentd/7/1-branch.2", "7.1", Moment::Branch, 2),
            ("refs/agentd/7/12.30", "7.12", Moment::End, 30),
        ] {
            assert_eq!(read(name), (attempt.to_owned(), moment, number));
        }
        for other in [
            "refs/agentd/x/1",
            "refs/agentd/0/1",
            "refs/agentd/1/1-other",
            "refs/heads/1/1",
            "refs/agentd/1",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(of("refs/agentd/1/1").unwrap().parents, ["p", "q"]);
    }
}
