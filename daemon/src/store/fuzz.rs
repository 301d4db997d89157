//! What holds for any bytes in the rows of the store.

use super::record::{
    decode_attempt, decode_event, decode_payload, decode_session, decode_task, encode_attempt,
    encode_event, encode_payload, encode_session, encode_task,
};
use crate::task::id::{AttemptId, TaskId};

/// A row is refused, or means the same after it was written again. The first
/// byte says which table it is of.
pub fn check(data: &[u8]) {
    let Some((table, row)) = data.split_first() else {
        return;
    };
    let task = TaskId::FIRST;
    let id = AttemptId { task, number: 1 };
    match table {
        b't' => same(|row| decode_task(task, row).ok(), encode_task, row),
        b'a' => same(|row| decode_attempt(id, row).ok(), encode_attempt, row),
        b'e' => same(|row| decode_event(7, row).ok(), encode_event, row),
        b'p' => same(|row| decode_payload(row).ok(), encode_payload, row),
        b's' => same(
            |row| decode_session("a", "s", row).ok(),
            |(session, revision)| encode_session(session, *revision),
            row,
        ),
        _ => {}
    }
}

fn same<T: PartialEq + std::fmt::Debug>(
    decode: impl Fn(&[u8]) -> Option<T>,
    encode: impl Fn(&T) -> Vec<u8>,
    row: &[u8],
) {
    let Some(read) = decode(row) else {
        return;
    };
    let written = encode(&read);
    assert_eq!(decode(&written).as_ref(), Some(&read));
    // One meaning, one form: what is written again does not change any more.
    assert_eq!(decode(&written).map(|read| encode(&read)), Some(written));
}
