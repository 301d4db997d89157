//! What a sandboxed tree may touch; the kernel is told so by the process room.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The places of an agent that runs in a sandbox, and of what sets its workspace
/// up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sandbox {
    /// Where it may write, besides what every program needs. What is not there is
    /// left out.
    pub writable: Vec<PathBuf>,
    /// What it may not read, unless it may write there. Canonical, if it is there.
    pub hidden: Vec<PathBuf>,
}
