//! Carries out what a turn asks for, once it is durable.
//!
//! Nothing here decides: what comes of an act is reported and decided about in
//! a later turn.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::runtime;

use super::{
    close::{Closing, Gates},
    life::LeftBehind,
    sandbox::sandbox,
    session,
    turn::Act,
};
use crate::{
    agents::{self, Invocation, Trouble, Versions},
    config::{Config, Repo},
    forge::{self, IssueState},
    spool::{Fallback, Launch, Setup},
    store::Store,
    supervisor::{Expected, Plan, Supervisor},
    task::{
        attempt::{Attempt, Phase, Workspace},
        effect::Effect,
        event::AttemptRef,
        limits::{Limits, TRANSCRIPT},
        reason::FailureReason,
        session::Given,
        spec::{Fetch, Trigger, WorkspaceMode, WorkspaceReuse},
        state::Task,
        transition::reference,
    },
    workspace::{self, WorkspaceError},
};

/// The hands of the loop.
pub(super) struct Actor {
    supervisor: Supervisor,
    config: Arc<Config>,
    store: Arc<Store>,
    versions: Arc<Versions>,
    runtime: runtime::Handle,
    /// Repositories in which workspaces of ended attempts are looked at.
    gates: Gates,
}

/// A start that failed before there was a runner.
pub(super) struct Failed {
    pub(super) reason: FailureReason,
    pub(super) message: String,
}

impl Failed {
    fn spawn(message: impl ToString) -> Self {
        Self {
            reason: FailureReason::SpawnFailed,
            message: message.to_string(),
        }
    }
}

impl From<WorkspaceError> for Failed {
    fn from(error: WorkspaceError) -> Self {
        let WorkspaceError { reason, message } = error;
        Self { reason, message }
    }
}

impl Actor {
    pub(super) fn new(
        supervisor: Supervisor,
        config: Arc<Config>,
        store: Arc<Store>,
        versions: Arc<Versions>,
        runtime: runtime::Handle,
    ) -> Self {
        Self {
            supervisor,
            config,
            store,
            versions,
            runtime,
            gates: Gates::default(),
        }
    }

    /// Finds out about an attempt of an earlier incarnation.
    pub(super) fn examine(&self, attempt: Attempt, limits: Limits) {
        let _inside = self.runtime.enter();
        self.supervisor.expect(expected(&attempt, limits));
        self.supervisor.examine(attempt);
    }

    /// Deals with the files that an earlier incarnation left: those of ended
    /// attempts are put away, and what the store does not know is fenced off.
    pub(super) fn tidy(&mut self, left: LeftBehind) {
        let runtime = self.runtime.clone();
        let _inside = runtime.enter();
        for ended in left.ended {
            ended.close(&self.supervisor, &mut self.gates);
        }
        for attempt in left.unknown {
            self.supervisor.fence(attempt);
        }
    }

    /// Watches over the signs of life of runners.
    pub(super) fn watch_pulses(&self) {
        let _inside = self.runtime.enter();
        self.supervisor.watch_pulses();
    }

    pub(super) fn act(&mut self, act: Act) {
        let runtime = self.runtime.clone();
        let _inside = runtime.enter();
        crashpoint!("dispatcher.act");
        match act {
            Act::Reply(reply) => reply(),
            Act::Reconfigure(config) => {
                let suspect_after = Duration::from_millis(config.suspect_after);
                self.supervisor.set_suspect_after(suspect_after);
                self.config = config;
            }
            Act::Connected {
                attempt,
                runner,
                started,
                outbox,
            } => {
                self.supervisor.connected(attempt, runner, outbox, started);
            }
            Act::Dismiss { outbox, has_result } => outbox.dismiss(has_result),
            Act::Conclude(attempt) => self.supervisor.conclude(attempt),
            Act::Acknowledge(attempt) => self.supervisor.acknowledge(attempt),
            Act::Adopt(attempt) => {
                let started = attempt.phase != Phase::Claimed;
                let named = reference(&attempt);
                self.supervisor.adopt(named, attempt.runner, started);
            }
            Act::Reap(attempt, reason) => self.supervisor.reap(attempt, reason),
            Act::Effect(effect, task) => self.carry_out(effect, *task),
        }
    }

    fn carry_out(&mut self, effect: Effect, task: Task) {
        match effect {
            Effect::Launch(attempt) => self.launch(attempt, task),
            Effect::Go(attempt) => {
                if let Some(live) = task.live_attempt() {
                    self.supervisor.expect(expected(live, task.spec.limits));
                }
                self.supervisor.go(attempt);
            }
            Effect::CarryOn(attempt) => self.supervisor.carry_on(attempt),
            Effect::Stop {
                attempt,
                reason,
                grace,
            } => self.supervisor.stop(attempt, reason.as_str(), grace),
            Effect::EndRunner(attempt) => self.supervisor.end_runner(attempt),
            Effect::Conclude(attempt) => {
                self.supervisor.expect_no_more(attempt);
                self.supervisor.acknowledge(attempt);
                let ended = task.attempt.filter(|ended| reference(ended) == attempt);
                match ended {
                    Some(ended) => {
                        Closing::of(&ended, task.spec.repo).close(&self.supervisor, &mut self.gates)
                    }
                    None => self.supervisor.conclude(attempt),
                }
            }
        }
    }

