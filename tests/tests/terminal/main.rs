//! What a person types and sees: real shells and a real terminal.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod completions;
mod top;
