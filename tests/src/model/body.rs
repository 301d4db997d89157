//! The body of a response: all at once, or event by event.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame};
use tokio::time::{Sleep, sleep};

use super::{api::Stream, request::Request, script::Course};

/// Marks a request as left if it is dropped before it is done with.
#[derive(Debug)]
pub(super) struct Watch {
    request: Arc<Request>,
    done: bool,
}

impl Watch {
    pub(super) fn new(request: Arc<Request>) -> Self {
        Self {
            request,
            done: false,
        }
    }

    /// All that is to be sent was taken.
    pub(super) fn done(&mut self) {
        self.done = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.done {
            self.request.left.store(true, Ordering::Release);
        }
    }
}

/// What is sent, and what happens then.
#[derive(Debug)]
pub(super) struct Answered {
    left: VecDeque<Bytes>,
    course: Course,
    pause: Option<Pin<Box<Sleep>>>,
    flushed: bool,
    watch: Watch,
}

impl Answered {
    /// One document.
    pub(super) fn document(text: String, watch: Watch) -> Self {
        Self {
            left: VecDeque::from([Bytes::from(text)]),
            course: Course::Whole,
            pause: None,
            flushed: false,
            watch,
        }
    }

    /// Events on this course.
    pub(super) fn events(stream: Stream, course: Course, watch: Watch) -> Self {
        let events = stream.on(course).into_iter();
        let events = events.map(|event| Bytes::from(event.encode()));
        Self {
            left: events.collect(),
            course,
            pause: course.pause().map(begin),
            flushed: false,
            watch,
        }
    }
}

fn begin(pause: Duration) -> Pin<Box<Sleep>> {
    Box::pin(sleep(pause))
}

impl Body for Answered {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left.is_empty() {
            return match self.course {
                Course::Silent => Poll::Pending,
                Course::Cut if !self.flushed => {
                    // Hyper drops what it has not written when a body fails.
                    self.flushed = true;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                Course::Cut => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
                Course::Whole | Course::Slow { .. } | Course::Short | Course::Fails => {
                    Poll::Ready(None)
                }
            };
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = self.course.pause().map(begin);
        }
        let next = self.left.pop_front().map(|data| Ok(Frame::data(data)));
        if self.left.is_empty() && self.course != Course::Silent {
            self.watch.done();
        }
        Poll::Ready(next)
    }
}
