//! Two clocks: one for people, one for waiting.
//!
//! The wall clock may be set, by hours and in both directions. The steady clock
//! (`CLOCK_MONOTONIC`) is never set and stands still while the machine is
//! suspended; within one boot its readings compare across processes, and so
//! across restarts of the daemon. After a reboot it says nothing about what was
//! before. Whoever waits keeps both: [`Moment::millis_since`] takes the steady
//! clock where it can and the wall clock where it must, and what waits by the
//! latter has to be bounded, because that clock may have been set back.

use serde::{Deserialize, Serialize};

use super::id::Timestamp;

/// One boot of the machine: a digest of its boot id, small enough to be kept
/// with every moment. Only equality means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Boot(pub u64);

impl Boot {
    /// The boot of this id.
    #[must_use]
    pub fn of(boot_id: &str) -> Self {
        // FNV-1a: the same in every version of the program.
        let digest = boot_id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(digest)
    }
}

/// A reading of the steady clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Steady {
    /// In this boot.
    pub boot: Boot,
    /// Milliseconds; where they begin is the kernel's choice.
    pub millis: u64,
}

/// One moment, as both clocks show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Moment {
    /// For people.
    pub wall: Timestamp,
    /// For waiting; `None` if it was noted by somebody who did not know it.
    pub steady: Option<Steady>,
}

impl Moment {
    /// A moment of which only the wall clock's time is known.
    #[must_use]
    pub fn of_wall(wall: Timestamp) -> Self {
        Self { wall, steady: None }
    }

    /// Milliseconds from `earlier` to this moment; 0 if it is not earlier. By
    /// the steady clock if both were noted in the same boot, else by the other.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> u64 {
        match (self.steady, earlier.steady) {
            (Some(now), Some(then)) if now.boot == then.boot => {
                now.millis.saturating_sub(then.millis)
            }
            (Some(_) | None, Some(_) | None) => self.wall.millis_since(earlier.wall),
        }
    }

    /// Whether the time between the two is known by the steady clock.
    #[must_use]
    pub fn compares_steadily(self, other: Self) -> bool {
        let boot = |moment: Self| moment.steady.map(|steady| steady.boot);
        boot(self).is_some() && boot(self) == boot(other)
    }

    /// This moment and so many milliseconds.
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Self {
        Self {
            wall: self.wall.plus_millis(millis),
            steady: self.steady.map(|steady| Steady {
                millis: steady.millis.saturating_add(millis),
                ..steady
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(wall: i64, boot: &str, millis: u64) -> Moment {
        Moment {
            wall: Timestamp(wall),
            steady: Some(Steady {
                boot: Boot::of(boot),
                millis,
            }),
        }
    }

    #[test]
    fn the_wall_clock_may_do_what_it_likes_within_a_boot() {
        let then = at(10 * HOUR, "a", 500);
        for wall in [0, 9 * HOUR, 10 * HOUR, 11 * HOUR, i64::MAX] {
            assert_eq!(at(wall, "a", 700).millis_since(then), 200, "{wall}");
        }
        assert_eq!(at(0, "a", 400).millis_since(then), 0);
    }

    #[test]
    fn over_a_reboot_only_the_wall_clock_knows() {
        let then = at(10 * HOUR, "a", 500);
        assert_eq!(at(10 * HOUR + 7, "b", 3).millis_since(then), 7);
        assert_eq!(at(9 * HOUR, "b", 9_999).millis_since(then), 0);
        let unknown = Moment::of_wall(Timestamp(10 * HOUR));
        assert_eq!(at(10 * HOUR + 7, "a", 3).millis_since(unknown), 7);
        assert_eq!(unknown.millis_since(then), 0);
    }

    #[test]
    fn a_boot_is_known_by_its_id() {
        assert_eq!(Boot::of("a"), Boot::of("a"));
        assert_ne!(Boot::of("a"), Boot::of("b"));
        // Stored: it must never come out otherwise.
        assert_eq!(Boot::of("boot"), Boot(0xcd2f_dc9b_c6b0_2255));
    }
}
