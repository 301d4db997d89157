//! agentd.
pub mod clock;
pub mod config;
pub mod spool;
pub mod store;
pub mod task;
pub mod transcript;
