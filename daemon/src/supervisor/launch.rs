//! Spawning a runner.

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
};

use tokio::process::{Child, Command};

use super::{Supervisor, guard::Begin};
use crate::{
    process::{Marker, Scopes},
    spool::{AttemptDir, Launch, Scope},
    task::{
        event::{AttemptRef, Event},
        reason::FailureReason,
    },
};

/// This very program, also after its file was replaced by an upgrade.
const SELF: &str = "/proc/self/exe";

/// How much of a dead runner's log goes into the error, bytes.
const LOG_TAIL: u64 = 512;

/// Everything that a runner is to be given.
#[derive(Debug)]
pub struct Plan {
    /// What to run.
    pub launch: Launch,
    /// The agent's standard input.
    pub prompt: String,
    /// That of its fallback, if it has one.
    pub fresh_prompt: Option<String>,
    /// The agent's name, for people who ask the service manager.
    pub agent: String,
}

impl Supervisor {
    /// Writes the launch file and spawns the runner; then waits for its end.
    /// Everything that comes of it is reported.
    pub fn launch(&self, attempt: AttemptRef, mut plan: Plan) {
        let this = self.clone();
        self.track(async move {
            let containment = &this.shared.containment;
            let groups = containment.groups();
            plan.launch.cgroup = groups.map(|groups| groups.leaf(attempt.id));
            let scopes = containment.current_scopes().await;
            let scopes = scopes.as_ref().as_ref().ok();
            plan.launch.scope = scopes.map(|scopes| scope(scopes, attempt, &plan.agent));
            let dir = this.shared.state.attempt(attempt.id);
            match spawn(&dir, &plan) {
                Ok(child) => this.begin_guard(attempt, Begin::Spawned(child)),
                Err(error) => {
                    let message = format!("cannot start the runner: {error}");
                    this.start_failed(attempt, FailureReason::SpawnFailed, message)
                        .await;
                }
            }
        });
    }

    /// Reports that an attempt could not be started; nothing of it is left but
    /// files.
    pub async fn start_failed(&self, attempt: AttemptRef, reason: FailureReason, message: String) {
        if let Some(entry) = self.entries().get_mut(&attempt) {
            entry.guarded = false;
        }
        self.tell(Event::StartFailed {
            attempt,
            reason,
            message,
        })
        .await;
    }
}

fn scope(scopes: &Scopes, AttemptRef { id, .. }: AttemptRef, agent: &str) -> Scope {
    Scope {
        bus: scopes.bus().to_owned(),
        unit: scopes.unit(id),
        slice: scopes.slice().to_owned(),
        before: scopes.service().to_owned(),
        description: format!("{agent}: task {}, attempt {}", id.task, id.number),
        group: scopes.group(id),
        leaf: scopes.leaf(id),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that starts runners"
)]
fn spawn(dir: &AttemptDir, plan: &Plan) -> io::Result<Child> {
    dir.create()?;
    failpoint!("supervisor.spawn.created")?;
    if let Some(prompt) = &plan.fresh_prompt {
        dir.write_fresh_prompt(prompt)?;
    }
    dir.write_launch(&plan.launch, &plan.prompt)?;
    failpoint!("supervisor.spawn.written")?;
    let lock = dir.lock_for_runner()?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(dir.runner_log())?;
    // The environment holds nothing of the daemon's: the agent's comes from
    // the launch file. What it holds tells the runner, and so whatever is below
    // it, from all other processes.
    let marker = Marker::new(plan.launch.attempt, plan.launch.nonce);
    let mut command = Command::new(SELF);
    command
        .arg0("agentd")
        .arg("runner")
        .arg(dir.path())
        .env_clear()
        .env(Marker::RUNNER, marker.value())
        .current_dir("/")
        .stdin(lock.into_stdin())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(false);
    pass_failpoints_on!(command);
    failpoint!("supervisor.spawn.before")?;
    let child = command.spawn()?;
    crashpoint!("supervisor.spawn.after");
    Ok(child)
}

/// Why a runner ended that never came to start its agent.
pub(super) fn why_gone(log: &Path, status: Option<ExitStatus>) -> String {
    let status = status.map_or_else(
        || "the runner ended".to_owned(),
        |status| format!("the runner ended with {status}"),
    );
    match last_line(log) {
        Some(line) => format!("{status} before it started the agent: {line}"),
        None => format!("{status} before it started the agent"),
    }
}

fn last_line(log: &Path) -> Option<String> {
    let mut file = std::fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))
        .ok()?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut tail).ok()?;
    let text = String::from_utf8_lossy(&tail);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.trim().to_owned())
}
