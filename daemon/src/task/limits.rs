//! What bounds a task, and what bounds everything else.
//!
//! Durations are milliseconds. The first layer that is set wins: the task's
//! own, the agent's, the daemon's, then the constants here.

use serde::{Deserialize, Serialize};

use super::budget::Budgets;

/// Longest prompt, or command with its arguments, bytes.
pub const MAX_PROMPT: usize = 1024 * 1024;
/// Most labels of one task.
pub const MAX_LABELS: usize = 64;
/// Longest name or value of a label, bytes.
pub const MAX_LABEL: usize = 256;
/// Longest title, issue, model, path or other short text, bytes.
pub const MAX_TEXT: usize = 4096;
/// Longest message that is kept of an attempt or a task, bytes.
pub const MAX_MESSAGE: usize = 4096;
/// Longest request id, bytes.
pub const MAX_REQUEST_ID: usize = 128;
/// Most tasks that may be queued.
pub const MAX_QUEUED: usize = 100_000;
/// How long the workspace of an attempt may take from the claim: others of its repository
/// are waited for, and a large checkout takes its time.
pub const WORKSPACE_TIMEOUT: u64 = 30 * 60_000;
/// How long an attempt may take from when its workspace is ready to the agent's start.
pub const START_TIMEOUT: u64 = 60_000;
/// Time between the polite signal and the kill.
pub const KILL_GRACE: u64 = 10_000;
/// How long the kill of a tree may take once the grace is over; a process that
/// outlives it hangs in the kernel.
pub const KILL_LIMIT: u64 = 10_000;
/// How much longer a stop may take than its grace and the kill, before its
/// runner counts as hanging.
pub const STOP_SLACK: u64 = 5_000;
/// Attempts of one task.
pub const MAX_ATTEMPTS: u32 = 3;
/// Attempts of a task and its reruns together.
pub const LINEAGE_ATTEMPTS: u32 = 25;
/// What [`LINEAGE_ATTEMPTS`] can be set to at the most.
pub const MAX_LINEAGE_ATTEMPTS: u32 = 100_000;
/// What a lineage's cost can be limited to, millionths of a US dollar.
pub const MAX_COST: std::ops::RangeInclusive<u64> = 1..=1_000_000_000_000;
/// What a lineage's tokens can be limited to.
pub const MAX_TOKENS: std::ops::RangeInclusive<u64> = 1..=1_000_000_000_000_000;
/// `runner_lost` so often in a row ends a task: it kills its host.
pub const POISON_STREAK: u32 = 3;
/// How long an agent may do nothing: no output, no CPU time, no process that
/// comes or goes.
pub const IDLE_TIMEOUT: u64 = 30 * 60_000;
/// The same while the agent says that it waits for a tool, if nobody has set
/// another time.
pub const TOOL_IDLE_TIMEOUT: u64 = 2 * 60 * 60_000;
/// How long an agent may live on after its last word.
pub const RESULT_GRACE: u64 = 10_000;
/// Time between two heartbeats of a runner whose agent does something. While
/// nothing changes it is [`QUIET_BEATS`] times that.
pub const HEARTBEAT: u64 = 5_000;
/// See [`HEARTBEAT`].
pub const QUIET_BEATS: u32 = 3;
/// Without a sign of life for so long, a runner is suspect, and looked at.
pub const SUSPECT_AFTER: u64 = 30_000;
/// The least memory that a tree may be limited to, bytes: with less nothing
/// starts.
pub const MIN_MEMORY: u64 = 1024 * 1024;
/// The most processes and threads that the kernel can count.
pub const MAX_PIDS: u32 = 4 * 1024 * 1024;
/// The least and the most CPU time of a tree, thousandths of one CPU.
pub const CPU: std::ops::RangeInclusive<u32> = 10..=10_000_000;
/// Transcript of one attempt, bytes.
pub const TRANSCRIPT: u64 = 256 * 1024 * 1024;

/// One layer of limits; `None` leaves it to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Claim to the agent's start.
    pub start_timeout: Option<u64>,
    /// One attempt, from the agent's start to its end.
    pub timeout: Option<u64>,
    /// Polite signal to kill.
    pub kill_grace: Option<u64>,
    /// Attempts of one task.
    pub max_attempts: Option<u32>,
    /// Submit to the first start of an agent; `None` in all layers: no limit.
    pub queue_ttl: Option<u64>,
    /// Time in which the agent does nothing; 0: as long as it likes.
    pub idle_timeout: Option<u64>,
    /// Memory of the agent's whole tree, bytes.
    pub memory: Option<u64>,
    /// Processes and threads of the agent's tree at the same time.
    pub pids: Option<u32>,
    /// CPU time of the agent's tree, thousandths of one CPU.
    pub cpu: Option<u32>,
    /// What the task and its reruns may cost together, millionths of a US
    /// dollar.
    pub max_cost: Option<u64>,
    /// Tokens that they may use together.
    pub max_tokens: Option<u64>,
    /// Time that their agents may run in all.
    pub max_wall: Option<u64>,
    /// Attempts that they may make together.
    pub max_lineage_attempts: Option<u32>,
}

