//! Processes as the kernel shows them: names that last, trees, and their end.
//!
//! A pid is a number that is given out again. Here a process is named by pid,
//! start time and boot ([`ProcessIdentity`](crate::task::attempt::ProcessIdentity)),
//! and a signal goes through a descriptor of the process (pidfd) that was
//! checked against that name, so that it never meets a stranger.
//!
//! A zombie counts as dead: whoever should reap it may be late.
//!
//! A tree is held by a control group ([`Leaf`]) where there can be one, in a unit
//! of the service manager ([`Scopes`]) where that makes them; by its parent, and by
//! a marker in its environment ([`Marker`]). It can be put into a sandbox
//! ([`Cage`]).
//!
//! This room decides nothing: it does not know why a process is to end. All of
//! it blocks, for as long as reading `/proc` takes; only [`sweep_marked`],
//! [`Leaf::wait_empty`] and [`run`] wait, and what is async: for the service
//! manager, and for programs that are told something ([`tell`]).

mod cgroup;
mod command;
mod containment;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod identity;
mod marker;
mod origin;
mod peer;
mod sandbox;
mod sockets;
mod stat;
mod tell;
mod tree;
mod units;

pub use rustix::process::Signal;

pub use self::{
    cgroup::{Groups, Leaf, LeafLimits, NoScopes, Scopes, is_leaf_of, is_scope_of, settle},
    command::{Ended, run, run_alone},
    containment::Containment,
    identity::{Pinned, boot_id, identity, identity_of_child, is_alive},
    marker::{Marked, Marker, SweepOutcome, all_marked, sweep_marked, with_marker},
    origin::{Origin, origin, start_ticks},
    peer::peer_groups,
    sandbox::{Cage, CageError, can_cage},
    stat::{Own, own},
    tell::tell,
    tree::{Figures, descendants, figures, signal_tree, sweep},
    units::{AskError, NewScope, enter_scope},
};

#[cfg(test)]
mod tests;
