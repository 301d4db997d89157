//! What the daemon says to a runner, and the way there.

use tokio::sync::mpsc;

/// Messages that may wait for one runner.
const ROOM: usize = 16;

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

impl ToRunner {
    /// After this the daemon takes nothing more from that connection.
    #[must_use]
    pub fn is_last(&self) -> bool {
        match self {
            Self::Fenced { .. } | Self::Ack => true,
            Self::Go | Self::CarryOn | Self::Stop { .. } => false,
        }
    }
}

/// The way to one runner, for as long as its connection lasts.
#[derive(Debug, Clone)]
pub struct Outbox(mpsc::Sender<ToRunner>);

impl Outbox {
    /// A way, and where what was sent comes out.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<ToRunner>) {
        let (sender, receiver) = mpsc::channel(ROOM);
        (Self(sender), receiver)
    }

    /// Sends without waiting; false if the connection is gone or the runner
    /// does not read.
    pub fn send(&self, message: ToRunner) -> bool {
        self.0.try_send(message).is_ok()
    }

    /// Answers a runner whose attempt is not the current one: its result is
    /// known or of no use, or it is to end everything.
    pub fn dismiss(&self, has_result: bool) {
        // One that is gone again will ask again.
        self.send(if has_result {
            ToRunner::Ack
        } else {
            ToRunner::Fenced {
                why: "this attempt has ended or was replaced",
            }
        });
    }

    /// The connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits for the end of the connection.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }
}
