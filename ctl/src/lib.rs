//! `agentctl`, the command line of agentd: it parses what a person or script
//! wants, asks the daemon over its socket, and prints the answer.
//!
//! - `cli` is the tree of commands, `command/<verb>` one file a command: its
//!   arguments, whose doc comments are the help, and what it does with them.
//! - `client` speaks to the daemon, `socket` finds it, `autostart` starts it.
//! - `view` is what JSON output looks like, `output` writes it and everything
//!   else; nothing is printed past it. What is listed is `output::list::Listed`.
//! - `doctor` looks for what is wrong, also where no daemon runs.
//! - `service` makes the daemon a service of its user.
//! - `story` puts into words what the daemon tells of a task.
//! - `complete` answers shells that complete what is typed.
//! - `top` is the live view on the whole screen.
//! - `error` is the one error type, with its exit codes.
//!
//! It keeps no state, reads no file of the daemon and links none of its code:
//! all it knows comes through the interface in `agentd-proto`. Only `doctor` looks
//! at modes and names of files, and asks agentd itself about what is in them; only
//! `service` writes files, which are units.

mod autostart;
mod cli;
mod client;
mod command;
mod complete;
mod doctor;
mod error;
mod follow;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod id;
mod output;
mod reconnect;
mod service;
mod socket;
mod story;
mod top;
mod view;
mod when;

pub use cli::{command, main};
