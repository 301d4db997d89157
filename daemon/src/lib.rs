//! agentd.
pub mod agents;
pub mod clock;
pub mod config;
pub mod spool;
pub mod task;
pub mod workspace;
