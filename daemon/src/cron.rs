//! Submits the tasks of `[schedules]` when their times come.
//!
//! It sleeps until the next time of all schedules, or until the configuration
//! or the wall clock is set, and decides nothing that is kept: whether a time
//! has been dealt with is the dispatcher's to know.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use crate::{
    clock,
    config::{Busy, Config, Schedule},
    dispatcher::{Firing, FiringError, Handle, OnBusy, Submission, Unavailable},
    request,
    task::{
        budget::Spend,
        id::Timestamp,
        spec::{TaskSpec, Trigger, WorkspaceMode, WorkspaceReuse},
        timetable::Fired,
    },
};

/// A time that is longer ago was missed.
const LATE: u64 = 60_000;
/// After a refusal that may pass.
const AGAIN: Duration = Duration::from_secs(1);
/// Longest sleep: the next look at the wall clock.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Who submits.
const USER: &str = "agentd";

/// Submits what is due until the dispatcher ends. `jumped`: the wall clock was
/// set.
pub async fn run(dispatcher: Handle, jumped: Arc<Notify>) {
    let mut watched = dispatcher.clone();
    loop {
        let config = dispatcher.config();
        let sleep = match turn(&dispatcher, &config).await {
            Ok(sleep) => sleep,
            Err(Unavailable::Stopping) => return,
            Err(Unavailable::Store) => Some(AGAIN),
        };
        let asleep = async {
            match sleep {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = asleep => {}
            () = jumped.notified() => {}
            reloaded = watched.reconfigured(&config) => if reloaded.is_err() { return },
        }
    }
}

/// Submits what is due. Returns how long nothing else is; `None`: for ever.
async fn turn(dispatcher: &Handle, config: &Arc<Config>) -> Result<Option<Duration>, Unavailable> {
    let names = config.schedules.values();
    let known: BTreeMap<_, _> = names
        .map(|schedule| (schedule.name.clone(), schedule.times.identity()))
        .collect();
    let rows = dispatcher.set_schedules(known).await?;
    let now = clock::now();
    let mut next: Option<Timestamp> = None;
    for schedule in config.schedules.values() {
        let Some(row) = rows.get(&schedule.name) else {
            continue;
        };
        if let Some(at) = due(schedule, row, now) {
            fire(dispatcher, config, schedule, at, now).await?;
        }
        let coming = schedule.times.next(now.max(row.counted_until()));
        next = next.into_iter().chain(coming).min();
    }
    Ok(next.map(|at| Duration::from_millis(at.millis_since(clock::now())).min(LONGEST)))
}

/// The newest time of a schedule that has come and was not dealt with. Older
/// ones do not count: several that were missed are one.
fn due(schedule: &Schedule, row: &Fired, now: Timestamp) -> Option<Timestamp> {
    schedule.times.last(now).filter(|at| row.is_open(*at))
}

async fn fire(
    dispatcher: &Handle,
    config: &Arc<Config>,
    schedule: &Schedule,
    at: Timestamp,
    now: Timestamp,
) -> Result<(), Unavailable> {
    let missed = now.millis_since(at) > LATE;
    let name = schedule.name.as_str();
    let submission = if missed && !schedule.run_missed {
        tracing::warn!(schedule = name, "its time was missed: it is left out");
        None
    } else {
        if missed {
            tracing::warn!(schedule = name, "its time was missed: it runs now, once");
        }
        let (config, schedule) = (Arc::clone(config), schedule.clone());
        let made = tokio::task::spawn_blocking(move || submission(&config, &schedule));
        match made.await {
            Ok(Ok(submission)) => Some(submission),
            Ok(Err(error)) => {
                tracing::error!(schedule = name, %error, "it cannot run");
                None
            }
            Err(error) => {
                tracing::error!(schedule = name, %error, "it cannot run");
                None
            }
        }
    };
    let firing = Firing {
        name: name.to_owned(),
        times: schedule.times.identity(),
        at,
        submission,
    };
    match dispatcher.fire(firing).await {
        Ok(Some(submitted)) => {
            tracing::info!(schedule = name, task = %submitted.task.id, "its time has come");
        }
        Ok(None) => {}
        Err(FiringError::Unavailable(unavailable)) => return Err(unavailable),
        Err(FiringError::Busy(task)) => {
            tracing::info!(schedule = name, %task, "left out: its last task has not ended");
        }
        Err(FiringError::Refused(error)) => {
            tracing::warn!(schedule = name, %error, "left out");
        }
    }
    Ok(())
}

/// The task of a schedule. Looks for its repository: blocks.
fn submission(config: &Config, schedule: &Schedule) -> Result<Submission, request::Refused> {
    let agent = config
        .agent(&schedule.agent)
        .expect("a configuration is refused whose schedules name other agents");
    request::payload_fits(agent, &schedule.payload)?;
    let repo = schedule.repo.as_deref().map(request::locate).transpose()?;
    let title = schedule.title.clone();
    let title = title.unwrap_or_else(|| request::made_title(&schedule.payload, agent));
    let spec = TaskSpec {
        trigger: Trigger::Schedule,
        rerun_of: None,
        lineage: None,
        request_id: None,
        agent: agent.name.clone(),
        agent_type: agent.agent_type,
        model: schedule.model.clone().or_else(|| agent.model.clone()),
        title,
        workspace_mode: match &repo {
            Some(_) => WorkspaceMode::Worktree,
            None => WorkspaceMode::None,
        },
        repo,
        issue: schedule.issue.clone(),
        user: USER.to_owned(),
        labels: schedule.labels.clone(),
        priority: schedule.priority,
        limits: agent.limits.or(config.limits),
        retry: agent.retry.or(config.retry),
        workspace_reuse: WorkspaceReuse::Keep,
        forgiven: Spend::default(),
        fresh: false,
        not_before: None,
        after: Vec::new(),
        created_at: clock::now(),
        created_steady: None,
    };
    Ok(Submission {
        spec,
        payload: schedule.payload.clone(),
        // Nobody asks twice: there is no request id.
        digest: Sha256::digest(schedule.name.as_bytes()).into(),
        on_busy: match schedule.busy {
            Busy::Skip => OnBusy::Refuse,
            Busy::Queue => OnBusy::Queue,
            Busy::Replace => OnBusy::Replace,
        },
        delay: None,
    })
}
