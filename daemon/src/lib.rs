//! agentd.
pub mod clock;
pub mod process;
pub mod runner;
pub mod spool;
pub mod task;
pub mod transcript;
