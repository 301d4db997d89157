//! The world of the end-to-end tests: a daemon of its own with real programs,
//! git repositories, and agents that misbehave.
//!
//! Nothing here knows what is right; it starts, asks, and looks at processes
//! and files from outside. What it promises is that a test leaves nothing
//! behind: a [`TestDaemon`] ends its daemon and its agents when it is dropped,
//! and fails the test if a process of its attempts was left.

mod ask;
mod borrowed;
mod cli;
mod daemon;
mod files;
mod gate;
#[cfg(feature = "systemd")]
pub mod machine;
pub mod model;
mod notices;
mod process;
mod program;
mod repo;
mod schema;
mod through;
mod tmux;
pub mod torture;
mod wait;
mod webhook;

pub use self::{
    borrowed::connected_by_another,
    cli::{Ctl, Output},
    daemon::TestDaemon,
    files::write_private,
    gate::Gate,
    notices::Notices,
    process::{Marked, exists, group_of, kill_pid, peak_memory},
    program::{command, fake_agent, like, program},
    repo::Repo,
    schema::check as check_schema,
    tmux::Tmux,
    wait::{DEADLINE, wait_for, wait_until},
    webhook::{AUTHORITY, Answer, Posted, Webhook},
};

/// The clients and messages of the interface.
pub use agentd_proto::{reason, v1};
