//! Why nothing happens.

/// Why the dispatcher does not answer. What was asked for is not known to have
/// happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The daemon is about to exit.
    #[error("the daemon is stopping")]
    Stopping,
    /// The store failed. It is opened again until it works.
    #[error("the store failed, and nothing changes until it works again")]
    Store,
}

/// What is wrong, beyond any one task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The store cannot be written.
    #[error("the store failed ({0}): nothing changes until it works again; agents go on")]
    Store(String),
    /// Less space is free than is to be.
    #[error(
        "{} MiB are free where the state directory is, less than daemon.min_free_disk ({} MiB): nothing is started",
        .free >> 20, .needed >> 20
    )]
    Disk {
        /// Bytes that are free.
        free: u64,
        /// Bytes that are to be.
        needed: u64,
    },
}
