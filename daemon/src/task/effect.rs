//! What is to be done once a transition is durable.

use super::{event::AttemptRef, state::StopReason};

/// An act that a transition asks for. What comes of it is a new event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Make the workspace and spawn the runner.
    Launch(AttemptRef),
    /// Tell the runner to start the agent.
    Go(AttemptRef),
    /// Tell the runner that nothing has changed.
    CarryOn(AttemptRef),
    /// End the agent, or its start.
    Stop {
        /// Of which attempt.
        attempt: AttemptRef,
        /// For the note in the transcript.
        reason: StopReason,
        /// Milliseconds between the polite signal and the kill.
        grace: u64,
    },
    /// The runner did not end the attempt in the time that a stop may take:
    /// kill it; its agent goes with it, and what is left is swept.
    EndRunner(AttemptRef),
    /// The attempt has ended: tell its runner that the result is durable, if
    /// it is still there, and put the attempt's files away.
    Conclude(AttemptRef),
}
