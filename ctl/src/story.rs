//! The story of a task, told from what the daemon says of it.
//!
//! What is decided, and by which rule, is the daemon's to say; here it is put
//! into words.

mod next;
#[cfg(test)]
mod tests;

use std::time::Duration;

use agentd_proto::v1;
use serde::Serialize;

pub(crate) use self::next::next;
use crate::{
    output::{
        limits::{limits_text, retry_text, spend_text},
        page::after_text,
    },
    view::{state_word, trigger_word},
    when::{between, human},
};

/// How the journal says that a task was submitted as a rerun.
const RERUN: &str = "rerun of task ";
/// A wait that is worth a word.
const LONG: Duration = Duration::from_secs(1);

/// One thing that happened, or was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Step {
    /// Milliseconds since the epoch.
    #[serde(serialize_with = "as_rfc3339")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(crate) at: i64,
    /// `None` if it concerns no attempt.
    pub(crate) attempt: Option<u32>,
    /// The word of the event that it belongs to.
    pub(crate) what: String,
    /// For a person.
    pub(crate) text: String,
}

fn as_rfc3339<S: serde::Serializer>(at: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    crate::when::rfc3339(*at).serialize(serializer)
}

/// What has happened up to now, oldest first.
pub(crate) fn steps(told: &v1::ExplainResponse) -> Vec<Step> {
    let mut steps = Vec::new();
    // Since when it waits in the queue.
    let mut since = 0;
    for event in &told.events {
        let mut say = |text: String| {
            steps.push(Step {
                at: event.at,
                attempt: (event.attempt != 0).then_some(event.attempt),
                what: event.what.clone(),
                text,
            });
        };
        match event.what.as_str() {
            "submitted" => {
                since = event.at;
                say(submitted(told));
                // That it is a rerun is said already; not what it replaces, what
                // could not be made sure of, nor that a budget was overridden.
                let notes = event.why.split("; ");
                let notes = notes.filter(|note| !note.is_empty() && !note.starts_with(RERUN));
                notes.for_each(|note| say(note.to_owned()));
            }
            "claimed" => claimed(told, event, between(since, event.at))
                .into_iter()
                .for_each(say),
            "workspace_ready" => {
                if !goes_on_there(told, event.attempt) {
                    let reuse = reuse(told, event);
                    say(format!("{}: {}{reuse}", workspace(told), event.why));
                }
                session(told, event.attempt).into_iter().for_each(say);
            }
            "registered" => say(format!("its runner is there ({})", event.why)),
            "setting_up" => say(format!("the repository is set up with {}", event.why)),
            "started" => say(format!("the agent was started ({})", event.why)),
            "adopted" => say(format!(
                "the daemon began anew and found the runner alive: adopted ({})",
                event.why
            )),
            "session_pinned" => say(format!("the agent works in session {}", event.why)),
            "session_gone" => say(format!(
                "the agent did not know session {}: it was started anew, without it",
                event.why
            )),
            "limited" => say(format!(
                "the agent met a limit of its account: {}",
                event.why
            )),
            "fault" => say(format!("the agent says what keeps it: {}", event.why)),
            "declined" => say(format!("the agent declines: {}", event.why)),
            // Only its figures are new.
            "progress" if event.why.is_empty() => {}
            "progress" => say(format!("the agent says: {}", event.why)),
            "held" => say(format!(
                "{}: it is not started before it is released",
                event.why
            )),
            "released" => {
                since = event.at;
                say(event.why.clone());
            }
            "dependency_met" => say(format!("it need not wait for that any more: {}", event.why)),
            "stop_requested" => say(format!("it is to be stopped: {}", event.why)),
            "retry" => {
                since = event.at;
                say(ended(told, event));
                let decided = sequel(told, event.attempt).map(decision);
                let left = left_behind(told, event.attempt);
                left.into_iter().chain(decided).for_each(say);
            }
            "finished" => {
                let left = left_behind(told, event.attempt);
                let mut lines = finished(told, event);
                lines.splice(1..1, left);
                lines.into_iter().for_each(say);
            }
            "workspace_left" => say(format!("what it left in its workspace: {}", event.why)),
            // Of a daemon that knows more than this program.
            other if event.why.is_empty() => say(other.to_owned()),
            other => say(format!("{other}: {}", event.why)),
        }
    }
    steps
}

fn task(told: &v1::ExplainResponse) -> v1::Task {
    told.task.clone().unwrap_or_default()
}

fn attempt(told: &v1::ExplainResponse, number: u32) -> Option<&v1::Attempt> {
    told.attempts.iter().find(|a| a.number == number)
}

fn sequel(told: &v1::ExplainResponse, number: u32) -> Option<&v1::Sequel> {
    told.sequels.iter().find(|s| s.attempt == number)
}