impl Limits {
    /// These limits, and where they say nothing those of `next`.
    #[must_use]
    pub fn or(self, next: Self) -> Self {
        Self {
            start_timeout: self.start_timeout.or(next.start_timeout),
            timeout: self.timeout.or(next.timeout),
            kill_grace: self.kill_grace.or(next.kill_grace),
            max_attempts: self.max_attempts.or(next.max_attempts),
            queue_ttl: self.queue_ttl.or(next.queue_ttl),
            idle_timeout: self.idle_timeout.or(next.idle_timeout),
            memory: self.memory.or(next.memory),
            pids: self.pids.or(next.pids),
            cpu: self.cpu.or(next.cpu),
            max_cost: self.max_cost.or(next.max_cost),
            max_tokens: self.max_tokens.or(next.max_tokens),
            max_wall: self.max_wall.or(next.max_wall),
            max_lineage_attempts: self.max_lineage_attempts.or(next.max_lineage_attempts),
        }
    }

    /// From when the workspace is ready to the agent's start, milliseconds.
    #[must_use]
    pub fn start_timeout(&self) -> u64 {
        self.start_timeout.unwrap_or(START_TIMEOUT)
    }

    /// Polite signal to kill, milliseconds.
    #[must_use]
    pub fn kill_grace(&self) -> u64 {
        self.kill_grace.unwrap_or(KILL_GRACE)
    }

    /// How long the agent may do nothing, milliseconds; `None`: no limit.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<u64> {
        Some(self.idle_timeout.unwrap_or(IDLE_TIMEOUT)).filter(|limit| *limit > 0)
    }

    /// The same while it waits for a tool.
    #[must_use]
    pub fn tool_idle_timeout(&self) -> Option<u64> {
        Some(self.idle_timeout.unwrap_or(TOOL_IDLE_TIMEOUT)).filter(|limit| *limit > 0)
    }

    /// How long it may do nothing, for a person.
    #[must_use]
    pub fn idle_words(&self) -> String {
        match (self.idle_timeout(), self.tool_idle_timeout()) {
            (Some(usual), Some(tool)) if usual != tool => {
                let (usual, tool) = (span(usual), span(tool));
                format!("{usual}, or {tool} while it waits for a tool")
            }
            (usual, _) => span(usual.unwrap_or(0)),
        }
    }

    /// Attempts of one task, at least one.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts.unwrap_or(MAX_ATTEMPTS).max(1)
    }

    /// What the task and its reruns may spend together.
    #[must_use]
    pub fn budgets(&self) -> Budgets {
        Budgets {
            cost: self.max_cost,
            tokens: self.max_tokens,
            wall: self.max_wall,
            attempts: self.max_lineage_attempts.unwrap_or(LINEAGE_ATTEMPTS).max(1),
        }
    }
}

/// So many milliseconds, as people say it: `30m`, `1h 30m`, `1s 500ms`.
#[must_use]
pub fn span(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    let span = jiff::SignedDuration::from_millis(millis);
    let parts = jiff::fmt::friendly::SpanPrinter::new();
    parts
        .spacing(jiff::fmt::friendly::Spacing::BetweenUnits)
        .duration_to_string(&span)
}

/// Shortens `text` to at most `max` bytes at a character's boundary.
#[must_use]
pub fn clip(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_respects_characters_and_the_limit() {
        assert_eq!(clip("abc", 3), "abc");
        assert_eq!(clip("äöüäöü", 8), "äö…");
        assert!(clip(&"ä".repeat(99), 20).len() <= 20);
    }

    #[test]
    fn times_are_said_as_people_do() {
        for (millis, said) in [
            (0, "0s"),
            (250, "250ms"),
            (1_500, "1s 500ms"),
            (1_800_000, "30m"),
            (5_400_000, "1h 30m"),
            (90_000_000, "25h"),
        ] {
            assert_eq!(span(millis), said);
        }
        assert!(!span(u64::MAX).is_empty());
    }

    #[test]
    fn the_first_layer_that_is_set_wins() {
        let task = Limits {
            timeout: Some(1),
            ..Limits::default()
        };
        let agent = Limits {
            timeout: Some(2),
            kill_grace: Some(3),
            ..Limits::default()
        };
        let both = task.or(agent);
        assert_eq!((both.timeout, both.kill_grace()), (Some(1), 3));
        assert_eq!(both.start_timeout(), START_TIMEOUT);
        assert_eq!(both.idle_timeout(), Some(IDLE_TIMEOUT));
        assert_eq!(both.tool_idle_timeout(), Some(TOOL_IDLE_TIMEOUT));
        let set = Limits {
            idle_timeout: Some(7),
            ..both
        };
        assert_eq!(
            (set.idle_timeout(), set.tool_idle_timeout()),
            (Some(7), Some(7))
        );
        let off = Limits {
            idle_timeout: Some(0),
            ..Limits::default()
        };
        assert_eq!(off.or(both).idle_timeout(), None);
        assert_eq!(off.or(both).tool_idle_timeout(), None);
    }
}
