//! agentd.
pub mod clock;
pub mod spool;
pub mod task;
pub mod transcript;
