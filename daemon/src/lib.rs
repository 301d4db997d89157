//! agentd: runs AI coding agents as durable, supervised tasks.
//!
//! A map of the house; `ARCHITECTURE.md` has the whole story.
//!
//! ```text
//!              cli · lifecycle · telemetry            wiring
//!        ┌─────────────┴──────────────┐
//!       rpc ──────► dispatcher ◄── supervisor         decide · act · find out
//!        │           │  │   │          ╎ gRPC, files
//!      store ◄───────┘  │   └───────┐  ▼
//!                   workspace    agents  runner       the world
//!        └──────── task · spool · transcript · process · config · clock
//! ```
//!
//! - [`task`] is the pure core: what a task is and how it changes.
//! - [`store`] keeps it; [`dispatcher`] is the one loop that changes it.
//! - [`supervisor`] is the daemon's side of its runners, [`runner`] the process
//!   that supervises one attempt; [`spool`] are the files between the two.
//! - [`workspace`] makes the place where an agent works, [`agents`] knows how to
//!   call it, [`transcript`] keeps what it says, [`forge`] knows its issue.
//! - [`cron`] submits what is scheduled; [`request`] says what a new task needs;
//!   [`notify`] sends word of ends.
//! - [`backup`] copies the store, [`reload`] reads the configuration anew,
//!   [`host`] says how the machine is, [`service`] speaks to the service manager.
//! - [`metrics`] counts what happens, [`scrape`] tells it to Prometheus.
//! - [`rpc`] converts: nothing behind it knows the wire.

// First: its macros are seen by what comes after.
#[macro_use]
mod failpoint;

pub mod agents;
pub mod backup;
pub mod care;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cron;
pub mod diagnose;
pub mod dispatcher;
pub mod file;
pub mod forge;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
pub mod host;
pub mod lifecycle;
pub mod metrics;
pub mod notify;
pub mod process;
pub mod reload;
pub mod request;
pub mod retention;
pub mod rpc;
pub mod runner;
pub mod scrape;
pub mod service;
pub mod spool;
pub mod store;
pub mod supervisor;
pub mod task;
pub mod telemetry;
pub mod transcript;
pub mod workspace;
