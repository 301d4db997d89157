//! The real programs, end to end: one file a promise.

#![expect(clippy::unwrap_used, reason = "tests")]

mod run;
