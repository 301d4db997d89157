//! The pure core: what a task is and how it changes.
//!
//! ```text
//!            Claim            Registered{Running}/Started         Exited, verdict good
//!  ┌────────┐     ┌──────────┐                   ┌─────────┐
//!  │ queued │────►│ starting │──────────────────►│ running │────────────► succeeded
//!  └────────┘     └──────────┘                   └─────────┘
//!    ▲    │ Cancel   │  │ Cancel, Deadline          │    │ Cancel, Deadline
//!    │    ▼          │  └──────────┐                │    ▼
//!    │ cancelled     │             │                │  ┌──────────┐
//!    │               │             └────────────────┼─►│ stopping │
//!    │  StartFailed, │                        Lost, │  └──────────┘
//!    │  NeverStarted ▼                       Exited ▼        │ Exited, Lost, StartFailed
//!    └───────────────┴── a retry is allowed ────────┴────────┤
//!                                                            │ none is
//!                                                            ▼
//!                           failed · cancelled · interrupted · aborted
//! ```
//!
//! - **queued**: nothing of it exists outside the store. It may be held, by a
//!   person, a clock ([`state::Hold`]) or other tasks ([`dependency`]).
//! - **starting**: an attempt is in the store; its workspace, its runner and
//!   its agent come into being. Every failure on this way leads through
//!   [`transition::decide`] back to the queue or to a final state; there is no
//!   other exit, and a deadline bounds it.
//! - **running**: the agent was started by a runner whose identity is durable.
//! - **stopping**: the reason is durable, then the signals are sent. It ends
//!   when the runner says, or recovery proves, that nothing is left.
//! - the final states are never left.
//!
//! Nothing here does I/O, knows a clock or draws a random number; this module
//! imports nothing of the crate. What it does *not* do: keep tasks (store),
//! run effects (dispatcher), talk to processes (supervisor).

pub mod attempt;
pub mod budget;
pub mod deadline;
pub mod dependency;
pub mod effect;
pub mod event;
pub mod id;
pub mod life;
pub mod limits;
pub mod moment;
pub mod notice;
pub mod observed;
pub mod quota;
pub mod reason;
pub mod recovery;
pub mod retention;
pub mod retry;
pub mod schedule;
pub mod sequel;
pub mod session;
pub mod signs;
pub mod spec;
pub mod state;
pub mod timetable;
pub mod token;
pub mod transition;
pub mod usage;

#[cfg(test)]
pub(crate) mod testing;
