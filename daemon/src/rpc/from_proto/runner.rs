//! What runners say.

use std::path::PathBuf;

use agentd_proto::v1;

use super::{Failure, task_id};
use crate::supervisor::Beat;
use crate::task::{
    attempt::{Exit, ProcessIdentity, Run, RunResult, Status},
    event::{AttemptRef, Stage},
    id::{AttemptId, Nonce, Timestamp},
    limits::{MAX_MESSAGE, clip},
    moment::{Boot, Moment, Steady},
};

/// Longest name of a boot, bytes; the kernel's have 36.
const MAX_BOOT_ID: usize = 64;

fn process(identity: Option<v1::ProcessIdentity>) -> Result<ProcessIdentity, Failure> {
    let identity = identity.ok_or_else(|| Failure::field("runner", "no identity"))?;
    if identity.pid == 0 {
        return Err(Failure::field("pid", "0 is no process"));
    }
    let boot_id = &identity.boot_id;
    if boot_id.len() > MAX_BOOT_ID || boot_id.contains(char::is_control) {
        return Err(Failure::field("boot_id", "not the name of a boot"));
    }
    Ok(ProcessIdentity {
        pid: identity.pid,
        start_ticks: identity.start_ticks,
        boot_id: identity.boot_id,
    })
}

/// What a runner says when it registers.
pub(in crate::rpc) struct Registration {
    pub(in crate::rpc) dir: PathBuf,
    pub(in crate::rpc) attempt: AttemptRef,
    pub(in crate::rpc) runner: ProcessIdentity,
    pub(in crate::rpc) stage: Stage,
    pub(in crate::rpc) result: Option<RunResult>,
}

pub(in crate::rpc) fn registration(register: v1::Register) -> Result<Registration, Failure> {
    let nonce = <[u8; 16]>::try_from(register.nonce)
        .map_err(|_| Failure::field("nonce", "not 16 bytes"))?;
    if register.attempt == 0 {
        return Err(Failure::field("attempt", "0 is no attempt's number"));
    }
    let attempt = AttemptRef {
        id: AttemptId {
            task: task_id(register.task)?,
            number: register.attempt,
        },
        nonce: Nonce(nonce),
    };
    let stage = match register.started {
        Some(it) => started(it)?,
        None => Stage::Waiting,
    };
    Ok(Registration {
        dir: register.dir.into(),
        attempt,
        runner: process(register.runner)?,
        stage,
        result: register.exited.map(exited).transpose()?,
    })
}

pub(in crate::rpc) fn started(started: v1::Started) -> Result<Stage, Failure> {
    if !started.setup.is_empty() {
        let command = line(&started.setup);
        return Ok(Stage::SettingUp { command });
    }
    let agent = process(started.agent)?;
    let boot = Boot::of(&agent.boot_id);
    let at = Moment {
        wall: Timestamp(started.at),
        steady: started.steady.map(|millis| Steady { boot, millis }),
    };
    Ok(Stage::Running { agent, at })
}

/// A runner's sign of life.
pub(in crate::rpc) fn beat(beat: &v1::Heartbeat) -> Beat {
    Beat {
        output: beat.output,
        cpu: beat.cpu,
        memory: beat.memory,
        processes: beat.processes,
        idle: beat.idle,
        tool: beat.tool,
    }
}

pub(in crate::rpc) fn exited(exited: v1::Exited) -> Result<RunResult, Failure> {
    let run = match exited.exit {
        Some(exit) => Run::Exited {
            started_at: Timestamp(exited.started_at),
            exit: self::exit(exit)?,
        },
        None if !exited.setup_error.is_empty() => Run::SetupFailed {
            message: line(&exited.setup_error),
        },
        None if exited.spawn_error.is_empty() => Run::NotStarted,
        None => Run::SpawnFailed {
            message: line(&exited.spawn_error),
            missing: exited.agent_missing,
        },
    };
    Ok(RunResult {
        run,
        ended_at: Timestamp(exited.ended_at),
        left_over: exited.left_over,
        by_itself: exited.by_itself,
        lingered: exited.lingered,
        observed: Box::new(super::observed(exited.observed.unwrap_or_default())?),
    })
}

/// One line that fits into a task's message.
fn line(text: &str) -> String {
    clip(&text.replace(char::is_control, " "), MAX_MESSAGE)
}

fn exit(exit: v1::Exit) -> Result<Exit, Failure> {
    let status = match (exit.code, exit.signal) {
        (Some(code), None) => Status::Code(code),
        (None, Some(number)) => Status::Signal {
            number,
            core: exit.core_dumped,
        },
        (Some(_), Some(_)) | (None, None) => {
            return Err(Failure::field("exit", "neither a code nor a signal"));
        }
    };
    Ok(Exit {
        status,
        user_cpu: exit.user_cpu,
        system_cpu: exit.system_cpu,
        peak_memory: exit.peak_memory,
        oom_killed: exit.oom_killed,
    })
}
