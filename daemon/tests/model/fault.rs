//! Mistakes that the model can be told to make, so that it is seen that its
//! rules can be broken.

/// A mistake in what surrounds the decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Effects and replies come before the commit.
    ActsBeforeCommit,
    /// A runner does not wait for Go.
    StartsWithoutGo,
    /// A start of the daemon sees no lock.
    MissesTheLock,
    /// A start of the daemon sees no result.
    MissesTheResult,
    /// What a start of the daemon has seen of a claim is acted upon though its
    /// runner has registered since.
    BelievesAnOldLook,
    /// A registration does not say that the agent may have been started by an
    /// earlier incarnation.
    ForgetsTheStart,
    /// Nobody waits for the end of a runner that was found alive and had not
    /// registered.
    AdoptsUnwatched,
    /// A dead runner's tree is left alive.
    ReapsWithoutSweep,
    /// A registration that was overtaken by the runner's next connection has
    /// that one's answers sent into the void.
    SpeaksToOldConnections,
    /// A runner whose agent has started does not register again.
    NeverComesBack,
}
