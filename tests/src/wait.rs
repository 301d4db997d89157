//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// How long a test waits for anything. Far longer than it takes: a test that
/// needs more on a loaded machine would be a nuisance. Some agents repeat by
/// themselves for minutes before they give up.
pub const DEADLINE: Duration = match cfg!(feature = "agents-longer") {
    true => Duration::from_secs(300),
    false => Duration::from_secs(60),
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until the condition holds.
///
/// # Panics
/// If it does not within [`DEADLINE`].
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Waits until there is an answer.
///
/// # Panics
/// If there is none within [`DEADLINE`].
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            begin.elapsed() < DEADLINE,
            "waited {DEADLINE:?} in vain: {what}"
        );
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one pause of the tests: between two looks at a condition"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}
