//! Streams that a task of their own feeds: rows, and events as they happen.

use std::sync::Arc;

use agentd_proto::v1;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::{Shared, list, to_proto};
use crate::{
    store::Filter,
    task::id::{Revision, TaskId},
};

/// Events or rows that one snapshot is used for.
pub(super) const CHUNK: usize = 256;

/// Sends every matching task, newest first.
pub(super) async fn send_rows(
    shared: Arc<Shared>,
    filter: Filter,
    mut before: Option<TaskId>,
    sender: mpsc::Sender<Result<v1::Task, Status>>,
) {
    loop {
        let filter = filter.clone();
        let around = shared.around();
        let dispatcher = shared.dispatcher.clone();
        let listed = shared
            .read(move |reader| list::rows(reader, &filter, before, CHUNK, &around, &dispatcher));
        let (rows, more) = match listed.await {
            Ok(listed) => listed,
            Err(failure) => {
                drop(sender.send(Err(failure.into())).await);
                return;
            }
        };
        before = rows.last().and_then(|row| TaskId::new(row.id));
        for row in rows {
            if sender.send(Ok(row)).await.is_err() {
                return;
            }
        }
        if more == 0 {
            return;
        }
    }
}

/// Sends the events above a revision, of one task until it is final, or of
/// all for ever.
pub(super) async fn send(
    shared: Arc<Shared>,
    mut revisions: watch::Receiver<Revision>,
    mut after: Revision,
    task: Option<TaskId>,
    sender: mpsc::Sender<Result<v1::Event, Status>>,
) {
    loop {
        let read = shared.read(move |reader| {
            let events = reader.events(after, task, CHUNK)?;
            let state = task.map(|id| reader.task(id)).transpose()?.flatten();
            Ok((events, state))
        });
        let (events, state) = match read.await {
            Ok(read) => read,
            Err(failure) => {
                drop(sender.send(Err(failure.into())).await);
                return;
            }
        };
        let full = events.len() == CHUNK;
        for event in events {
            after = event.revision;
            if sender.send(Ok(to_proto::event(&event))).await.is_err() {
                return;
            }
        }
        if full {
            continue;
        }
        // One that is gone has ended long ago.
        if task.is_some() && state.is_none_or(|task| !task.state.is_active()) {
            return;
        }
        tokio::select! {
            changed = revisions.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
            () = shared.stop.cancelled() => return,
        }
    }
}
