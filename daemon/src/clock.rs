//! What the clocks show: one for people, one for waiting (see
//! [`crate::task::moment`]).
//!
//! Nothing else asks the system for the time; who decides is given a reading.

mod watch;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

pub use self::watch::ClockWatch;
use crate::task::{
    id::Timestamp,
    moment::{Boot, Moment, Steady},
};

/// Microseconds on the clock that does not jump, as the kernel counts them:
/// what sd_notify(3) wants beside `RELOADING=1`.
#[must_use]
pub fn monotonic_micros() -> i128 {
    let now = clock_gettime(ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000
}

/// The wall clock's time.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks for the time"
)]
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
}

/// The steady clock's time, milliseconds.
#[must_use]
pub fn steady() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(millis)
}

/// Both clocks, in the boot that this process lives in.
#[must_use]
pub fn moment(boot: Boot) -> Moment {
    Moment {
        wall: now(),
        steady: Some(Steady {
            boot,
            millis: steady(),
        }),
    }
}

/// One look at all clocks: what a decision is made by.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The steady clock, for timers of this process.
    pub instant: Instant,
    /// Both clocks, for what outlives it.
    pub moment: Moment,
}

/// Looks at all clocks.
#[must_use]
pub fn reading(boot: Boot) -> Reading {
    Reading {
        instant: Instant::now(),
        moment: moment(boot),
    }
}
