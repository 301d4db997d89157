//! The transcript: everything that an agent wrote, in a directory of segments.
//!
//! ```text
//! transcript/
//!   00000000000000000000.log      the head: the first half of the limit, kept
//!   00000000000033554432.log
//!   …                             a gap: segments that were dropped
//!   00000000009932111872.log      the newest tail
//! ```
//!
//! A record is one line of text with binary data, as container runtimes write
//! them: `<time> <O|E|N> <F|P> <data>\n`. `O` and `E` are the agent's outputs,
//! `N` is a note of the runner. After an `F` (full) record the agent wrote a
//! newline; after a `P` (partial) one it did not: a long line is cut into
//! pieces, and the last line may have no end. The data of a stream's records,
//! with a newline for each `F`, are exactly what the agent wrote.
//!
//! **Offsets** count the bytes of all records that were ever written. A segment
//! is named after the offset at which it begins, so an offset stays good when
//! older segments are dropped; what is missing is shown to the reader as a note.
//!
//! Invariants: the directory holds at most the limit; a record is never torn
//! except at the very end, where a reader waits for the rest; a failing disk
//! costs output, never the agent; foreign bytes are skipped with a note.
//!
//! This room does not know who runs the agent, and takes the time from its
//! caller.

mod follower;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod reader;
mod record;
mod segment;
mod writer;

pub use self::{
    follower::Follower,
    reader::Reader,
    record::{Page, Record, Stream},
    writer::{MIN_LIMIT, Source, Writer},
};

#[cfg(test)]
mod tests;
