//! agentd.
pub mod agents;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dispatcher;
pub mod lifecycle;
pub mod process;
pub mod rpc;
pub mod runner;
pub mod spool;
pub mod store;
pub mod supervisor;
pub mod task;
pub mod telemetry;
pub mod transcript;
pub mod workspace;
