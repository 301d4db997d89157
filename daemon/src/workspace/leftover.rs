//! Lock files that a killed git left behind.
//!
//! Git makes `x.lock`, writes the new `x` into it and renames it. Killed in
//! between, it leaves a file that stops every later git, and that holds nothing
//! but what was not yet done. It is removed only if nobody can be at work: no
//! process has it open, and no git is in one of the directories (one that waits
//! for an editor or a hook keeps the lock and not the file).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::WorkspaceError;

/// Removes those of `locks` that are there, unless a process that has one of
/// them open, or a git that works in one of `dirs`, may still want it.
pub(super) fn clear(locks: &[PathBuf], dirs: &[&Path]) -> Result<(), WorkspaceError> {
    let present = |lock: &&PathBuf| lock.symlink_metadata().is_ok();
    let locks: Vec<&PathBuf> = locks.iter().filter(present).collect();
    let Some(first) = locks.first() else {
        return Ok(());
    };
    if let Some(user) = find_user(&locks, dirs) {
        let first = first.display();
        return Err(WorkspaceError::failed(format!(
            "{first} is there, and process {user} may be using it; \
             try again when that has ended"
        )));
    }
    for lock in locks {
        match fs::remove_file(lock) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => {
                return Err(WorkspaceError::io(lock, &err));
            }
            _ => {
                tracing::warn!(path = %lock.display(), "removed a lock file that a killed git left");
            }
        }
    }
    Ok(())
}

/// A process that may want the locks, shown with its name. Processes of other
/// users are not seen.
fn find_user(locks: &[&PathBuf], dirs: &[&Path]) -> Option<String> {
    let processes = fs::read_dir("/proc").ok()?;
    for process in processes.flatten() {
        let pid = process.file_name();
        let Some(pid) = pid.to_str().filter(|pid| pid.parse::<u32>().is_ok()) else {
            continue;
        };
        let process = process.path();
        let command = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let works_inside = || {
            let cwd = fs::read_link(process.join("cwd"));
            cwd.is_ok_and(|cwd| dirs.iter().any(|dir| cwd.starts_with(dir)))
        };
        let has_open = || {
            let files = fs::read_dir(process.join("fd"));
            let mut files = files.into_iter().flatten().flatten();
            files.any(|file| {
                let file = fs::read_link(file.path());
                file.is_ok_and(|file| locks.iter().any(|lock| **lock == file))
            })
        };
        if command.starts_with("git") && works_inside() || has_open() {
            return Some(format!("{pid} ({})", command.trim()));
        }
    }
    None
}
