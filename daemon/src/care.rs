//! What is done with a store that no daemon has open.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::{
    backup,
    config::Config,
    lifecycle::{Options, open_store, state_path, take_state},
    spool::StateDir,
    store::Faults,
};

/// What became of a check of the store.
#[derive(Debug)]
pub enum Checked {
    /// Nothing is wrong.
    Good(Faults),
    /// Something is, and nothing was done about it.
    Faulty(Faults),
    /// What could be mended was.
    Mended {
        /// What was wrong.
        found: Faults,
        /// What still is.
        left: Faults,
        /// The store as it was.
        copy: PathBuf,
    },
}

impl Checked {
    /// What was wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        match self {
            Self::Good(found) | Self::Faulty(found) | Self::Mended { found, .. } => found,
        }
    }
}

/// Looks at the store of a daemon that does not run; with `fix` mends what can
/// be, after copying the file.
///
/// # Errors
/// If a daemon runs, there is no store, or it cannot be read or written.
pub fn check_store(options: Options, fix: bool) -> anyhow::Result<Checked> {
    let config = Config::load(options.config.as_deref())?;
    let dir = state_path(options.state_dir)?;
    // Asked first: taking a directory makes what is always in it, and closes it
    // to others, which is not to happen to one that was named by mistake.
    if !StateDir::has_store(&dir) {
        bail!("there is no store in {}", dir.display());
    }
    let (state, _lock) = take_state(&dir)?;
    let path = state.store();
    let store = open_store(&state, config.cache_bytes)?;
    let found = store.check()?;
    if found.is_empty() {
        return Ok(Checked::Good(found));
    }
    if !fix {
        return Ok(Checked::Faulty(found));
    }
    // Closed: of an open file a copy is not whole.
    drop(store);
    let copy = backup::before_fix(&state)
        .with_context(|| format!("cannot copy {}; it is as it was", path.display()))?;
    let store = open_store(&state, config.cache_bytes)?;
    store.mend()?;
    let left = store.check()?;
    Ok(Checked::Mended { found, left, copy })
}
