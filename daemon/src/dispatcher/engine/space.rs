//! Nothing is started on a disk that is nearly full: the agents would fail,
//! and the store after them.

use std::time::{Duration, Instant};

use super::Engine;
use crate::dispatcher::Trouble;

/// Time between two looks at the free space while there is too little of it.
const SPACE: Duration = Duration::from_secs(2);

/// That too little space is free.
pub(super) struct Space {
    pub(super) trouble: Trouble,
    pub(super) again: Instant,
}

impl Engine {
    /// Whether enough space is free to start something. If not, it is looked
    /// at again after a while: nothing says when there is.
    pub(super) fn has_space(&mut self, now: Instant) -> bool {
        let needed = self.parts.config.min_free_disk;
        if self.space.as_ref().is_some_and(|space| now < space.again) {
            return false;
        }
        let free = match self.parts.state.free_space() {
            Ok(free) => free,
            Err(error) => {
                tracing::warn!(%error, "cannot see how much space is free");
                return true;
            }
        };
        let before = self.space.take();
        if free < needed {
            let trouble = Trouble::Disk { free, needed };
            if before.is_none() {
                tracing::error!("{trouble}");
            }
            let again = now + SPACE;
            self.space = Some(Space { trouble, again });
        } else if before.is_some() {
            tracing::info!(free, "there is space again");
        }
        self.space.is_none()
    }
}
