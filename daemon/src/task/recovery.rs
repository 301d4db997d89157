//! What a new incarnation makes of an attempt that it finds in the store.

use super::{attempt::Phase, reason::FailureReason};

/// What was seen of an attempt's runner from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// A process holds the runner's lock.
    pub locked: bool,
    /// A complete result of this attempt is on disk.
    pub result: bool,
    /// Its runner said that the service manager ended the attempt.
    pub stopped: bool,
    /// The machine has not been restarted since the claim.
    pub same_boot: bool,
}

/// What to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Its runner lives: it registers by itself.
    Adopt,
    /// It has ended: take its result.
    Finish,
    /// Its runner died: kill what is left of its tree, then it is lost.
    Reap(FailureReason),
    /// No agent can have been started: back to the queue.
    NeverStarted,
}

/// Judges an active attempt by what was seen of it.
///
/// | lock | result | boot | phase | finding |
/// |---|---|---|---|---|
/// | held | any | same | any | adopt |
/// | free | yes | any | any | finish |
/// | free | no | any | claimed | never started |
/// | free | no | same | later | reap, `runner_lost`, or `scope_stopped` if its runner said so |
/// | free | no | other | later | reap, `host_rebooted` |
///
/// A lock that is held in another boot than the claim's is held by nobody's
/// runner; it counts as free.
#[must_use]
pub fn judge(phase: Phase, seen: Sighting) -> Finding {
    if seen.locked && seen.same_boot {
        return Finding::Adopt;
    }
    if seen.result {
        return Finding::Finish;
    }
    match phase {
        Phase::Claimed => Finding::NeverStarted,
        Phase::Registered | Phase::Running | Phase::Ended if seen.same_boot => {
            Finding::Reap(gone(seen.stopped))
        }
        Phase::Registered | Phase::Running | Phase::Ended => {
            Finding::Reap(FailureReason::HostRebooted)
        }
    }
}

/// Why an attempt has no result whose runner is gone, in the same boot. One that
/// was ended is not one that died: however many were, the look is not wrong.
#[must_use]
pub fn gone(stopped: bool) -> FailureReason {
    if stopped {
        FailureReason::ScopeStopped
    } else {
        FailureReason::RunnerLost
    }
}

/// Fewer dead attempts than this are believed at once.
pub const MASS_DEATH: u64 = 5;

/// Whether so many of `total` attempts look dead (`lost`, in the boot in which
/// they were claimed) that it is rather the look that is wrong: the state
/// directory of another machine, or a file system that forgets locks.
#[must_use]
pub fn mass_death(total: u64, lost: u64) -> bool {
    lost >= MASS_DEATH && lost.saturating_mul(2) > total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_many_is_mass_death() {
        for (total, lost, mass) in [
            (4, 4, false),
            (5, 5, true),
            (9, 5, true),
            (10, 5, false),
            (10, 6, true),
            (100, 50, false),
        ] {
            assert_eq!(mass_death(total, lost), mass, "{lost} of {total}");
        }
    }

    #[test]
    fn every_row_of_the_table() {
        let seen = |locked, result, same_boot| Sighting {
            locked,
            result,
            stopped: false,
            same_boot,
        };
        let lost = Finding::Reap(FailureReason::RunnerLost);
        let rebooted = Finding::Reap(FailureReason::HostRebooted);
        for phase in [Phase::Claimed, Phase::Registered, Phase::Running] {
            for result in [false, true] {
                assert_eq!(judge(phase, seen(true, result, true)), Finding::Adopt);
            }
            for same_boot in [false, true] {
                assert_eq!(judge(phase, seen(false, true, same_boot)), Finding::Finish);
            }
        }
        assert_eq!(
            judge(Phase::Claimed, seen(false, false, true)),
            Finding::NeverStarted
        );
        assert_eq!(
            judge(Phase::Claimed, seen(false, false, false)),
            Finding::NeverStarted
        );
        for phase in [Phase::Registered, Phase::Running] {
            assert_eq!(judge(phase, seen(false, false, true)), lost);
            for (same_boot, reason) in [
                (true, FailureReason::ScopeStopped),
                (false, FailureReason::HostRebooted),
            ] {
                let stopped = Sighting {
                    stopped: true,
                    ..seen(false, false, same_boot)
                };
                assert_eq!(judge(phase, stopped), Finding::Reap(reason));
            }
            assert_eq!(judge(phase, seen(false, false, false)), rebooted);
        }
    }
}
