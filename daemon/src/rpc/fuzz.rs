//! What holds for any message that a client or a runner sends.

use std::path::Path;

use agentd_proto::v1;
use prost::Message as _;
use tonic::Status;

use super::{error::Failure, from_proto, from_proto::page_token, metrics, to_proto};
use crate::{
    config::Config,
    dispatcher::Submission,
    task::{
        attempt::{ProcessIdentity, Run, RunResult},
        event::Stage,
        id::TaskId,
        limits::{MAX_LABEL, MAX_LABELS, MAX_MESSAGE, MAX_PROMPT, MAX_REQUEST_ID, MAX_TEXT, clip},
        reason::FailureReason,
        spec::{Payload, WorkspaceMode},
        state::Task,
    },
};

/// Longest message of a refusal, bytes: it travels in a header.
const MAX_REFUSAL: usize = 12 * 1024;
/// Two agents: one that brings its command, one that takes the task's.
const CONFIG: &str = "[agents.fixed]\ntype = \"command\"\ncommand = [\"/bin/true\"]\n";

/// Whatever passes of a request is within the limits, and a refusal fits into
/// an answer.
pub fn request(data: &[u8]) {
    let config = Config::parse(CONFIG, Path::new("config.toml")).expect("a good configuration");
    if let Ok(mut request) = v1::SubmitRequest::decode(data) {
        // Repositories are looked for on disk, which is another's test.
        if request.repo.starts_with('/') {
            request.repo.clear();
        }
        let passed = from_proto::submission(request, "ann".to_owned(), &config);
        let Some(submission) = answer(passed) else {
            return;
        };
        within_limits(&submission);
        rerun(data, submission, &config);
    }
    if let Ok(report) = v1::ReportRequest::decode(data)
        && let Some(statement) = answer(from_proto::statement(report))
    {
        assert_eq!(statement.observed.clone().bounded(), statement.observed);
    }
    if let Ok(asked) = v1::MetricsRequest::decode(data) {
        answer(metrics::format(asked));
    }
    if let Ok(list) = v1::ListRequest::decode(data) {
        if let Some(Some(before)) = answer(page_token(&list.page_token)) {
            let next = before.to_string();
            assert_eq!(answer(page_token(&next)), Some(Some(before)));
        }
        answer(from_proto::filter(list.filter.unwrap_or_default(), &config));
    }
}

/// The same bytes ask to run again what they submitted.
fn rerun(data: &[u8], submission: Submission, config: &Config) {
    let Ok(request) = v1::RerunRequest::decode(data) else {
        return;
    };
    let of = Task::submitted(TaskId::FIRST, submission.spec);
    let payload: Payload = submission.payload;
    let passed = from_proto::rerun(&request, &of, payload, "ann".to_owned(), config);
    if let Some(again) = answer(passed) {
        within_limits(&again);
        assert_eq!(again.spec.rerun_of, Some(of.id));
        assert!(again.spec.key().is_some(), "asking twice runs it twice");
    }
}

fn within_limits(submission: &Submission) {
    let Submission { spec, payload, .. } = submission;
    let words = &payload.command;
    let size = payload.prompt.len() + words.iter().map(String::len).sum::<usize>();
    assert!(size <= MAX_PROMPT, "{size} bytes of work");
    assert!(words.iter().all(|word| !word.contains('\0')));
    assert!(words.first().is_none_or(|program| !program.is_empty()));
    let id = spec.request_id.as_deref().unwrap_or("any");
    assert!((1..=MAX_REQUEST_ID).contains(&id.len()));
    let texts = [&spec.model, &spec.issue].into_iter().flatten();
    for text in texts.chain([&spec.title]) {
        assert!(text.len() <= MAX_TEXT, "{} bytes of text", text.len());
        assert!(!text.contains(char::is_control), "{text:?}");
    }
    let issue = spec.issue.as_deref().unwrap_or("any");
    assert!(
        !issue.trim().is_empty() && !issue.starts_with('@'),
        "{issue:?}"
    );
    assert!(spec.labels.len() <= MAX_LABELS);
    for (name, value) in &spec.labels {
        assert!((1..=MAX_LABEL).contains(&name.len()) && value.len() <= MAX_LABEL);
        assert!(!name.contains(char::is_control) && !value.contains(char::is_control));
    }
    let limits = spec.limits;
    assert!(limits.start_timeout() > 0 && limits.timeout != Some(0));
    assert_ne!(limits.max_attempts, Some(0));
    let budgets = limits.budgets();
    assert!(budgets.attempts > 0 && budgets.wall != Some(0));
    assert!(budgets.cost != Some(0) && budgets.tokens != Some(0));
    let mut asked_for = spec.retry.retry_on.unwrap_or_default().iter();
    assert!(asked_for.all(FailureReason::may_be_retried));
    assert_eq!(spec.workspace_mode, WorkspaceMode::None, "no repository");
    let shown = to_proto::task(
        &Task::submitted(TaskId::FIRST, spec.clone()),
        to_proto::ShownHold::None,
    );
    assert!(shown.encoded_len() <= agentd_proto::MAX_MESSAGE);
}

