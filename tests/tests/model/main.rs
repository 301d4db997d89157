//! The model endpoint that other tests stand on: what is on the wire.

#![expect(clippy::unwrap_used, reason = "tests")]

mod anthropic;
mod client;
mod others;
mod responses;
mod script;
