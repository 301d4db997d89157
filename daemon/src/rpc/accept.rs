//! Taking connections, whatever the system is short of.

use std::{convert::Infallible, time::Duration};

use tokio::{net::UnixListener, sync::mpsc};

use super::peer::Caller;

/// Pause after a connection that could not be taken: for want of files or
/// memory, and trying at once would only take the time of who may free some.
const PAUSE: Duration = Duration::from_millis(100);

/// Hands on connections until nobody takes them any more. One that cannot be
/// accepted waits in the kernel's queue; it is never a reason to end.
pub(super) async fn accept(listener: UnixListener, to: mpsc::Sender<Result<Caller, Infallible>>) {
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                told = false;
                if to.send(Ok(Caller::new(stream))).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(%error, "cannot take connections; trying again");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
