//! Wire to domain: what has passed here is valid.

mod agent;
mod limits;
mod observed;
mod repo;
mod runner;
mod wait;
mod workspace;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use agentd_proto::{reason, v1};
use sha2::{Digest as _, Sha256};
use tonic::Code;

use self::workspace::{workspace_mode, workspace_reuse};
pub(super) use self::{
    agent::unknown_agent,
    observed::{observed, statement},
    runner::{Registration, beat, exited, registration, started},
};
use super::error::Failure;
use crate::{
    clock,
    config::Config,
    dispatcher::{OnBusy, ShutDown, Submission},
    request,
    store::Filter,
    task::{
        budget::Spend,
        id::{TaskId, Timestamp},
        limits::{MAX_LABEL, MAX_LABELS, MAX_REQUEST_ID, MAX_TEXT},
        spec::{Payload, TaskSpec, Trigger, WorkspaceReuse},
        state::{StateKind, Task},
    },
};

/// A request to store a task, with who asks. Looks at the file system and runs
/// git: blocks.
pub(super) fn submission(
    request: v1::SubmitRequest,
    user: String,
    config: &Config,
) -> Result<Submission, Failure> {
    let digest = digest(&request);
    let agent = agent::chosen(&request.agent, !request.command.is_empty(), config)?;
    let payload = Payload {
        prompt: request.prompt,
        command: request.command,
    };
    request::payload_fits(agent, &payload)?;
    let limits = limits::limits(request.limits.as_ref())?;
    let retry = limits::policy(request.retry.as_ref())?;
    let repo = match text("repo", &request.repo)? {
        Some(given) => {
            let path = repo::named(&given, config)?;
            Some(locate(&path.to_string_lossy(), Code::InvalidArgument)?)
        }
        None => None,
    };
    let mode = workspace_mode(request.workspace_mode, repo.as_deref())?;
    let (not_before, delay) = wait::later(request.not_before, request.delay)?;
    let title = match text("title", &request.title)? {
        Some(title) => title,
        None => request::made_title(&payload, agent),
    };
    let spec = TaskSpec {
        trigger: Trigger::Manual,
        rerun_of: None,
        lineage: None,
        request_id: request_id(&request.request_id)?,
        agent: agent.name.clone(),
        agent_type: agent.agent_type,
        model: text("model", &request.model)?.or_else(|| agent.model.clone()),
        title,
        repo,
        issue: issue(&request.issue)?,
        user,
        labels: labels(request.labels)?,
        priority: request.priority,
        limits: limits.or(agent.limits).or(config.limits),
        retry: retry.or(agent.retry).or(config.retry),
        forgiven: Spend::default(),
        workspace_mode: mode,
        fresh: false,
        workspace_reuse: WorkspaceReuse::Keep,
        not_before,
        after: wait::after(&request.after)?,
        created_at: clock::now(),
        created_steady: None,
    };
    Ok(Submission {
        spec,
        payload,
        digest,
        on_busy: on_busy(request.on_busy)?,
        delay,
    })
}

/// A request to run a finished task again. The new task takes everything over
/// that the request does not change. Blocks.
pub(super) fn rerun(
    request: &v1::RerunRequest,
    of: &Task,
    payload: Payload,
    user: String,
    config: &Config,
) -> Result<Submission, Failure> {
    let agent = config
        .agent(&of.spec.agent)
        .ok_or_else(|| unknown_agent(&of.spec.agent, config, Code::FailedPrecondition))?;
    if let Some(repo) = &of.spec.repo {
        locate(&repo.to_string_lossy(), Code::FailedPrecondition)?;
    }
    let mut prompt = payload.prompt;
    if !request.prompt.is_empty() {
        prompt.clone_from(&request.prompt);
    }
    if !request.append_prompt.is_empty() {
        if !prompt.is_empty() {
            prompt.push_str("\n\n");
        }
        prompt.push_str(&request.append_prompt);
    }
    let payload = Payload {
        prompt,
        command: payload.command,
    };
    request::payload_fits(agent, &payload)?;
    let limits = limits::limits(request.limits.as_ref())?;
    let (not_before, delay) = wait::later(request.not_before, request.delay)?;
    let spec = TaskSpec {
        trigger: Trigger::Rerun,
        rerun_of: Some(of.id),
        lineage: Some(of.spec.lineage.unwrap_or(of.id)),
        request_id: request_id(&request.request_id)?,
        agent_type: agent.agent_type,
        model: text("model", &request.model)?.or_else(|| of.spec.model.clone()),
        limits: limits.or(of.spec.limits),
        user,
        fresh: request.fresh,
        workspace_reuse: workspace_reuse(request.workspace_reuse, of)?,
        not_before,
        // A person asks for it now.
        after: Vec::new(),
        created_at: clock::now(),
        created_steady: None,
        ..of.spec.clone()
    };
    let mut hash = Sha256::new();
    for part in [
        "rerun",
        &of.id.to_string(),
        &request.model,
        &request.prompt,
        &request.append_prompt,
        &request.on_busy.to_string(),
    ] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    if let Some(limits) = &request.limits {
        hash.update(prost::Message::encode_to_vec(limits));
    }
    hash.update([u8::from(request.override_budget)]);
    if request.fresh {
        hash.update("fresh");
    }
    // Not if it is the default: the same request of an older client is the same.
    if spec.workspace_reuse != WorkspaceReuse::Keep {
        hash.update(spec.workspace_reuse.as_str());
    }
    // What was asked for before these existed has the same digest still.
    if not_before.is_some() || delay.is_some() {
        hash.update(request.not_before.to_le_bytes());
        hash.update(request.delay.to_le_bytes());
    }
    Ok(Submission {
        spec,
        payload,
        digest: hash.finalize().into(),
        on_busy: on_busy(request.on_busy)?,
        delay,
    })
}

