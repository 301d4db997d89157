//! Wall-clock time. Waiting is done on the runtime's monotonic clock, which
//! neither jumps nor counts suspend; this one is for people.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::task::id::Timestamp;

/// Microseconds on the clock that does not jump, as the kernel counts them:
/// what sd_notify(3) wants beside `RELOADING=1`.
#[must_use]
pub fn monotonic_micros() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000
}

/// The time now.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks for the time"
)]
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
}
