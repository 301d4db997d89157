//! What is remembered of a schedule, so that each of its times counts once.

use super::id::{TaskId, Timestamp};

/// A schedule, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// What tells its times from others: a schedule whose times were changed
    /// begins anew.
    pub times: String,
    /// From when on its times count.
    pub since: Timestamp,
    /// The newest time that was dealt with.
    pub last: Option<Timestamp>,
    /// The task that was made last.
    pub task: Option<TaskId>,
}

impl Fired {
    /// A schedule that begins now.
    #[must_use]
    pub fn new(times: String, since: Timestamp) -> Self {
        Self {
            times,
            since,
            last: None,
            task: None,
        }
    }

    /// Times after this one are still to come, or were missed.
    #[must_use]
    pub fn counted_until(&self) -> Timestamp {
        self.last.map_or(self.since, |last| last.max(self.since))
    }

    /// Whether a time has not been dealt with.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        at > self.counted_until()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_counts_once_and_in_order() {
        let mut fired = Fired::new("* * * * * ".to_owned(), Timestamp(100));
        assert!(!fired.is_open(Timestamp(100)) && fired.is_open(Timestamp(101)));
        fired.last = Some(Timestamp(160));
        // Also if the clock was set back meanwhile.
        assert!(!fired.is_open(Timestamp(130)) && !fired.is_open(Timestamp(160)));
        assert!(fired.is_open(Timestamp(220)));
    }
}