/// Tells a repeated request from another one with the same id.
fn digest(request: &v1::SubmitRequest) -> [u8; 32] {
    let labels: BTreeMap<_, _> = request.labels.iter().collect();
    let rest = v1::SubmitRequest {
        labels: std::collections::HashMap::new(),
        ..request.clone()
    };
    let mut hash = Sha256::new();
    hash.update(prost::Message::encode_to_vec(&rest));
    for (name, value) in labels {
        for part in [name, value] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

/// A short text: absent if empty.
fn text(field: &'static str, text: &str) -> Result<Option<String>, Failure> {
    if text.len() > MAX_TEXT {
        let message = format!("{field} has {} bytes; {MAX_TEXT} are the limit", text.len());
        return Err(Failure::field(field, message));
    }
    if text.chars().any(|c| c.is_control()) {
        return Err(Failure::field(
            field,
            format!("{field} has control characters"),
        ));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn issue(given: &str) -> Result<Option<String>, Failure> {
    let issue = text("issue", given)?;
    if let Some(issue) = &issue
        && (issue.trim().is_empty() || issue.starts_with('@'))
    {
        return Err(Failure::field("issue", "issue is blank or begins with @"));
    }
    Ok(issue)
}

fn request_id(given: &str) -> Result<Option<String>, Failure> {
    if given.len() > MAX_REQUEST_ID {
        return Err(Failure::field(
            "request_id",
            format!("request_id has more than {MAX_REQUEST_ID} bytes"),
        ));
    }
    text("request_id", given)
}

fn labels(
    given: std::collections::HashMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    if given.len() > MAX_LABELS {
        return Err(Failure::field(
            "labels",
            format!("{} labels; {MAX_LABELS} are the limit", given.len()),
        ));
    }
    for (name, value) in &given {
        if name.is_empty() || name.len() > MAX_LABEL || value.len() > MAX_LABEL {
            return Err(Failure::field(
                "labels",
                format!("names and values of labels have 1 to {MAX_LABEL} bytes"),
            ));
        }
        text("labels", name)?;
        text("labels", value)?;
    }
    Ok(given.into_iter().collect())
}

fn locate(path: &str, code: Code) -> Result<PathBuf, Failure> {
    request::locate(Path::new(path)).map_err(|refused| {
        Failure::new(code, reason::REPO_INVALID, refused.message).hint(refused.hint)
    })
}

fn on_busy(given: i32) -> Result<OnBusy, Failure> {
    match v1::OnBusy::try_from(given) {
        Ok(v1::OnBusy::Unspecified) => Ok(OnBusy::Refuse),
        Ok(v1::OnBusy::Queue) => Ok(OnBusy::Queue),
        Ok(v1::OnBusy::Replace) => Ok(OnBusy::Replace),
        Err(_) => Err(Failure::field("on_busy", "unknown value of on_busy")),
    }
}

/// Where the next page begins.
pub(super) fn page_token(token: &str) -> Result<Option<TaskId>, Failure> {
    if token.is_empty() {
        return Ok(None);
    }
    let id = token.parse().ok().and_then(TaskId::new);
    id.map(Some)
        .ok_or_else(|| Failure::field("page_token", "not from an earlier answer"))
}

pub(super) fn task_id(id: u64) -> Result<TaskId, Failure> {
    TaskId::new(id).ok_or_else(|| Failure::field("id", "0 is no task's number"))
}

pub(super) fn filter(filter: v1::Filter, config: &Config) -> Result<Filter, Failure> {
    let optional = |text: String| (!text.is_empty()).then_some(text);
    let time = |at: i64| (at != 0).then_some(Timestamp(at));
    let states = filter.states.iter().map(|state| {
        let kind = u8::try_from(*state).ok();
        kind.and_then(|code| StateKind::ALL.into_iter().find(|kind| *kind as u8 == code))
            .ok_or_else(|| Failure::field("filter.states", format!("unknown state {state}")))
    });
    Ok(Filter {
        states: states.collect::<Result<_, _>>()?,
        agent: optional(filter.agent),
        repo: optional(filter.repo).map(|repo| repo::filtered(repo, config)),
        issue: optional(filter.issue),
        labels: filter.labels.into_iter().collect(),
        since: time(filter.since),
        until: time(filter.until),
    })
}

pub(super) fn shut_down(request: &v1::ShutdownRequest) -> Result<ShutDown, Failure> {
    let limit = (request.timeout > 0).then(|| Duration::from_millis(request.timeout));
    match (request.cancel_all, request.drain) {
        (true, true) => Err(Failure::field(
            "drain",
            "tasks cannot be cancelled and waited for at once",
        )),
        (true, false) => Ok(ShutDown::CancelAll),
        (false, true) => Ok(ShutDown::Drain(limit)),
        (false, false) => Ok(ShutDown::Leave),
    }
}
