//! What a new task is to wait for.

use agentd_proto::v1;

use super::task_id;
use crate::{
    rpc::error::Failure,
    task::{
        dependency::{After, Condition, MAX_AFTER, unique},
        id::Timestamp,
        moment::Moment,
    },
};

/// Longest delay, milliseconds: ten years.
const MAX_DELAY: u64 = 3_653 * 24 * 60 * 60 * 1000;

/// A time of the wall clock, or a delay on the steady one.
pub(super) fn later(not_before: i64, delay: u64) -> Result<(Option<Moment>, Option<u64>), Failure> {
    if not_before < 0 {
        return Err(Failure::field("not_before", "not_before is before 1970"));
    }
    if not_before != 0 && delay != 0 {
        return Err(Failure::field("delay", "not_before and delay are both set"));
    }
    if delay > MAX_DELAY {
        return Err(Failure::field("delay", "delay is longer than ten years"));
    }
    let at = (not_before != 0).then(|| Moment::of_wall(Timestamp(not_before)));
    Ok((at, (delay != 0).then_some(delay)))
}

/// The tasks that have to end first.
pub(super) fn after(list: &[v1::After]) -> Result<Vec<After>, Failure> {
    if list.len() > MAX_AFTER {
        return Err(Failure::field(
            "after",
            format!(
                "{} tasks to wait for; {MAX_AFTER} are the limit",
                list.len()
            ),
        )
        .hint("let a task of its own wait for some of them, and this one for that"));
    }
    let read = |after: &v1::After| {
        let condition = match v1::after::Condition::try_from(after.condition) {
            Ok(v1::after::Condition::Unspecified) => Condition::Success,
            Ok(v1::after::Condition::Any) => Condition::End,
            Err(_) => return Err(Failure::field("after", "unknown condition")),
        };
        let task = task_id(after.task)?;
        Ok(After { task, condition })
    };
    Ok(unique(list.iter().map(read).collect::<Result<_, _>>()?))
}
