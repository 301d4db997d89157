//! How it stands with notices, for people who ask.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    config::Notify,
    task::{
        id::{TaskId, Timestamp},
        notice::Way,
    },
};

/// A notice that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The task that had ended.
    pub task: TaskId,
    /// Since when nothing is taken; of one that was given up: when that was.
    pub at: Timestamp,
    /// One line.
    pub why: String,
}

/// How one way stands, as far as this life of the daemon knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The way.
    pub way: Way,
    /// The program, or scheme and host of the server.
    pub to: String,
    /// Nothing is taken at present.
    pub failing: Option<Trouble>,
    /// Notices that were given up.
    pub given_up: u64,
    /// The last of them.
    pub last_given_up: Option<Trouble>,
}

/// What is known of all ways.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<BTreeMap<Way, Row>>);

#[derive(Debug, Default)]
struct Row {
    failing: Option<Trouble>,
    given_up: u64,
    last_given_up: Option<Trouble>,
}

impl Board {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<Way, Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A notice was not taken. Returns whether the one before was.
    pub(super) fn failed(&self, way: Way, trouble: Trouble) -> bool {
        let mut rows = self.rows();
        let failing = &mut rows.entry(way).or_default().failing;
        let at = failing.as_ref().map_or(trouble.at, |before| before.at);
        failing.replace(Trouble { at, ..trouble }).is_none()
    }

    /// A notice is never sent again.
    pub(super) fn gave_up(&self, way: Way, trouble: Trouble) {
        let mut rows = self.rows();
        let row = rows.entry(way).or_default();
        row.given_up += 1;
        row.last_given_up = Some(trouble);
    }

    /// Somebody has taken one, or understood and refused it. Returns whether the
    /// one before was not taken.
    pub(super) fn reached(&self, way: Way) -> bool {
        let mut rows = self.rows();
        let row = rows.get_mut(&way);
        row.is_some_and(|row| row.failing.take().is_some())
    }

    /// Nobody is told by it any more.
    pub(super) fn forget(&self, way: Way) {
        self.rows().remove(&way);
    }

    pub(super) fn standing(&self, way: Way, notify: &Notify) -> Standing {
        let rows = self.rows();
        let row = rows.get(&way);
        Standing {
            way,
            to: match (way, &notify.webhook) {
                (Way::Webhook, Some(webhook)) => webhook.url.to_string(),
                (Way::Command, _) | (Way::Webhook, None) => {
                    notify.command.first().cloned().unwrap_or_default()
                }
            },
            failing: row.and_then(|row| row.failing.clone()),
            given_up: row.map_or(0, |row| row.given_up),
            last_given_up: row.and_then(|row| row.last_given_up.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::testing;

    fn trouble(at: i64, why: &str) -> Trouble {
        Trouble {
            task: testing::id(1),
            at: Timestamp(at),
            why: why.to_owned(),
        }
    }

    #[test]
    fn a_failure_lasts_from_its_first_to_whoever_takes_one() {
        let board = Board::default();
        let notify = Notify {
            command: vec!["tell-me".to_owned()],
            ..Notify::default()
        };
        let failing = || board.standing(Way::Command, &notify).failing;
        assert!(!board.reached(Way::Command) && failing().is_none());
        assert!(board.failed(Way::Command, trouble(1, "a")));
        assert!(!board.failed(Way::Command, trouble(2, "b")));
        assert_eq!(failing(), Some(trouble(1, "b")));
        board.gave_up(Way::Command, trouble(3, "b"));
        // The next one is not taken either.
        assert!(!board.failed(Way::Command, trouble(4, "c")));
        assert!(board.reached(Way::Command));
        let standing = board.standing(Way::Command, &notify);
        assert_eq!(standing.to, "tell-me");
        assert_eq!((standing.failing, standing.given_up), (None, 1));
        assert_eq!(standing.last_given_up, Some(trouble(3, "b")));
        board.forget(Way::Command);
        assert_eq!(board.standing(Way::Command, &notify).given_up, 0);
    }
}
