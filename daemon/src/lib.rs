//! agentd.
pub mod clock;
pub mod process;
pub mod spool;
pub mod task;
pub mod transcript;
