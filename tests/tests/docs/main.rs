//! What is written for users is true.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod guide;
mod man;
mod security;
