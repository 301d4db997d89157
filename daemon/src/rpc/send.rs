//! Sending to clients that may not read.

use std::time::Duration;

use tokio::{sync::mpsc, time::timeout};
use tonic::Status;

/// How long a client may take for a message, where others wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends a message; false if the client has gone, or takes nothing any more.
pub(super) async fn send<T>(
    to: &mpsc::Sender<Result<T, Status>>,
    message: Result<T, Status>,
) -> bool {
    send_within(PATIENCE, to, message).await
}

async fn send_within<T>(
    patience: Duration,
    to: &mpsc::Sender<Result<T, Status>>,
    message: Result<T, Status>,
) -> bool {
    matches!(timeout(patience, to.send(message)).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_does_not_read_is_given_up() {
        let (to, mut messages) = mpsc::channel(1);
        assert!(send(&to, Ok(1)).await);
        let soon = Duration::from_millis(10);
        let sent = send_within(soon, &to, Ok(2)).await;
        assert!(!sent, "there is no room for it");
        assert_eq!(messages.recv().await.unwrap().unwrap(), 1);
        assert!(send(&to, Ok(3)).await);
        drop(messages);
        assert!(!send(&to, Ok(4)).await);
    }
}
