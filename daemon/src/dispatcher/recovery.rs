//! What a start of the daemon found, while it is being found.
//!
//! ```text
//! Looking ──all looked at, or time over──► Resolving ──all heard of, or time over──► Over
//!    │                                         ▲
//!    └──too many look dead──► Held ──confirmed─┘
//! ```
//!
//! Nothing is reaped before every attempt was looked at: when most of them look
//! dead at once although the machine was not restarted, it is rather the look
//! that is wrong (see [`mass_death`]), and a person decides.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use crate::task::{
    event::AttemptRef,
    id::AttemptId,
    reason::FailureReason,
    recovery::{Finding, mass_death},
};

/// How long a start of the daemon waits for runners that live to register,
/// before it dispatches anything new.
const LIMIT: Duration = Duration::from_secs(5);

/// How many attempts were found how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecoveryCounts {
    /// Attempts that were under way.
    pub total: u64,
    /// Whose runner lives and has registered.
    pub adopted: u64,
    /// That had ended, with their result.
    pub finished: u64,
    /// Whose runner was dead.
    pub reaped: u64,
    /// Of those, the ones that the machine was restarted under.
    pub rebooted: u64,
    /// Of those, the ones that the service manager had ended.
    pub stopped: u64,
    /// That no agent had been started for.
    pub never_started: u64,
    /// About which nothing could be found out in time.
    pub unknown: u64,
    /// That look dead, and are left alone until a person has confirmed it.
    pub held: u64,
}

impl RecoveryCounts {
    /// Attempts of which is known what became of them.
    #[must_use]
    pub fn resolved(&self) -> u64 {
        self.adopted + self.finished + self.reaped + self.never_started
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Looking,
    Held,
    Resolving,
    Over,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Wait,
    /// So many look dead at once that nothing is done about it.
    Hold,
    /// End what is left of these.
    Reap(Vec<(AttemptRef, FailureReason)>),
    /// Dispatch may begin. These were not heard of and stay as they are.
    Over(Vec<AttemptId>),
}

/// The attempts that this incarnation has found and still has to hear of.
#[derive(Debug)]
pub(super) struct Recovery {
    stage: Stage,
    /// Not looked at yet.
    unseen: HashSet<AttemptId>,
    /// Not heard of yet; those that were not heard of in time stay here.
    open: HashSet<AttemptId>,
    /// Whose runner was found dead, and not reaped yet.
    dead: Vec<(AttemptRef, FailureReason)>,
    until: Instant,
    pub(super) counts: RecoveryCounts,
}

impl Recovery {
    pub(super) fn new(attempts: impl Iterator<Item = AttemptId>, now: Instant) -> Self {
        let open: HashSet<_> = attempts.collect();
        let counts = RecoveryCounts {
            total: count(open.len()),
            ..RecoveryCounts::default()
        };
        Self {
            stage: if open.is_empty() {
                Stage::Over
            } else {
                Stage::Looking
            },
            unseen: open.clone(),
            open,
            dead: Vec::new(),
            until: now + LIMIT,
            counts,
        }
    }

