//! Where the real agent CLIs are.

use std::{env, path::PathBuf};

use crate::program::target;

/// Claude Code: `$AGENTD_CLAUDE`, or what `tests/agents/install` has installed.
///
/// # Panics
/// If it is missing.
#[must_use]
pub fn claude() -> PathBuf {
    find("AGENTD_CLAUDE", "agents", "claude")
}

/// Codex: `$AGENTD_CODEX`, or what `tests/agents/install` has installed. That is
/// a link to a script for node; the program itself is in a package beside it.
///
/// # Panics
/// If it is missing.
#[must_use]
pub fn codex() -> PathBuf {
    find("AGENTD_CODEX", "agents", "codex")
}

/// Gemini CLI: `$AGENTD_GEMINI`, or what `tests/agents/install longer` has
/// installed.
///
/// # Panics
/// If it is missing.
#[must_use]
pub fn gemini() -> PathBuf {
    find("AGENTD_GEMINI", "agents-longer", "gemini")
}

/// opencode: `$AGENTD_OPENCODE`, or what `tests/agents/install longer` has
/// installed.
///
/// # Panics
/// If it is missing.
#[must_use]
pub fn opencode() -> PathBuf {
    find("AGENTD_OPENCODE", "agents-longer", "opencode")
}

fn find(variable: &str, place: &str, name: &str) -> PathBuf {
    let named = env::var_os(variable).map(PathBuf::from);
    let path = named.unwrap_or_else(|| {
        // Beside the directories of cargo's profiles: one installation for all.
        let bin = target().join(place).join("node_modules/.bin");
        bin.join(name)
    });
    assert!(
        path.is_file(),
        "{} is missing: run tests/agents/install (for Gemini CLI and opencode with the \
         argument longer), or name another one with {variable}",
        path.display()
    );
    path
}
