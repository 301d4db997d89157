//! What the agents themselves have written down.

use std::{collections::BTreeMap, fs, io, path::Path};

use super::{AttemptName, agent};

/// One run of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) attempt: AttemptName,
    /// Milliseconds since the Unix epoch.
    pub(super) begin: i64,
    pub(super) end: Option<i64>,
}

/// All runs.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// Of each job, in the order of their beginnings.
    pub(super) runs: BTreeMap<u64, Vec<Run>>,
    /// What must not be.
    pub(super) faults: Vec<String>,
}

impl Witness {
    /// Reads the file; none is as good as an empty one.
    pub(super) fn read(dir: &Path) -> io::Result<Self> {
        match fs::read_to_string(agent::witness(dir)) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Self {
        let mut this = Self::default();
        for line in text.lines() {
            if !this.take(line) {
                this.faults.push(format!("the witness says: {line:?}"));
            }
        }
        this
    }

    fn take(&mut self, line: &str) -> bool {
        let words: Vec<_> = line.split(' ').collect();
        let [what, job, attempt, at] = words.as_slice() else {
            return false;
        };
        let (Ok(job), Ok(attempt), Ok(at)) = (job.parse(), attempt.parse(), at.parse()) else {
            return false;
        };
        let runs = self.runs.entry(job).or_default();
        let run = runs.iter_mut().find(|run| run.attempt == attempt);
        match (*what, run) {
            ("begin", None) => runs.push(Run {
                attempt,
                begin: at,
                end: None,
            }),
            ("end", Some(run)) if run.end.is_none() => run.end = Some(at),
            // A clash, a second begin or end, an end without a begin.
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_put_together_and_what_must_not_be_is_a_fault() {
        let witness = Witness::parse("begin 0 1.1 5\nbegin 1 2.1 6\nend 0 1.1 9\n");
        assert_eq!(witness.faults, [""; 0]);
        assert_eq!(
            (witness.runs[&0][0].begin, witness.runs[&0][0].end),
            (5, Some(9))
        );
        assert_eq!(witness.runs[&1][0].end, None);
        for fault in [
            "clash 0 1.1 5",
            "begin 0 1.1 5\nbegin 0 1.1 6",
            "end 0 1.1 5",
            "begin 0 1.1 5\nend 0 1.1 6\nend 0 1.1 7",
            "begin 0 1.1",
        ] {
            assert_eq!(Witness::parse(fault).faults.len(), 1, "{fault}");
        }
    }
}
