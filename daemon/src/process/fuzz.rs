//! What holds for any bytes in `/proc/PID/stat` and `/proc/PID/environ`.

use super::{Marker, stat::Stat};
use crate::task::id::{AttemptId, Nonce, TaskId};

/// The longest line that is read.
const LINE: usize = 2048;

/// A line of the kernel is understood or not, and a marker is found exactly
/// where it is a whole entry, whatever stands around it.
pub fn check(data: &[u8]) {
    let line = &data[..data.len().min(LINE)];
    if let Some(stat) = Stat::parse(line) {
        // Whatever a process calls itself, the numbers are the kernel's.
        let close = line.iter().rposition(|byte| *byte == b')');
        let rest = &line[close.map_or(0, |close| close + 1)..];
        let renamed = [format!("{} (x) y) (", stat.pid).as_bytes(), b")", rest].concat();
        assert_eq!(Stat::parse(&renamed), Some(stat));
    }
    let id = AttemptId {
        task: TaskId::FIRST,
        number: 1,
    };
    let marker = Marker::new(id, Nonce([0xa5; 16]));
    let entry = format!("{}={}", Marker::VARIABLE, marker.value());
    let by_hand = data.split(|byte| *byte == 0).any(|e| e == entry.as_bytes());
    assert_eq!(marker.is_in(data), by_hand);
    let marked = [data, b"\0", entry.as_bytes(), b"\0", data].concat();
    assert!(marker.is_in(&marked));
    let other = Marker::new(id, Nonce([0x5a; 16]));
    assert!(!other.is_in(&marked) || other.is_in(data));
}
