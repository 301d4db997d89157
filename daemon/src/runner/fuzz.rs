//! What holds for any bytes on the runner's side of the connection.

use std::time::Duration;

use prost::Message as _;

use super::{
    machine::Order,
    wire::{self, LONGEST_GRACE},
};
use crate::task::attempt::RunResult;

/// A message of the daemon is an order that can be followed, or none.
pub(crate) fn order(data: &[u8]) {
    let Ok(message) = prost::Message::decode(data) else {
        return;
    };
    match wire::order(message) {
        Some(Order::Stop { grace, .. }) => assert!(grace <= LONGEST_GRACE),
        Some(Order::Go | Order::CarryOn | Order::Fenced { .. } | Order::Ack) | None => {}
    }
    assert!(
        LONGEST_GRACE < Duration::MAX / 2,
        "can be added to any time"
    );
}

/// A result as it goes to the daemon.
pub(crate) fn told(result: &RunResult) -> Vec<u8> {
    wire::exited(result).encode_to_vec()
}