fn submitted(told: &v1::ExplainResponse) -> String {
    let task = task(told);
    let mut text = match task.trigger() {
        v1::Trigger::Unspecified | v1::Trigger::Manual | v1::Trigger::Rerun => {
            format!("submitted by {}", task.user)
        }
        other @ (v1::Trigger::Webhook | v1::Trigger::Schedule) => {
            format!("submitted by a {}, as {}", trigger_word(other), task.user)
        }
    };
    text.push_str(&format!(" for agent {}", task.agent));
    if task.fresh {
        text.push_str(", without an earlier session");
    }
    if task.rerun_of != 0 {
        text.push_str(&format!(", to run task {} again", task.rerun_of));
        if let Some(before) = told.ancestors.iter().find(|a| a.task == task.rerun_of) {
            text.push_str(&format!(" ({})", outcome(before)));
        }
    }
    if !task.after.is_empty() {
        text.push_str(&format!(", to run after {}", after_text(&task.after)));
    }
    if task.not_before != 0 {
        text.push_str(", for later");
    }
    if !task.key.is_empty() {
        text.push_str(&format!("; one task at a time of {}", task.key));
    }
    text
}

/// `failed: agent_error`.
pub(crate) fn outcome(relative: &v1::Relative) -> String {
    let state = relative.state();
    let word = state_word(state);
    match relative.failure_reason.as_str() {
        "" => word.to_owned(),
        reason if reason == word => word.to_owned(),
        reason => format!("{word}: {reason}"),
    }
}

fn claimed(told: &v1::ExplainResponse, event: &v1::Event, waited: Option<Duration>) -> Vec<String> {
    let waited = waited
        .filter(|waited| *waited >= LONG)
        .map_or_else(String::new, |waited| {
            format!(" after {} in the queue", human(waited))
        });
    let before = attempt(told, event.attempt.saturating_sub(1));
    let both = attempt(told, event.attempt).zip(before);
    let anew = match both {
        Some((now, before)) if now.epoch != before.epoch => ", the daemon had begun anew",
        Some(_) | None => "",
    };
    let mut lines = vec![format!("got a slot{waited}{anew}")];
    let limits = limits_text(told.limits.as_ref());
    if event.attempt == 1 && !limits.is_empty() {
        lines.push(format!("is held to: {limits}"));
    }
    let policy = told.task.as_ref().and_then(|task| task.retry.as_ref());
    let policy = retry_text(policy);
    if event.attempt == 1 && !policy.is_empty() {
        lines.push(format!("is tried again otherwise than usual: {policy}"));
    }
    let spent = attempt(told, event.attempt).and_then(|a| a.spent_before.as_ref());
    if let Some(spent) = spent {
        let spent = spend_text(spent);
        lines.push(format!("of its budgets were spent before: {spent}"));
    }
    if let Some((now, before)) = both.filter(|_| goes_on_there(told, event.attempt)) {
        lines.push(format!(
            "goes on in the workspace of attempt {}: {}",
            before.number,
            place(now)
        ));
    }
    lines
}

/// The attempt has the workspace of the one before it.
fn goes_on_there(told: &v1::ExplainResponse, number: u32) -> bool {
    let before = attempt(told, number.saturating_sub(1));
    attempt(told, number)
        .zip(before)
        .is_some_and(|(now, before)| !now.workspace.is_empty() && now.workspace == before.workspace)
}

/// Which session an attempt was given, and why.
fn session(told: &v1::ExplainResponse, number: u32) -> Option<String> {
    let attempt = attempt(told, number).filter(|a| !a.session_why.is_empty())?;
    let (given, why) = (&attempt.session_given, &attempt.session_why);
    Some(match attempt.session_way.as_str() {
        "gone" => format!("begins a new session: {why}; {given} is retired"),
        "minted" => format!("begins session {given}: {why}"),
        "chosen" => format!("is to resume: {why}"),
        "seen" => format!("resumes: {why}, which was seen to be there"),
        "unseen" => format!("resumes: {why}; whether it is still there was not to be seen"),
        _ => format!("begins a new session: {why}"),
    })
}

/// What the end of an attempt has made of the sessions that it worked in last.
fn left_behind(told: &v1::ExplainResponse, number: u32) -> Vec<String> {
    let task = task(told).id;
    let last = told.sessions.iter().filter(|session| {
        (session.task, session.attempt) == (task, number) && session.user_task == 0
    });
    // That a later attempt did not find it is told there.
    let missed = |id: &String| {
        let mut attempts = told.attempts.iter();
        attempts.any(|a| a.session_gone == *id || a.session_way == "gone" && a.session_given == *id)
    };
    let lines = last.filter_map(|session| {
        let id = &session.id;
        match session.standing.as_str() {
            "quarantined" => Some(format!(
                "session {id} is quarantined: it is kept, and nothing goes on with it"
            )),
            "retired" if missed(id) => None,
            "retired" => Some(format!("session {id} is retired: it is not there any more")),
            "unverified" => Some(format!(
                "session {id} was interrupted: it is looked for before anything goes on with it"
            )),
            _ => None,
        }
    });
    lines.collect()
}

