//! Wall-clock time. Waiting is done on the runtime's monotonic clock, which
//! neither jumps nor counts suspend; this one is for people.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::task::id::Timestamp;

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