/// What passed; a refusal is looked at and dropped.
fn answer<T>(passed: Result<T, Failure>) -> Option<T> {
    let refusal = match passed {
        Ok(passed) => return Some(passed),
        Err(refusal) => Status::from(refusal),
    };
    let size = refusal.message().len() + refusal.details().len();
    assert!(size <= MAX_REFUSAL, "a refusal of {size} bytes");
    assert!(!refusal.message().is_empty());
    None
}

/// Whatever a runner says is bounded when it has passed.
pub(crate) fn runner(data: &[u8]) {
    use v1::runner_message::Message;
    let Ok(message) = v1::RunnerMessage::decode(data) else {
        return;
    };
    match message.message {
        Some(Message::Register(register)) => {
            let Some(registration) = answer(from_proto::registration(register)) else {
                return;
            };
            assert!(registration.attempt.id.number > 0);
            process(&registration.runner);
            stage(&registration.stage);
            if let Some(result) = &registration.result {
                outcome(result);
            }
        }
        Some(Message::Started(started)) => {
            if let Some(started) = answer(from_proto::started(started)) {
                stage(&started);
            }
        }
        Some(Message::Observed(observed)) => {
            if let Some(observed) = answer(from_proto::observed(observed)) {
                assert_eq!(observed.clone().bounded(), observed);
            }
        }
        Some(Message::Exited(exited)) => {
            if let Some(result) = answer(from_proto::exited(exited)) {
                outcome(&result);
            }
        }
        Some(Message::Heartbeat(_)) | None => {}
    }
}

fn stage(stage: &Stage) {
    match stage {
        Stage::Waiting => {}
        Stage::SettingUp { command } => {
            assert!(command.len() <= MAX_MESSAGE && !command.contains(char::is_control));
        }
        Stage::Running { agent, .. } => process(agent),
    }
}

fn process(process: &ProcessIdentity) {
    assert!(process.pid > 0, "0 is no process");
    let boot = &process.boot_id;
    assert!(
        boot.len() <= MAX_LABEL && !boot.contains(char::is_control),
        "{boot:?}"
    );
}

fn outcome(result: &RunResult) {
    if let Run::SpawnFailed { message, .. } | Run::SetupFailed { message } = &result.run {
        assert!(message.len() <= MAX_MESSAGE && !message.contains(char::is_control));
    }
}

/// A result as a runner tells it arrives as it was, but for the length of
/// texts and what would steer a terminal.
pub(crate) fn arrives(told: &[u8], result: &RunResult) {
    use v1::runner_message::Message;
    let message = v1::RunnerMessage::decode(told).expect("a runner's message");
    let Some(Message::Exited(exited)) = message.message else {
        panic!("not a result");
    };
    let mut expected = result.clone();
    if let Run::SpawnFailed { message, .. } | Run::SetupFailed { message } = &mut expected.run {
        let line = message.replace(char::is_control, " ");
        *message = clip(&line, MAX_MESSAGE);
    }
    let heard = answer(from_proto::exited(exited));
    assert_eq!(heard, Some(expected));
}