    /// Makes the workspace, then has the runner spawned.
    fn launch(&mut self, attempt: AttemptRef, task: Task) {
        let wanted = self.supervisor.begin(attempt);
        let before = self.gates.of(task.spec.repo.as_deref());
        let supervisor = self.supervisor.clone();
        let config = Arc::clone(&self.config);
        let store = Arc::clone(&self.store);
        let versions = Arc::clone(&self.versions);
        self.supervisor.track(async move {
            before.passed(&wanted).await;
            if wanted.is_cancelled() {
                stopped(&supervisor, attempt).await;
                return;
            }
            let prepare = {
                let supervisor = supervisor.clone();
                let (wanted, end) = (wanted.clone(), supervisor.end());
                tokio::task::spawn_blocking(move || {
                    // The next life may have begun another attempt there by then.
                    let wanted = || !wanted.is_cancelled() && !end.is_cancelled();
                    prepare(&supervisor, &config, &store, &versions, &task, &wanted)
                })
            };
            let prepared = match prepare.await {
                Ok(prepared) => prepared,
                Err(panicked) => Err(Failed::spawn(panicked)),
            };
            match prepared {
                Ok(_) if wanted.is_cancelled() => stopped(&supervisor, attempt).await,
                Ok(prepared) => {
                    let Prepared {
                        workspace,
                        given,
                        plan,
                    } = prepared;
                    let live = supervisor.prepared(attempt, workspace, given).await;
                    if live && !wanted.is_cancelled() {
                        supervisor.launch(attempt, plan);
                    } else {
                        stopped(&supervisor, attempt).await;
                    }
                }
                Err(_) if wanted.is_cancelled() => stopped(&supervisor, attempt).await,
                Err(Failed { reason, message }) => {
                    supervisor.start_failed(attempt, reason, message).await;
                }
            }
        });
    }
}

/// The runner of an attempt, as one that signs of life are expected of.
fn expected(attempt: &Attempt, limits: Limits) -> Expected {
    Expected {
        attempt: reference(attempt),
        runner: attempt.runner.clone(),
        idle_timeout: limits.idle_timeout(),
        tool_idle_timeout: limits.tool_idle_timeout(),
    }
}

async fn stopped(supervisor: &Supervisor, attempt: AttemptRef) {
    let message = "stopped before the runner was started".to_owned();
    let reason = FailureReason::SpawnFailed;
    supervisor.start_failed(attempt, reason, message).await;
}

/// What a runner needs.
struct Prepared {
    workspace: Workspace,
    given: Given,
    plan: Plan,
}

/// The issue of a rerun may have been closed while it waited. Blocks.
fn still_wanted(task: &Task, config: &Config) -> Result<(), Failed> {
    let (Trigger::Rerun, Some(path), Some(issue)) =
        (task.spec.trigger, &task.spec.repo, &task.spec.issue)
    else {
        return Ok(());
    };
    let repo = config.repo_at(path);
    let command = repo.map_or(&[][..], |repo| &repo.issue_state);
    match forge::issues(command).state(path, issue) {
        Ok(IssueState::Open) => Ok(()),
        Ok(IssueState::Closed) => Err(Failed {
            reason: FailureReason::IssueClosed,
            message: format!("issue {issue} was closed before the task was started"),
        }),
        Err(error) if repo.is_some_and(|repo| repo.require_issue_state) => Err(Failed::spawn(
            format!("cannot find out whether issue {issue} is open: {error}"),
        )),
        Err(error) => {
            tracing::warn!(task = %task.id, %error, "cannot find out whether its issue is open");
            Ok(())
        }
    }
}

/// What sets the workspace up before the agent, if that is still to be done.
fn setup(repo: Option<&Repo>, mode: WorkspaceMode, workspace: &Workspace) -> Option<Setup> {
    let repo = repo.filter(|repo| !repo.setup.is_empty() && mode != WorkspaceMode::None)?;
    let setup = Setup {
        argv: repo.setup.clone(),
        limit: repo.setup_timeout,
        record: workspace::setup_record(mode, workspace),
    };
    Some(setup).filter(|setup| !setup.is_done())
}

