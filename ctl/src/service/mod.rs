//! The daemon as a service of its user, for those who have built it: the units of
//! `packaging/systemd/user` with the program that is beside this one, and what a
//! service does not know of a shell.
//!
//! - `files` is what is written, and whose a file is that is there.
//! - `environment` is what is taken over from the shell, above all its `PATH`.
//! - `manager` asks the user's service manager, by `systemctl --user`.
//!
//! Nothing here is written over or removed that somebody else has written or
//! changed: a file of ours says so, and holds a digest of the rest of it.

pub(crate) mod environment;
pub(crate) mod files;
pub(crate) mod manager;

/// The units, by name.
pub(crate) const SERVICE: &str = "agentd.service";
/// The socket of it.
pub(crate) const SOCKET: &str = "agentd.socket";
/// What it has of a shell.
pub(crate) const DROP_IN: &str = "agentd.service.d/10-shell.conf";
/// What stands for the agents.
pub(crate) const AGENTS: &str = "agentd-agents.service";
/// The group of it and all its agents.
pub(crate) const SLICE: &str = "agentd.slice";