    /// Dispatch may begin.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// When [`Recovery::step`] is due, whatever happens.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        match self.stage {
            Stage::Looking | Stage::Resolving => Some(self.until),
            Stage::Held | Stage::Over => None,
        }
    }

    /// The attempt was found and has not been heard of.
    pub(super) fn awaits(&self, attempt: AttemptId) -> bool {
        self.open.contains(&attempt)
    }

    /// Its runner has registered.
    pub(super) fn adopted(&mut self, attempt: AttemptId) {
        self.unseen.remove(&attempt);
        self.dead.retain(|(dead, _)| dead.id != attempt);
        if self.open.remove(&attempt) {
            self.counts.adopted += 1;
        }
    }

    /// What was found of it from outside. A living runner is awaited further;
    /// a dead one is reaped by a later step.
    pub(super) fn examined(&mut self, attempt: AttemptRef, finding: Option<Finding>) {
        self.unseen.remove(&attempt.id);
        match finding {
            None | Some(Finding::Adopt) => {}
            Some(Finding::Finish) => {
                if self.open.remove(&attempt.id) {
                    self.counts.finished += 1;
                }
            }
            Some(Finding::NeverStarted) => {
                if self.open.remove(&attempt.id) {
                    self.counts.never_started += 1;
                }
            }
            Some(Finding::Reap(reason)) => self.dead.push((attempt, reason)),
        }
    }

    /// The attempt has ended before its runner was heard of.
    pub(super) fn ended(&mut self, attempt: AttemptId) {
        self.unseen.remove(&attempt);
        if self.open.remove(&attempt) {
            self.counts.finished += 1;
        }
    }

    /// A person has confirmed that what looks dead is dead. Returns how many.
    pub(super) fn confirm(&mut self, now: Instant) -> u64 {
        if self.stage == Stage::Held {
            self.stage = Stage::Resolving;
            self.until = now + LIMIT;
            self.counts.held = 0;
            return count(self.dead.len());
        }
        0
    }

    /// What follows from what was found until now.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        let time_is_over = self.until <= now;
        if self.stage == Stage::Looking && (self.unseen.is_empty() || time_is_over) {
            let lost =
                |(_, reason): &&(AttemptRef, FailureReason)| *reason == FailureReason::RunnerLost;
            let lost = count(self.dead.iter().filter(lost).count());
            if mass_death(self.counts.total, lost) {
                self.stage = Stage::Held;
                self.counts.held = count(self.dead.len());
                return Step::Hold;
            }
            self.stage = Stage::Resolving;
        }
        match self.stage {
            Stage::Looking | Stage::Held => Step::Wait,
            Stage::Resolving | Stage::Over if !self.dead.is_empty() => {
                let dead = std::mem::take(&mut self.dead);
                for (attempt, reason) in &dead {
                    if self.open.remove(&attempt.id) {
                        self.counts.reaped += 1;
                        self.counts.rebooted += u64::from(*reason == FailureReason::HostRebooted);
                        self.counts.stopped += u64::from(*reason == FailureReason::ScopeStopped);
                    }
                }
                Step::Reap(dead)
            }
            Stage::Resolving if self.open.is_empty() || time_is_over => {
                self.stage = Stage::Over;
                self.counts.unknown = count(self.open.len());
                Step::Over(self.open.iter().copied().collect())
            }
            Stage::Resolving | Stage::Over => Step::Wait,
        }
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{id::Nonce, testing::id};

    fn attempt(number: u64) -> AttemptRef {
        AttemptRef {
            id: AttemptId {
                task: id(number),
                number: 1,
            },
            nonce: Nonce([0; 16]),
        }
    }

    fn recovery(attempts: u64, now: Instant) -> Recovery {
        Recovery::new((1..=attempts).map(|n| attempt(n).id), now)
    }

    const LOST: Option<Finding> = Some(Finding::Reap(FailureReason::RunnerLost));

    #[test]
    fn nothing_is_reaped_before_all_were_looked_at() {
        let now = Instant::now();
        let mut found = recovery(3, now);
        found.examined(attempt(1), LOST);
        found.examined(attempt(2), Some(Finding::Adopt));
        assert_eq!(found.step(now), Step::Wait);
        found.examined(attempt(3), Some(Finding::Finish));
        let dead = vec![(attempt(1), FailureReason::RunnerLost)];
        assert_eq!(found.step(now), Step::Reap(dead));
        assert_eq!(
            found.step(now),
            Step::Wait,
            "a runner lives and may register"
        );
        found.adopted(attempt(2).id);
        assert_eq!(found.step(now), Step::Over(vec![]));
        assert_eq!(found.counts.resolved(), 3);
        assert_eq!(found.next_timer(), None);
    }

    #[test]
    fn a_look_that_hangs_holds_nothing_up() {
        let now = Instant::now();
        let mut found = recovery(2, now);
        found.examined(attempt(1), LOST);
        let later = found.next_timer().unwrap();
        assert!(matches!(found.step(later), Step::Reap(_)));
        assert_eq!(found.step(later), Step::Over(vec![attempt(2).id]));
        assert_eq!(found.counts.unknown, 1);
        // What is found later is done later.
        found.examined(attempt(2), LOST);
        assert!(matches!(found.step(later), Step::Reap(_)));
        assert_eq!(found.step(later), Step::Wait);
    }

    #[test]
    fn mass_death_waits_for_a_person() {
        let now = Instant::now();
        let mut found = recovery(6, now);
        for number in 1..=5 {
            found.examined(attempt(number), LOST);
        }
        found.examined(attempt(6), Some(Finding::Adopt));
        assert_eq!(found.step(now), Step::Hold);
        assert_eq!(found.step(now + 2 * LIMIT), Step::Wait);
        assert_eq!((found.counts.held, found.next_timer()), (5, None));
        assert_eq!(found.confirm(now), 5);
        assert!(matches!(found.step(now), Step::Reap(dead) if dead.len() == 5));
        assert_eq!(found.confirm(now), 0);
    }

    #[test]
    fn one_that_registers_after_all_is_not_dead() {
        let now = Instant::now();
        let mut found = recovery(1, now);
        found.examined(attempt(1), LOST);
        found.adopted(attempt(1).id);
        assert_eq!(found.step(now), Step::Over(vec![]));
        assert_eq!(found.counts.adopted, 1);
    }
}
