//! Where the real agent CLIs are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Claude Code: `$AGENTD_CLAUDE`, or what `tests/agents/install` has installed.
///
/// # Panics
/// If it is missing.
#[must_use]
pub fn claude() -> PathBuf {
    find("AGENTD_CLAUDE", "claude")
}

/// Codex: `$AGENTD_CODEX`, or what `tests/agents/install` has installed. That is
/// a link to a script for node; the program itself is in a package beside it.
///
/// # Panics
/// If it is missing.
#[must_use]
pub fn codex() -> PathBuf {
    find("AGENTD_CODEX", "codex")
}

fn find(variable: &str, name: &str) -> PathBuf {
    let named = env::var_os(variable).map(PathBuf::from);
    let path = named.unwrap_or_else(|| installed().join(name));
    assert!(
        path.is_file(),
        "{} is missing: run tests/agents/install, or name another one with {variable}",
        path.display()
    );
    path
}

/// Beside the directories of cargo's profiles: one installation for all of them.
fn installed() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.expect("this crate is in the workspace");
    root.join("target/agents/node_modules/.bin")
}
