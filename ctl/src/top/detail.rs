//! Everything about the chosen task, in rows.

use agentd_proto::v1;
use jiff::{Timestamp, tz::TimeZone};

use super::{draw::Look, text};
use crate::{
    output::{limits::dollars, table::one_line},
    story::{Step, next, steps},
    view::state_word,
    when::{between, human, short},
};

/// Steps of the story that are told.
const STEPS: usize = 200;

/// What the daemon tells of a task.
#[derive(Debug, Clone)]
pub(super) struct Detail {
    told: Result<Told, String>,
}

#[derive(Debug, Clone)]
struct Told {
    answer: Box<v1::ExplainResponse>,
    /// The newest, oldest first.
    steps: Vec<Step>,
}

impl Detail {
    /// What was told, or why nothing was.
    pub(super) fn new(told: Result<Box<v1::ExplainResponse>, String>) -> Self {
        let told = told.map(|mut answer| {
            let mut steps = steps(&answer);
            steps.drain(..steps.len().saturating_sub(STEPS));
            // They are told by now, and may be many.
            answer.events = Vec::new();
            Told { answer, steps }
        });
        Self { told }
    }

    /// The rows in so many columns.
    pub(super) fn rows(
        &self,
        width: usize,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Vec<(String, Look)> {
        let lines = match &self.told {
            Ok(told) => told.lines(now, zone),
            Err(why) => why
                .lines()
                .map(|line| (line.to_owned(), Look::Alarm))
                .collect(),
        };
        let mut rows = Vec::new();
        for (line, look) in lines {
            let line = one_line_indented(&line);
            let parts = text::wrap(&line, width.max(1)).into_iter();
            rows.extend(parts.map(|part| (part.to_owned(), look)));
        }
        rows
    }
}

/// As [`one_line`], but what it is indented by stays.
fn one_line_indented(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    format!("{}{}", &line[..indent], one_line(&line[indent..]))
}

impl Told {
    fn lines(&self, now: Timestamp, zone: &TimeZone) -> Vec<(String, Look)> {
        let none = v1::Task::default();
        let task = self.answer.task.as_ref().unwrap_or(&none);
        let state = task.state();
        let mut lines = vec![(facts(task), Look::Plain)];
        for line in next(&self.answer, now, zone) {
            lines.push((format!("now: {line}"), Look::State(state)));
        }
        let reason = [&task.failure_reason, &task.message];
        let reason: Vec<&str> = reason
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        if !reason.is_empty() {
            lines.push((
                format!("{}: {}", state_word(state), reason.join(": ")),
                Look::State(state),
            ));
        }
        if !self.answer.attempts.is_empty() {
            lines.push(("attempts".to_owned(), Look::Head));
        }
        for attempt in self.answer.attempts.iter().rev() {
            lines.push((attempt_line(attempt, now), Look::Plain));
        }
        lines.push(("story, the newest first".to_owned(), Look::Head));
        for step in self.steps.iter().rev() {
            let ago = between(step.at, now.as_millisecond())
                .map(short)
                .unwrap_or_default();
            let who = step
                .attempt
                .map_or_else(|| task.id.to_string(), |n| format!("{}.{n}", task.id));
            lines.push((format!("  {ago:>4}  {who}  {}", step.text), Look::Dim));
        }
        lines
    }
}

/// `claude (opus) · ~/src/app issue 7 · branch agent/task-7 · by ann`.
fn facts(task: &v1::Task) -> String {
    let branch = task.attempt.as_ref().map(|attempt| attempt.branch.as_str());
    let said = |before: &str, text: &str| (!text.is_empty()).then(|| format!("{before}{text}"));
    let model = said("", &task.model).map(|model| format!(" ({model})"));
    let rerun = (task.rerun_of != 0).then(|| format!("rerun of {}", task.rerun_of));
    [
        said("", &task.agent).map(|agent| agent + &model.unwrap_or_default()),
        said("", &task.repo),
        said("issue ", &task.issue),
        said("branch ", branch.unwrap_or_default()),
        said("by ", &task.user),
        rerun,
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(" · ")
}

/// `  42.1  failed: agent_error: exit code 3 · 2m05s · $0.20`.
fn attempt_line(attempt: &v1::Attempt, now: Timestamp) -> String {
    let outcome = if attempt.outcome.is_empty() {
        attempt.phase.clone()
    } else {
        [&attempt.outcome, &attempt.failure_reason, &attempt.message]
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    };
    let end = match attempt.ended_at {
        0 => now.as_millisecond(),
        ended => ended,
    };
    let ran = between(attempt.started_at, end).map(human);
    let cost = attempt.usage.as_ref().and_then(|usage| usage.cost);
    let progress = Some(attempt.progress.clone())
        .filter(|text| !text.is_empty() && attempt.outcome.is_empty());
    let parts = [Some(outcome), ran, cost.map(dollars), progress];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!(
        "  {}.{}  {}",
        attempt.task,
        attempt.number,
        parts.join(" · ")
    )
}
