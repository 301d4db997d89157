//! What nobody uses any more: directories of attempts that the store does not
//! know, worktrees that git does not, halves of copies, processes.
//!
//! What a pass of the retention removes by itself is none of it.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Area, Aside, Finding, LookError, Severity, Subject, TOLD};
use crate::{
    process::{self, Marker},
    retention::Users,
    spool::LockState,
    task::id::AttemptId,
    workspace,
};

/// A copy that is not whole is being made for at most so long, seconds.
const LONG_COPY: u64 = 60 * 60;
/// Bytes of a `.git` file that are read; a path has 4096 at most.
const MAX_LINK: u64 = 8192;

pub(super) fn leftovers(subject: &Subject<'_>) -> Vec<Finding> {
    let kinds = [
        ("attempts", attempts(subject)),
        ("worktrees", worktrees(subject)),
        ("copies", copies(subject)),
        ("processes", processes(subject)),
    ];
    let mut found = Vec::new();
    for (kind, looked) in kinds {
        match looked {
            Ok(mut of_kind) => {
                let more = of_kind.len().saturating_sub(TOLD);
                of_kind.truncate(TOLD);
                found.extend(of_kind);
                if more > 0 {
                    found.push(warning(format!("and {more} more {kind}")));
                }
            }
            Err(error) => found.push(
                warning(format!("what is left of {kind} cannot be looked at"))
                    .because(error.to_string()),
            ),
        }
    }
    if found.is_empty() {
        let good = Finding::new(Area::Leftovers, Severity::Good, "nothing was left behind");
        found.push(good);
    }
    found
}

fn warning(what: String) -> Finding {
    Finding::new(Area::Leftovers, Severity::Warning, what)
}

/// A claim is committed before its directory is made: what is listed before the
/// store is read, and is not in it, was not put there by this daemon.
fn attempts(subject: &Subject<'_>) -> Result<Vec<Finding>, LookError> {
    let present = subject.state.attempts_present()?;
    let reader = subject.store.reader()?;
    let mut found = Vec::new();
    for id in present {
        if reader.attempt(id)?.is_some() {
            continue;
        }
        let dir = subject.state.attempt(id);
        let path = dir.path().display();
        let finding = warning(format!(
            "{path} is of an attempt that the store does not know"
        ));
        // What cannot be asked may live.
        if dir.probe_lock().unwrap_or(LockState::Held) == LockState::Held {
            found.push(
                finding
                    .because("its runner is alive; it is ended when it registers")
                    .fix("agentctl doctor, later"),
            );
            continue;
        }
        let aside = aside(subject, id, dir.path());
        let below = aside.to.parent().unwrap_or(subject.state.path());
        found.push(Finding {
            fix: format!(
                "mkdir -p {} && mv {path} {}",
                below.display(),
                aside.to.display()
            ),
            aside: Some(aside.clone()),
            ..finding
                .because("the store was put back to an older copy, or lost; no process uses it")
        });
    }
    Ok(found)
}

fn aside(subject: &Subject<'_>, id: AttemptId, from: &Path) -> Aside {
    let dir = subject.state.path().join("leftovers");
    let mut to = dir.join(id.to_string());
    let mut number = 1_u32;
    while to.symlink_metadata().is_ok() {
        to = dir.join(format!("{id}.{number}"));
        number += 1;
    }
    Aside {
        from: from.to_owned(),
        to,
    }
}

fn worktrees(subject: &Subject<'_>) -> Result<Vec<Finding>, LookError> {
    let state = subject.state.path();
    let mut found = Vec::new();
    let mut users: Option<Users> = None;
    for path in workspace::worktrees(state)? {
        let Some(own) = not_listed(&path) else {
            continue;
        };
        let users = match &mut users {
            Some(users) => users,
            none => none.insert(Users::read(&subject.store.reader()?, state)?),
        };
        // It is being made, or is mended when it is used next.
        if users.of(&path).is_some() {
            continue;
        }
        let shown = path.display();
        let finding = warning(format!("git does not list the worktree {shown}"));
        found.push(match own.and_then(|own| repository(&own)) {
            Some(repo) => finding
                .because(format!("{} knows nothing of it any more", repo.display()))
                .fix(format!("git -C {} worktree repair {shown}", repo.display())),
            None => finding
                .because("its repository was moved or removed")
                .fix(format!(
                    "ls {shown}; what is still wanted can be copied from there, then rm -r it"
                )),
        });
    }
    Ok(found)
}

/// Whether git lists a worktree: it is in the list if its directory in the
/// repository leads back to it. If not, where that directory should be.
fn not_listed(worktree: &Path) -> Option<Option<PathBuf>> {
    let link = worktree.join(".git");
    let Some(own) = first_line(&link, "gitdir: ") else {
        return Some(None);
    };
    let listed = first_line(&own.join("gitdir"), "").and_then(|back| back.canonicalize().ok());
    (listed.is_none() || listed != link.canonicalize().ok()).then_some(Some(own))
}

/// The repository of a worktree's directory in it (`<repository>/worktrees/<name>`), if
/// it is there.
fn repository(own: &Path) -> Option<PathBuf> {
    let git = own.parent()?.parent()?;
    git.join("HEAD").is_file().then(|| git.to_owned())
}

fn first_line(file: &Path, prefix: &str) -> Option<PathBuf> {
    let small = fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_LINK);
    let text = small.then(|| fs::read(file).ok()).flatten()?;
    let line = text.split(|byte| *byte == b'\n').next()?;
    let path = line.strip_prefix(prefix.as_bytes())?;
    (!path.is_empty()).then(|| PathBuf::from(std::ffi::OsStr::from_bytes(path)))
}

/// Halves of copies; a start removes them, so they are of this life or of
/// somebody else.
fn copies(subject: &Subject<'_>) -> Result<Vec<Finding>, LookError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(subject.state.backups())? {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "part") {
            continue;
        }
        let written = fs::metadata(&path).and_then(|meta| meta.modified());
        let now = SystemTime::UNIX_EPOCH
            + std::time::Duration::from_millis(u64::try_from(subject.now.0).unwrap_or(0));
        let old = |at: SystemTime| now.duration_since(at).unwrap_or_default().as_secs();
        if written.is_ok_and(|at| old(at) > LONG_COPY) {
            let shown = path.display();
            found.push(
                warning(format!("{shown} is a copy that was not ended"))
                    .because("nobody has written to it for more than an hour")
                    .fix(format!("rm {shown}")),
            );
        }
    }
    Ok(found)
}

/// Processes that carry the marker of an attempt that has ended. They are listed
/// before the store is read, and have to be alive after that.
fn processes(subject: &Subject<'_>) -> Result<Vec<Finding>, LookError> {
    let marked = process::all_marked()?;
    let reader = subject.store.reader()?;
    let mut found = Vec::new();
    for marked in marked {
        let Some(attempt) = marked.attempt() else {
            continue;
        };
        let Some(known) = reader.attempt(attempt)? else {
            continue;
        };
        // Another daemon has attempts of the same numbers.
        if Marker::new(attempt, known.nonce).value() != marked.marker {
            continue;
        }
        let task = reader.task(attempt.task)?;
        let under_way =
            task.is_some_and(|task| task.state.is_active() && task.attempts == attempt.number);
        if under_way || process::start_ticks(marked.pid)? != Some(marked.start_ticks) {
            continue;
        }
        found.push(
            warning(format!(
                "process {} is of attempt {attempt}, which has ended",
                marked.pid
            ))
            .because("it was started by its agent and has left its tree")
            .fix(format!("kill {}", marked.pid)),
        );
    }
    Ok(found)
}
