//! What sets a workspace up before the agent, and the record that it was done.
//!
//! The record is a file beside what was set up, where no agent can write; whoever
//! removes or makes a worktree removes it. It is there only if everything that the
//! setup has written survives a power cut.

use std::{fs::File, io, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::format;
use crate::{file, task::limits::clip};

/// Longest form of a command for a person, bytes.
const MAX_WORDS: usize = 256;

/// What is run in the workspace before the agent, with the agent's environment
/// but for its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// Milliseconds that it may take.
    pub limit: u64,
    /// The file that says that it was done; none: it is done for each attempt.
    pub record: Option<PathBuf>,
}

impl Setup {
    /// The command in one line, for a person.
    #[must_use]
    pub fn words(&self) -> String {
        let line = self.argv.join(" ").replace(char::is_control, " ");
        clip(&line, MAX_WORDS)
    }

    /// Whether this very command has come to its end here. A record that cannot
    /// be read is none: then it is done again.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let found = self.record.as_ref().map(|record| format::read(record));
        matches!((found, self.text()), (Some(Ok(found)), Ok(text)) if found == text)
    }

    /// Writes down that it has come to its end, once what it has written is on
    /// disk. Blocks for as long as that takes.
    ///
    /// # Errors
    /// If any of these fails; then it is done again for the next attempt.
    pub fn record_done(&self) -> io::Result<()> {
        let Some(record) = &self.record else {
            return Ok(());
        };
        failpoint!("spool.setup.before")?;
        if let Some(dir) = record.parent() {
            rustix::fs::syncfs(File::open(dir)?)?;
        }
        file::replace(record, &self.text()?)?;
        crashpoint!("spool.setup.after");
        Ok(())
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(&self.argv)?)
    }
}
