//! Whether an issue is still open, as far as its forge can be asked.
//!
//! A rerun of an issue that was closed meanwhile is work for nobody. Without a
//! forge ([`NoForge`]) every issue counts as open; [`Command`] asks a program of
//! the operator's choice, for example `gh`. Everything blocks.
//!
//! Not here: what follows from the answer.

use std::{path::Path, time::Duration};

use crate::process;

/// How long the answer may take.
const LIMIT: Duration = Duration::from_secs(20);
/// More of an answer than this means nothing, bytes.
const MAX_ANSWER: usize = 4096;
/// Stands for the issue in a command's words.
pub const ISSUE: &str = "{issue}";

/// The state of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueState {
    /// Work on it is wanted.
    Open,
    /// It is over.
    Closed,
}

/// The forge could not say. One line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unknown(String);

/// Somebody who knows issues.
pub trait Issues {
    /// The state of an issue of the repository at this path.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn state(&self, repo: &Path, issue: &str) -> Result<IssueState, Unknown>;
}

/// Who is asked, with the operator's words for it: nobody if there are none.
#[must_use]
pub fn issues(command: &[String]) -> Box<dyn Issues> {
    if command.is_empty() {
        Box::new(NoForge)
    } else {
        Box::new(Command::new(command.to_vec()))
    }
}

/// There is no forge: nobody closes issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoForge;

impl Issues for NoForge {
    fn state(&self, _repo: &Path, _issue: &str) -> Result<IssueState, Unknown> {
        Ok(IssueState::Open)
    }
}

/// A program that prints `open` or `closed`. It is run in the repository, and
/// never through a shell; [`ISSUE`] in its arguments stands for the issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command(Vec<String>);

impl Command {
    /// The program and its arguments.
    #[must_use]
    pub fn new(words: Vec<String>) -> Self {
        Self(words)
    }
}

impl Issues for Command {
    fn state(&self, repo: &Path, issue: &str) -> Result<IssueState, Unknown> {
        let Some((program, arguments)) = self.0.split_first() else {
            return Err(Unknown("no program is named".to_owned()));
        };
        let said = |what: &str| Unknown(format!("{program}: {what}"));
        #[expect(
            clippy::disallowed_methods,
            reason = "the operator's own program, within limits"
        )]
        let mut command = std::process::Command::new(program);
        command
            .args(arguments.iter().map(|word| word.replace(ISSUE, issue)))
            .current_dir(repo)
            .stdin(std::process::Stdio::null());
        let ended = process::run(command, LIMIT, MAX_ANSWER);
        let Some(ended) = ended.map_err(|error| said(&error.to_string()))? else {
            return Err(said(&format!("no answer within {} s", LIMIT.as_secs())));
        };
        if !ended.status.success() {
            let words = String::from_utf8_lossy(&ended.stderr);
            let words = words.lines().map(str::trim).find(|line| !line.is_empty());
            let words = words.unwrap_or("nothing on its standard error");
            return Err(said(&format!("{}: {words}", ended.status)));
        }
        let answer = String::from_utf8_lossy(&ended.stdout);
        let answer = answer.trim();
        if answer.eq_ignore_ascii_case("open") {
            Ok(IssueState::Open)
        } else if answer.eq_ignore_ascii_case("closed") {
            Ok(IssueState::Closed)
        } else {
            let answer: String = answer.chars().take(80).collect();
            Err(said(&format!("answered {answer:?}, not open or closed")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(script: &str, issue: &str) -> Result<IssueState, Unknown> {
        let words = ["sh", "-c", script, "sh", ISSUE];
        let command = Command::new(words.map(str::to_owned).to_vec());
        command.state(Path::new("/"), issue)
    }

    #[test]
    fn the_program_says_open_or_closed() {
        assert_eq!(asked("echo open", "1"), Ok(IssueState::Open));
        assert_eq!(asked("echo CLOSED", "1"), Ok(IssueState::Closed));
        assert_eq!(NoForge.state(Path::new("/"), "1"), Ok(IssueState::Open));
    }

    #[test]
    fn an_issue_is_one_argument() {
        let issue = "$(echo open); -x \"y\"";
        let told = asked(r#"printf 'got %s' "$1""#, issue).unwrap_err();
        assert!(
            told.to_string()
                .contains(&format!("{:?}", format!("got {issue}")))
        );
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let message = |script| asked(script, "1").unwrap_err().to_string();
        assert!(message("echo no such issue >&2; exit 4").contains("no such issue"));
        assert!(message("true").contains("answered \"\""));
        let missing = Command::new(vec!["/nonexistent/gh".to_owned()]);
        let told = missing.state(Path::new("/"), "1").unwrap_err().to_string();
        assert!(told.contains("/nonexistent/gh"), "{told}");
        assert!(Command::new(Vec::new()).state(Path::new("/"), "1").is_err());
    }
}