fn place(attempt: &v1::Attempt) -> String {
    if attempt.branch.is_empty() {
        attempt.workspace.clone()
    } else {
        format!("{} on branch {}", attempt.workspace, attempt.branch)
    }
}

fn workspace(told: &v1::ExplainResponse) -> &'static str {
    match told.task.as_ref().map(v1::Task::workspace_mode) {
        Some(v1::WorkspaceMode::Worktree) => "works in a git worktree of its own",
        Some(v1::WorkspaceMode::InPlace) => "works in the repository's own checkout",
        Some(v1::WorkspaceMode::None | v1::WorkspaceMode::Unspecified) | None => "works in",
    }
}

/// What was done to what was there. A retry goes on with it.
fn reuse(told: &v1::ExplainResponse, event: &v1::Event) -> &'static str {
    let reuse = told.task.as_ref().map(v1::Task::workspace_reuse);
    match reuse.filter(|_| event.attempt == 1) {
        Some(v1::WorkspaceReuse::Reset) => {
            "; what was not committed there was recorded and taken away"
        }
        Some(v1::WorkspaceReuse::Fresh) => {
            "; what was there was recorded, and the branch begun anew"
        }
        Some(v1::WorkspaceReuse::Keep | v1::WorkspaceReuse::Unspecified) | None => "",
    }
}

/// How an attempt ended after which the task goes on.
fn ended(told: &v1::ExplainResponse, event: &v1::Event) -> String {
    let reason = attempt(told, event.attempt).map_or("", |a| a.failure_reason.as_str());
    match reason {
        "runner_lost" => {
            "the attempt failed: runner_lost: its runner was gone and had left no result; \
             what was left of the agent was ended"
                .to_owned()
        }
        "host_rebooted" => {
            "the attempt failed: host_rebooted: the machine was restarted under it".to_owned()
        }
        "scope_stopped" => {
            "the attempt failed: scope_stopped: the service manager ended it, with its scope, \
             its slice or its user's session"
                .to_owned()
        }
        _ if sequel(told, event.attempt).is_some_and(|s| s.follows == "uncounted") => {
            format!("recovery: {}", event.why)
        }
        _ => format!("the attempt failed: {}", event.why),
    }
}

/// What was decided about another attempt.
pub(super) fn decision(sequel: &v1::Sequel) -> String {
    let spent = format!("{} of {} attempts spent", sequel.spent, sequel.max_attempts);
    let lost = match sequel.lost_streak {
        0 => String::new(),
        times => format!(
            ", runner lost {times} of {} times in a row",
            sequel.max_lost_streak
        ),
    };
    match sequel.follows.as_str() {
        "nothing" => "no other attempt is needed".to_owned(),
        "uncounted" => {
            "back in the queue, and the attempt is not counted: no agent was started".to_owned()
        }
        "parked" => format!(
            "another attempt follows once the account may be used again: {} ({}); \
             the attempt is not counted",
            sequel.reason, sequel.class
        ),
        "retry" => format!(
            "another attempt follows: {} is tried again ({}), {spent}{lost}; \
             before it a pause of at most {}",
            sequel.reason,
            sequel.class,
            human(Duration::from_millis(sequel.longest_backoff))
        ),
        _ => format!("no other attempt: {} ({spent}{lost})", sequel.why),
    }
}

fn finished(told: &v1::ExplainResponse, event: &v1::Event) -> Vec<String> {
    let word = state_word(event.state());
    let reason = told.task.as_ref().map_or("", |t| t.failure_reason.as_str());
    // "cancelled: cancelled: cancelled by ann" says things twice.
    let mut parts = vec![word];
    for part in [reason, event.why.as_str()] {
        parts.pop_if(|before| part.starts_with(*before));
        parts.push(part);
    }
    parts.retain(|part| !part.is_empty());
    let text = parts.join(": ");
    let last = sequel(told, event.attempt);
    match last.map(|sequel| sequel.follows.as_str()) {
        Some("refused") => {
            let refused = last.map(decision);
            [Some(text), refused].into_iter().flatten().collect()
        }
        Some("nothing") => vec![text],
        // Another attempt was to follow, or there was none before.
        Some(_) | None => vec![format!("{text} (while it waited)")],
    }
}