/// Everything between the claim and the runner, as long as it is `wanted`. Blocks.
fn prepare(
    supervisor: &Supervisor,
    config: &Config,
    store: &Store,
    versions: &Versions,
    task: &Task,
    wanted: &dyn Fn() -> bool,
) -> Result<Prepared, Failed> {
    let spec = &task.spec;
    let attempt = task
        .live_attempt()
        .ok_or_else(|| Failed::spawn("the attempt has ended"))?;
    let agent = config.agent(&spec.agent).ok_or_else(|| Failed {
        reason: FailureReason::AgentMissing,
        message: format!("agent {} is not configured", spec.agent),
    })?;
    if let Some(Trouble { what, hint }) = agents::outdated(agent, versions) {
        return Err(Failed {
            reason: FailureReason::AgentMissing,
            message: format!("{what}; upgrade it: {hint}"),
        });
    }
    let payload = store
        .reader()
        .and_then(|reader| reader.payload(task.id))
        .map_err(Failed::spawn)?
        .unwrap_or_default();
    still_wanted(task, config)?;
    let repo = spec.repo.as_deref().and_then(|repo| config.repo_at(repo));
    // A retry has the workspace of the attempt before it.
    let before = attempt.workspace.as_ref();
    let request = workspace::Request {
        mode: spec.workspace_mode,
        repo: spec.repo.clone(),
        agent: spec.agent.clone(),
        issue: spec.issue.clone(),
        task: spec.lineage.unwrap_or(task.id),
        reused: spec.issue.is_some() || spec.rerun_of.is_some() || before.is_some(),
        branch: before.and_then(|workspace| workspace.branch.clone()),
        base: repo.and_then(|repo| repo.base.clone()),
        fetch: repo.map_or_else(Fetch::default, |repo| repo.fetch),
        state_dir: supervisor.state_dir().to_owned(),
        attempt: attempt.id,
        // A retry goes on with what the attempt before it has left.
        reuse: match before {
            Some(_) => WorkspaceReuse::Keep,
            None => spec.workspace_reuse,
        },
    };
    let mut notes = Vec::new();
    let workspace = workspace::prepare(&request, wanted, &mut notes)?;
    failpoint!("dispatcher.workspace").map_err(Failed::spawn)?;
    let setup = setup(repo, spec.workspace_mode, &workspace);
    let socket: PathBuf = supervisor.socket().to_owned();
    let reader = store.reader().map_err(Failed::spawn)?;
    let given = session::given(&reader, agent, task, attempt, &workspace).map_err(Failed::spawn)?;
    let told = session::told(
        &reader,
        task,
        attempt,
        &given,
        supervisor.state_dir(),
        &workspace,
    )
    .map_err(Failed::spawn)?;
    drop(reader);
    let invocation = |given: Given| {
        let attempt = Attempt {
            given,
            ..attempt.clone()
        };
        let invocation =
            agents::invocation(agent, task, &attempt, &payload, &workspace, &socket, &told);
        invocation.map_err(|error| Failed {
            reason: error.reason(),
            message: error.to_string(),
        })
    };
    let fresh = given
        .resumes()
        .map(|id| Ok::<_, Failed>((id.to_owned(), invocation(given.lost())?)))
        .transpose()?;
    let (fallback, fresh_prompt) = fresh
        .map(|(session, fresh)| {
            let Invocation {
                argv, env, prompt, ..
            } = fresh;
            (Fallback { session, argv, env }, prompt)
        })
        .unzip();
    let invocation = invocation(given.clone())?;
    let sandbox = sandbox(supervisor, config, agent, spec, &workspace, &invocation.env)?;
    if sandbox.is_some() {
        notes.push("it is in a sandbox, and cannot write where it does not work".to_owned());
    }
    let launch = Launch {
        attempt: attempt.id,
        nonce: attempt.nonce,
        socket,
        argv: invocation.argv,
        env: invocation.env,
        cwd: workspace.path.clone(),
        stdin: invocation.stdin,
        polite_signal: invocation.polite_signal,
        start_timeout: spec.limits.start_timeout(),
        kill_grace: spec.limits.kill_grace(),
        result_grace: agent.result_grace,
        heartbeat: config.heartbeat,
        idle_timeout: spec.limits.idle_timeout(),
        tool_idle_timeout: spec.limits.tool_idle_timeout(),
        transcript_limit: TRANSCRIPT,
        reads: invocation.reads,
        fallback,
        setup,
        sandbox,
        notes,
        open_files: supervisor.open_files(),
        cgroup: None,
        scope: None,
        memory: spec.limits.memory,
        pids: spec.limits.pids,
        cpu: spec.limits.cpu,
    };
    let plan = Plan {
        launch,
        prompt: invocation.prompt,
        fresh_prompt,
        agent: spec.agent.as_str().to_owned(),
    };
    Ok(Prepared {
        workspace,
        given,
        plan,
    })
}
