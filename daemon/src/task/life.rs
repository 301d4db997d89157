//! Whether a runner lives: yes, no, or nobody knows.

/// What a look at a runner from outside found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It lives, whatever it does or does not say.
    Alive,
    /// It is gone.
    Dead,
    /// The signs contradict each other, or cannot be seen. Nothing follows from
    /// it but another look.
    Unknown,
}

impl Life {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }
}

/// Judges a runner by whether its lock is held and whether the process that
/// registered is there; `None`: that could not be found out, or is not known.
///
/// | lock | process | |
/// |---|---|---|
/// | free | any | dead |
/// | held | there, or never registered | alive |
/// | held | gone | unknown: somebody else holds the lock |
/// | ? | any | unknown |
///
/// Only the lock proves a death.
#[must_use]
pub fn judge(locked: Option<bool>, there: Option<bool>) -> Life {
    match (locked, there) {
        (Some(false), _) => Life::Dead,
        (Some(true), Some(true) | None) => Life::Alive,
        (Some(true), Some(false)) | (None, _) => Life::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_free_lock_is_a_death() {
        for there in [None, Some(false), Some(true)] {
            assert_eq!(judge(Some(false), there), Life::Dead);
            assert_eq!(judge(None, there), Life::Unknown);
        }
        assert_eq!(judge(Some(true), Some(true)), Life::Alive);
        assert_eq!(judge(Some(true), None), Life::Alive);
        assert_eq!(judge(Some(true), Some(false)), Life::Unknown);
    }
}
