//! The real programs, end to end: one file a promise.

#![expect(clippy::unwrap_used, reason = "tests")]

mod after;
mod authority;
mod backup;
mod bad_input;
mod budget;
mod cancel;
mod doctor;
mod explain;
mod faults;
mod fetch;
mod full;
mod hold;
mod hostile;
mod interface;
mod issue;
mod kept;
mod lasting;
mod limits;
mod list;
mod metrics;
mod notify;
mod outdated;
mod output;
mod prune;
mod quota;
mod readable;
mod recovery;
mod refusal;
mod reload;
mod report;
mod rerun;
mod rerun_many;
mod resources;
mod restart;
mod roles;
mod run;
mod runner;
mod sandbox;
mod sandbox_git;
mod schedule;
mod secrets;
mod service;
mod session;
mod setup;
mod submit;
mod text;
mod workspace;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use agentd_tests::Repo;

/// Has git run this whenever it has made a worktree.
fn hook(repo: &Repo, script: &str) {
    install(&repo.path().join(".git/hooks/post-checkout"), script);
}

/// Puts a program there, of these lines for a shell.
fn install(program: &Path, script: &str) {
    let new = program.with_extension("new");
    fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    // In one step: the old one may be running.
    fs::rename(&new, program).unwrap();
}
