//! Reruns of issues that may have been closed.

use agentd_proto::reason;
use tonic::Code;

use super::error::Failure;
use crate::{
    config::Config,
    forge::{self, IssueState},
    task::state::Task,
};

/// Refuses a rerun whose issue is closed. What cannot be found out is a note,
/// unless the operator wants to know. Blocks.
pub(super) fn check(task: &Task, config: &Config) -> Result<Option<String>, Failure> {
    let (Some(path), Some(issue)) = (&task.spec.repo, &task.spec.issue) else {
        return Ok(None);
    };
    let Some(repo) = config.repo_at(path) else {
        return Ok(None);
    };
    match forge::issues(&repo.issue_state).state(path, issue) {
        Ok(IssueState::Open) => Ok(None),
        Ok(IssueState::Closed) => Err(Failure::new(
            Code::FailedPrecondition,
            reason::ISSUE_CLOSED,
            format!("issue {issue} of task {} is closed", task.id),
        )
        .hint("reopen the issue first, then rerun the task")),
        Err(error) if repo.require_issue_state => Err(Failure::new(
            Code::FailedPrecondition,
            reason::ISSUE_UNKNOWN,
            format!("cannot find out whether issue {issue} is open: {error}"),
        )
        .hint(format!(
            "repos.{}.require_issue_state = false lets reruns go on without",
            repo.name
        ))),
        Err(error) => Ok(Some(format!(
            "whether issue {issue} is open could not be found out: {error}"
        ))),
    }
}
