//! Tasks that wait for others to end.
//!
//! A task can only wait for tasks that exist when it is submitted, and numbers
//! ascend: it waits for older ones only, so no circle can come about.

use serde::{Deserialize, Serialize};

use super::{id::TaskId, reason::Outcome};

/// Most tasks that one task may wait for.
pub const MAX_AFTER: usize = 64;

/// What has to become of a task before another one may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Condition {
    /// It has to succeed.
    Success,
    /// It has to end, however.
    End,
}

/// One task that another one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct After {
    /// The task that has to end first.
    pub task: TaskId,
    /// How.
    pub condition: Condition,
}

impl Condition {
    /// The word in the command line and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "ok",
            Self::End => "any",
        }
    }

    /// Whether a task that ended so is what was waited for.
    #[must_use]
    pub fn is_met_by(self, outcome: Outcome) -> bool {
        match (self, outcome) {
            (Self::End, _) | (Self::Success, Outcome::Succeeded) => true,
            (
                Self::Success,
                Outcome::Failed | Outcome::Cancelled | Outcome::Interrupted | Outcome::Aborted,
            ) => false,
        }
    }
}

/// What the end of a task means to one that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    /// It does not wait for that task.
    Foreign,
    /// It waits for these only now.
    Left(Vec<After>),
    /// What it waits for cannot come any more.
    Never,
}

/// What is left of `waits_for` once `ended` has come to its end.
#[must_use]
pub fn settle(waits_for: &[After], ended: TaskId, outcome: Outcome) -> Met {
    let (of_it, left): (Vec<After>, Vec<After>) =
        waits_for.iter().partition(|after| after.task == ended);
    if of_it.is_empty() {
        Met::Foreign
    } else if of_it.iter().all(|after| after.condition.is_met_by(outcome)) {
        Met::Left(left)
    } else {
        Met::Never
    }
}

/// The same list with each task once, by number; of two conditions the
/// stricter one.
#[must_use]
pub fn unique(mut list: Vec<After>) -> Vec<After> {
    list.sort_unstable();
    list.dedup_by_key(|after| after.task);
    list
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::task::testing::id;

    const OUTCOMES: [Outcome; 5] = [
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::Cancelled,
        Outcome::Interrupted,
        Outcome::Aborted,
    ];

    fn any_list() -> impl Strategy<Value = Vec<After>> {
        let after = (1..6_u64, any::<bool>()).prop_map(|(task, any)| After {
            task: id(task),
            condition: if any {
                Condition::End
            } else {
                Condition::Success
            },
        });
        prop::collection::vec(after, 0..8)
    }

    proptest! {
        #[test]
        fn a_list_ends_as_its_conditions_say(
            list in any_list(),
            ends in prop::collection::vec((1..6_u64, 0..5_usize), 0..20),
        ) {
            let mut left = unique(list.clone());
            // Each task ends once, and in any order.
            let mut ended = std::collections::BTreeMap::new();
            for (task, outcome) in ends {
                let outcome = OUTCOMES[outcome];
                if ended.insert(task, outcome).is_some() {
                    return Ok(());
                }
                let strict = list.iter().any(|after| {
                    after.task == id(task) && after.condition == Condition::Success
                });
                let waits = list.iter().any(|after| after.task == id(task));
                match settle(&left, id(task), outcome) {
                    Met::Foreign => prop_assert!(!waits),
                    Met::Never => {
                        prop_assert!(strict && outcome != Outcome::Succeeded);
                        return Ok(());
                    }
                    Met::Left(next) => {
                        prop_assert!(waits && (!strict || outcome == Outcome::Succeeded));
                        prop_assert_eq!(next.len() + 1, left.len());
                        left = next;
                    }
                }
            }
            let open = unique(list);
            let open = open.iter().filter(|after| !ended.contains_key(&after.task.get()));
            prop_assert!(open.eq(left.iter()));
        }
    }

    #[test]
    fn of_two_conditions_the_stricter_one_counts() {
        let any = After {
            task: id(5),
            condition: Condition::End,
        };
        let ok = After {
            condition: Condition::Success,
            ..any
        };
        assert_eq!(unique(vec![any, ok, any]), [ok]);
    }
}
