//! Streams that end when the daemon stops.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::error::Failure;
use crate::dispatcher::Unavailable;

/// A boxed stream of answers.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

struct Until<S> {
    stream: Pin<Box<S>>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

/// The stream, and an error that says why at its end if the daemon stops.
pub(super) fn until<T: 'static>(
    stop: CancellationToken,
    stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> Answers<T> {
    Box::pin(Until {
        stream: Box::pin(stream),
        stop: Box::pin(stop.cancelled_owned()),
        ended: false,
    })
}

impl<T, S: Stream<Item = Result<T, Status>>> Stream for Until<S> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // What was said before the stop is delivered: a runner that does not
        // hear that its result is stored would wait for the next daemon.
        if let Poll::Ready(next) = self.stream.as_mut().poll_next(context) {
            return Poll::Ready(next);
        }
        if self.stop.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.ended = true;
        let stopping = Failure::from(Unavailable::Stopping);
        Poll::Ready(Some(Err(stopping.into())))
    }
}
