//! What is told: one JSON document, described by `docs/schema/notice.v1.json`.
//!
//! Keys are those of `agentctl show -o json` where they mean the same. Every text
//! has the limit of where it comes from, so a notice is bounded.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    store::{JournalEntry, Reader, StoreError},
    task::{
        attempt::Attempt,
        id::{TaskId, Timestamp},
        limits::clip,
        moment::Moment,
        reason::Outcome,
        state::{State, Task},
        usage::Usage,
    },
};

/// What a notice calls itself.
pub const SCHEMA: &str = "agentd.notice/v1";

/// Longest line for a person, bytes.
const LINE: usize = 300;

/// A task has ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Notice {
    schema: &'static str,
    /// The event that ended the task. It is the same whenever this is sent again,
    /// and another one for everything else of this machine's daemon.
    pub(super) event: u64,
    /// The machine.
    host: String,
    /// All of it in a few words, for a person.
    text: String,
    /// The task.
    pub(super) id: u64,
    /// `succeeded`, `failed`, `cancelled`, `interrupted` or `aborted`.
    pub(super) state: &'static str,
    failure_reason: Option<&'static str>,
    message: Option<String>,
    /// What the agent said of its work in the end.
    said: Option<String>,
    agent: String,
    agent_type: &'static str,
    /// The one that answered, else the one that was asked for.
    model: Option<String>,
    title: Option<String>,
    repo: Option<String>,
    issue: Option<String>,
    user: String,
    labels: BTreeMap<String, String>,
    trigger: &'static str,
    rerun_of: Option<u64>,
    /// The first task of the chain of reruns.
    lineage: u64,
    attempt_count: u32,
    /// Where its last attempt worked.
    workspace: Option<String>,
    branch: Option<String>,
    session: Option<String>,
    /// Of all attempts together.
    usage: Used,
    created_at: Option<String>,
    /// When the first agent was started; `null`: none was.
    started_at: Option<String>,
    finished_at: Option<String>,
    /// The command that runs it again; `null` if it succeeded.
    rerun: Option<String>,
    #[serde(skip)]
    pub(super) task: TaskId,
    #[serde(skip)]
    pub(super) ended_at: Timestamp,
}

/// What agents say that they have used.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Used {
    input_tokens: u64,
    output_tokens: u64,
    /// Tokens that came from a provider's cache.
    cached_tokens: u64,
    turns: u64,
    /// Millionths of a US dollar; `null` if nobody said.
    cost_micro_usd: Option<u64>,
    /// How long agents ran, milliseconds.
    ran_ms: u64,
}

impl Notice {
    /// Of the event that has ended a task. `None`: the task is not kept any more.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub(super) fn of(
        reader: &Reader,
        event: &JournalEntry,
        host: &str,
    ) -> Result<Option<Self>, StoreError> {
        let Some(task) = reader.task(event.task)? else {
            return Ok(None);
        };
        let attempts = reader.attempts(event.task)?;
        Ok(Self::made(event, task, &attempts, host))
    }

    fn made(event: &JournalEntry, task: Task, attempts: &[Attempt], host: &str) -> Option<Self> {
        let state = task.state.kind().as_str();
        let lineage = task.lineage();
        let State::Finished(ending) = task.state else {
            return None;
        };
        let spec = task.spec;
        let last = attempts.last();
        let known = last.map(Attempt::known).unwrap_or_default();
        let place = last.and_then(|attempt| attempt.workspace.as_ref());
        let usage = attempts.iter().fold(Usage::default(), |sum, attempt| {
            sum.plus(attempt.known().usage.unwrap_or_default())
        });
        let failure_reason = ending.reason.map(|reason| reason.as_str());
        let started = attempts.iter().find_map(|attempt| attempt.started_at);
        Some(Self {
            schema: SCHEMA,
            event: event.revision.0,
            host: host.to_owned(),
            text: line(task.id, state, failure_reason, &spec.title),
            id: task.id.get(),
            state,
            failure_reason,
            message: text(ending.message),
            said: known.claim.and_then(|claim| text(claim.message)),
            agent: spec.agent,
            agent_type: spec.agent_type.as_str(),
            model: known.model.or(spec.model),
            title: text(spec.title),
            repo: spec.repo.map(|path| path.to_string_lossy().into_owned()),
            issue: spec.issue,
            user: spec.user,
            labels: spec.labels,
            trigger: spec.trigger.as_str(),
            rerun_of: spec.rerun_of.map(TaskId::get),
            lineage: lineage.get(),
            attempt_count: task.attempts,
            workspace: place.map(|place| place.path.to_string_lossy().into_owned()),
            branch: place.and_then(|place| place.branch.clone()),
            session: known.session,
            usage: Used {
                input_tokens: usage.input,
                output_tokens: usage.output,
                cached_tokens: usage.cached,
                turns: usage.turns,
                cost_micro_usd: usage.cost,
                ran_ms: attempts
                    .iter()
                    .fold(0, |sum: u64, attempt| sum.saturating_add(attempt.ran)),
            },
            created_at: rfc3339(spec.created_at),
            started_at: started.and_then(|Moment { wall, .. }| rfc3339(wall)),
            finished_at: rfc3339(ending.at),
            rerun: (ending.outcome != Outcome::Succeeded)
                .then(|| format!("agentctl rerun {}", task.id)),
            task: task.id,
            ended_at: event.at,
        })
    }

    /// The document, on one line that ends.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).expect("texts, numbers and names of labels");
        json.push(b'\n');
        json
    }
}

/// `task 42 failed (timeout): nightly tests`.
fn line(task: TaskId, state: &str, reason: Option<&str>, title: &str) -> String {
    let reason = reason.filter(|reason| *reason != state);
    let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    let title = title.replace(char::is_control, " ");
    let title = match title.trim() {
        "" => String::new(),
        title => format!(": {title}"),
    };
    clip(&format!("task {task} {state}{reason}{title}"), LINE)
}

fn text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn rfc3339(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
    Some(format!("{at:.3}"))
}

#[cfg(test)]
mod tests;
