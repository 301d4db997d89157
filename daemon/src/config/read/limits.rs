//! What bounds tasks, and how their failures are tried again.

use super::{MAX_ATTEMPTS, Reader, Section, value};
use crate::task::{
    limits::{Limits, MAX_COST, MAX_LINEAGE_ATTEMPTS, MAX_PIDS, MAX_TOKENS},
    reason::Reasons,
    retry::{COEFFICIENT, LONGEST_INTERVAL, Policy},
};

impl Reader {
    pub(super) fn limits(&mut self, section: &Section<'_>) -> Limits {
        Limits {
            start_timeout: self
                .problems
                .word(section, "start_timeout", value::duration),
            timeout: self.problems.word(section, "timeout", value::duration),
            kill_grace: self.problems.word(section, "kill_grace", value::duration),
            max_attempts: self
                .problems
                .count(section, "max_attempts", 1..=MAX_ATTEMPTS),
            queue_ttl: self.problems.word(section, "queue_ttl", value::duration),
            idle_timeout: self
                .problems
                .word(section, "idle_timeout", value::duration_or_off),
            memory: self.problems.word(section, "memory", value::memory),
            pids: self
                .problems
                .count(section, "pids", 1..=u64::from(MAX_PIDS)),
            cpu: self.problems.word(section, "cpu", value::cpu),
            max_cost: self.problems.decimal(
                section,
                "max_cost_usd",
                6,
                MAX_COST,
                "0.000001 to 1000000 US dollars",
            ),
            max_tokens: self.problems.large_count(section, "max_tokens", MAX_TOKENS),
            max_wall: self
                .problems
                .word(section, "max_wall_time", value::duration),
            max_lineage_attempts: self.problems.count(
                section,
                "max_lineage_attempts",
                1..=u64::from(MAX_LINEAGE_ATTEMPTS),
            ),
        }
    }

    pub(super) fn policy(&mut self, section: &Section<'_>) -> Policy {
        let coefficient = self.problems.decimal(
            section,
            "backoff_coefficient",
            3,
            u64::from(*COEFFICIENT.start())..=u64::from(*COEFFICIENT.end()),
            "1 to 100",
        );
        Policy {
            initial_interval: self.problems.word(section, "initial_interval", interval),
            backoff_coefficient: coefficient.and_then(|number| u32::try_from(number).ok()),
            maximum_interval: self.problems.word(section, "maximum_interval", interval),
            retry_on: self.reasons(section, "retry_on", value::retryable),
            non_retryable: self.reasons(section, "non_retryable", value::reasons),
        }
    }

    fn reasons(
        &mut self,
        section: &Section<'_>,
        key: &str,
        parse: fn(&[&str]) -> Result<Reasons, String>,
    ) -> Option<Reasons> {
        let words = self.problems.words(section, key)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match parse(&words) {
            Ok(reasons) => Some(reasons),
            Err(wrong) => {
                self.problems.reject(section, key, &wrong);
                None
            }
        }
    }
}

/// A pause between attempts.
fn interval(text: &str) -> Result<u64, String> {
    let wait = value::duration(text)?;
    if wait > LONGEST_INTERVAL {
        return Err("longer than 24h".to_owned());
    }
    Ok(wait)
}
