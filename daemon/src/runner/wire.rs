//! Between the runner's own types and the messages: the only place here that
//! knows the latter.

use std::{path::PathBuf, time::Duration};

use agentd_proto::v1;

use super::machine::Order;
use crate::{
    process::Figures,
    task::{
        attempt::{Exit, ProcessIdentity, Run, RunResult, Status},
        id::{AttemptId, Nonce},
        moment::Moment,
        observed::Observed,
        usage::Usage,
    },
};

/// A year is as good as for ever, and can be added to any time.
pub(super) const LONGEST_GRACE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Who registers.
#[derive(Debug, Clone)]
pub(super) struct Registrant {
    pub(super) dir: PathBuf,
    pub(super) attempt: AttemptId,
    pub(super) nonce: Nonce,
    pub(super) runner: ProcessIdentity,
}

/// How far it has come.
#[derive(Debug, Clone)]
pub(super) enum Begun {
    /// The repository is being set up with this command.
    Setup(String),
    /// The agent was started.
    Agent(Started),
}

/// The agent's start.
#[derive(Debug, Clone)]
pub(super) struct Started {
    pub(super) agent: ProcessIdentity,
    pub(super) at: Moment,
}

/// A sign of life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat {
    /// Bytes of transcript.
    pub(super) output: u64,
    pub(super) figures: Figures,
    /// Since the last output.
    pub(super) silent: Duration,
    /// Since it last did anything.
    pub(super) idle: Duration,
    /// It waits for a tool.
    pub(super) tool: bool,
}

pub(super) fn register(
    who: &Registrant,
    begun: Option<&Begun>,
    result: Option<&RunResult>,
) -> v1::RunnerMessage {
    message(v1::runner_message::Message::Register(v1::Register {
        task: who.attempt.task.get(),
        attempt: who.attempt.number,
        nonce: who.nonce.0.to_vec(),
        runner: Some(identity(&who.runner)),
        dir: who.dir.to_string_lossy().into_owned(),
        started: begun.map(begun_message),
        exited: result.map(exited_message),
    }))
}

pub(super) fn begun(begun: &Begun) -> v1::RunnerMessage {
    let started = begun_message(begun);
    message(v1::runner_message::Message::Started(started))
}

pub(super) fn heartbeat(beat: &Heartbeat) -> v1::RunnerMessage {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    message(v1::runner_message::Message::Heartbeat(v1::Heartbeat {
        output: beat.output,
        cpu: beat.figures.cpu,
        memory: beat.figures.memory,
        processes: beat.figures.processes,
        silent: millis(beat.silent),
        idle: millis(beat.idle),
        tool: beat.tool,
    }))
}

pub(super) fn exited(result: &RunResult) -> v1::RunnerMessage {
    let exited = exited_message(result);
    message(v1::runner_message::Message::Exited(exited))
}

pub(super) fn observed(observed: &Observed) -> v1::RunnerMessage {
    let observed = observed_message(observed);
    message(v1::runner_message::Message::Observed(observed))
}

/// The order in a message; `None` if a newer daemon says what we do not know.
pub(super) fn order(message: v1::DaemonMessage) -> Option<Order> {
    use v1::daemon_message::Message;
    Some(match message.message? {
        Message::Go(v1::Go {}) => Order::Go,
        Message::CarryOn(v1::CarryOn {}) => Order::CarryOn,
        Message::Stop(v1::Stop { reason, grace }) => Order::Stop {
            reason,
            grace: Duration::from_millis(grace).min(LONGEST_GRACE),
        },
        Message::Fenced(v1::Fenced { why }) => Order::Fenced { why },
        Message::Ack(v1::Ack {}) => Order::Ack,
    })
}

fn message(message: v1::runner_message::Message) -> v1::RunnerMessage {
    v1::RunnerMessage {
        message: Some(message),
    }
}

fn identity(process: &ProcessIdentity) -> v1::ProcessIdentity {
    v1::ProcessIdentity {
        pid: process.pid,
        start_ticks: process.start_ticks,
        boot_id: process.boot_id.clone(),
    }
}

fn begun_message(begun: &Begun) -> v1::Started {
    match begun {
        Begun::Setup(command) => v1::Started {
            setup: command.clone(),
            ..v1::Started::default()
        },
        Begun::Agent(started) => v1::Started {
            agent: Some(identity(&started.agent)),
            at: started.at.wall.0,
            steady: started.at.steady.map(|steady| steady.millis),
            setup: String::new(),
        },
    }
}

fn exited_message(result: &RunResult) -> v1::Exited {
    let mut exited = v1::Exited {
        ended_at: result.ended_at.0,
        left_over: result.left_over,
        by_itself: result.by_itself,
        lingered: result.lingered,
        observed: Some(observed_message(&result.observed)),
        ..v1::Exited::default()
    };
    match &result.run {
        Run::NotStarted => {}
        Run::SpawnFailed { message, missing } => {
            exited.spawn_error.clone_from(message);
            exited.agent_missing = *missing;
        }
        Run::SetupFailed { message } => exited.setup_error.clone_from(message),
        Run::Exited { started_at, exit } => {
            exited.started_at = started_at.0;
            exited.exit = Some(exit_message(exit));
        }
    }
    exited
}

fn observed_message(observed: &Observed) -> v1::Observed {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let limited = observed.limited.as_ref();
    let fault = observed.fault.as_ref();
    let claim = observed.claim.as_ref();
    v1::Observed {
        session: text(&observed.session),
        session_gone: text(&observed.session_gone),
        usage: observed.usage.as_ref().map(usage_message),
        model: text(&observed.model),
        progress: text(&observed.progress),
        limited: limited.map(|limited| v1::Limited {
            reason: limited.reason.as_str().to_owned(),
            until: limited.until.map_or(0, |until| until.0),
            message: limited.message.clone(),
        }),
        fault: fault.map(|fault| v1::Fault {
            reason: fault.reason.as_str().to_owned(),
            message: fault.message.clone(),
        }),
        declined: text(&observed.declined),
        claim: claim.map(|claim| v1::Claim {
            done: claim.done,
            message: claim.message.clone(),
        }),
    }
}

fn usage_message(usage: &Usage) -> v1::Usage {
    v1::Usage {
        input: usage.input,
        output: usage.output,
        cached: usage.cached,
        cost: usage.cost,
        turns: usage.turns,
    }
}

fn exit_message(exit: &Exit) -> v1::Exit {
    let (code, signal, core_dumped) = match exit.status {
        Status::Code(code) => (Some(code), None, false),
        Status::Signal { number, core } => (None, Some(number), core),
    };
    v1::Exit {
        code,
        signal,
        core_dumped,
        user_cpu: exit.user_cpu,
        system_cpu: exit.system_cpu,
        peak_memory: exit.peak_memory,
        oom_killed: exit.oom_killed,
    }
}
