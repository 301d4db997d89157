//! The unit of the service manager into which a runner is to put itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A scope that is to be made. What is named here is named before it is made, so
/// that whoever comes later finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The socket of the bus on which the manager is asked.
    pub bus: PathBuf,
    /// Its name.
    pub unit: String,
    /// The slice in which it is made.
    pub slice: String,
    /// The daemon's unit, which is stopped before it.
    pub before: String,
    /// For people who ask the manager.
    pub description: String,
    /// Its control group.
    pub group: PathBuf,
    /// The control group in it that is to be made for the agent's tree.
    pub leaf: PathBuf,
}
