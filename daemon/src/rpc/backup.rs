//! A copy of the store for a client, piece by piece.

use std::{io::Read as _, sync::Arc};

use agentd_proto::{reason, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Code, Status};

use super::{Shared, error::Failure, send::send as send_in_time};
use crate::{
    backup::{Asked, BackupError},
    store::CopyError,
};

/// Bytes of a message.
const PIECE: usize = 256 * 1024;
/// Messages that a copy may be ahead of its client.
const AHEAD: usize = 4;

type Piece = Result<v1::BackupResponse, Status>;

/// Begins to copy; what comes of it is sent.
pub(super) fn backup(shared: &Arc<Shared>, tracker: &TaskTracker) -> ReceiverStream<Piece> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let shared = Arc::clone(shared);
    tracker.spawn(async move {
        let stop = shared.stop.clone();
        stop.run_until_cancelled(send(&shared, &sender)).await;
    });
    ReceiverStream::new(receiver)
}

async fn send(shared: &Shared, to: &mpsc::Sender<Piece>) {
    let told = to.clone();
    let copying = shared.backups.asked(move |progress| {
        let progress = v1::BackupResponse {
            rows_done: progress.done,
            rows: progress.total,
            ..v1::BackupResponse::default()
        };
        // One that is not taken is followed by another.
        !matches!(
            told.try_send(Ok(progress)),
            Err(mpsc::error::TrySendError::Closed(_))
        )
    });
    let sent = match copying.await {
        Ok(asked) => pieces(asked, to).await,
        Err(error) => Err(Failure::from(error)),
    };
    if let Err(failure) = sent {
        // Who has gone does not want to know.
        send_in_time(to, Err(failure.into())).await;
    }
}

async fn pieces(asked: Asked<'_>, to: &mpsc::Sender<Piece>) -> Result<(), Failure> {
    let copied = asked.copied;
    let mut left = copied.bytes;
    while left > 0 {
        let file = asked.file.try_clone().map_err(|e| unreadable(&e))?;
        let reading = tokio::task::spawn_blocking(move || {
            let mut data = Vec::with_capacity(PIECE);
            file.take(PIECE as u64).read_to_end(&mut data)?;
            Ok(data)
        });
        let data: Vec<u8> = match reading.await {
            Ok(read) => read.map_err(|e: std::io::Error| unreadable(&e))?,
            Err(_) => return Ok(()),
        };
        if data.is_empty() {
            return Err(unreadable(&"it is shorter than it was"));
        }
        left = left.saturating_sub(data.len() as u64);
        let piece = v1::BackupResponse {
            size: copied.bytes,
            revision: copied.revision.0,
            data,
            ..v1::BackupResponse::default()
        };
        // The next who asks waits for it.
        if !send_in_time(to, Ok(piece)).await {
            return Ok(());
        }
    }
    Ok(())
}

fn unreadable(why: &dyn std::fmt::Display) -> Failure {
    failed(format!("the copy of the store cannot be read: {why}"))
}

fn failed(message: String) -> Failure {
    Failure::new(Code::FailedPrecondition, reason::BACKUP_FAILED, message)
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::Stopping => Self::new(Code::Unavailable, reason::DAEMON_STOPPING, message),
            BackupError::NoSpace { .. } => failed(message)
                .hint("make room: agentctl workspace list shows worktrees that are not needed"),
            BackupError::Io { source, .. } => failed(format!("{message}: {source}")),
            BackupError::Copy(CopyError::Store(error)) => error.into(),
            BackupError::Copy(CopyError::UnknownTable(_)) => failed(message)
                .hint("use the agentd that wrote it, or stop agentd and copy its store as a file"),
            BackupError::Copy(CopyError::Io(_)) => failed(message)
                .hint("look at the space and the state of the disk of the state directory"),
            BackupError::Copy(CopyError::GivenUp) => Self::new(
                Code::Unavailable,
                reason::STORE_UNAVAILABLE,
                "the copy was given up: the store failed, or the daemon stops",
            ),
        }
    }
}
