//! When the daemon is told what is known of the agent's run.
//!
//! What somebody may act on is told at once: the session, because a crash must
//! not lose it; a limit of the account; why the work cannot be done. Figures
//! and progress change with each line, and each telling is a commit: they wait
//! for their turn.

use std::time::{Duration, Instant};

use crate::task::observed::Observed;

/// Time between two tellings of what can wait.
const EVERY: Duration = Duration::from_secs(15);

/// What the daemon was told of the agent's run.
#[derive(Debug, Default)]
pub(super) struct Told {
    told: Observed,
    /// Not before this.
    next: Option<Instant>,
    /// There is something that was not told.
    due: bool,
}

impl Told {
    /// What is to be told now of what is `known`.
    pub(super) fn news(&mut self, known: &Observed, now: Instant) -> Option<Observed> {
        self.due = *known != self.told;
        let waits = self.next.is_some_and(|next| now < next);
        if !self.due || waits && !is_urgent(&self.told, known) {
            return None;
        }
        self.due = false;
        self.next = Some(now + EVERY);
        self.told = known.clone();
        Some(known.clone())
    }

    /// When [`Told::news`] is to be asked again though nothing was printed.
    pub(super) fn at(&self) -> Option<Instant> {
        self.next.filter(|_| self.due)
    }
}

fn is_urgent(told: &Observed, known: &Observed) -> bool {
    let urgent = |observed: &Observed| Observed {
        usage: None,
        model: None,
        progress: None,
        claim: None,
        ..observed.clone()
    };
    urgent(told) != urgent(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(session: &str, progress: &str) -> Observed {
        Observed {
            session: Some(session.to_owned()),
            progress: Some(progress.to_owned()),
            ..Observed::default()
        }
    }

    #[test]
    fn what_can_wait_waits() {
        let start = Instant::now();
        let mut told = Told::default();
        assert_eq!(told.news(&Observed::default(), start), None);
        let first = known("a", "1");
        assert_eq!(told.news(&first, start), Some(first.clone()));
        assert_eq!((told.news(&first, start), told.at()), (None, None));
        let second = known("a", "2");
        assert_eq!(told.news(&second, start), None);
        let at = told.at().unwrap();
        assert_eq!(told.news(&second, at), Some(second));
        let third = known("b", "2");
        assert_eq!(told.news(&third, at), Some(third));
    }
}
