//! What the daemon says to a runner.

/// A message to a runner. Each is the answer to a registration, or comes
/// unasked later; all may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToRunner {
    /// Start the agent.
    Go,
    /// Nothing has changed.
    CarryOn,
    /// End the agent, or do not start it.
    Stop {
        /// For the note in the transcript.
        reason: &'static str,
        /// Milliseconds between the polite signal and the kill.
        grace: u64,
    },
    /// The attempt is not the current one: end everything.
    Fenced {
        /// For the runner's log.
        why: &'static str,
    },
    /// The result is durable.
    Ack,
}
