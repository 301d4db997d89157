//! agentd.
pub mod clock;
pub mod config;
pub mod process;
pub mod spool;
pub mod store;
pub mod supervisor;
pub mod task;
pub mod transcript;
