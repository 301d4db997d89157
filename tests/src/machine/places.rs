//! How many machines there may be at once.

use std::sync::{Condvar, Mutex, PoisonError};

/// Each has a systemd and daemons that want to be heard in time.
const MOST: usize = 2;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// Room for one machine, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(());

impl Place {
    /// Waits until there is room. Whoever has some gives it back: each test
    /// ends by a deadline of its own.
    pub(super) fn take() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = FREED
            .wait_while(taken, |taken| *taken >= MOST)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        *taken -= 1;
        FREED.notify_one();
    }
}
