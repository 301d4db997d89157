//! The load: jobs of which it is known what must become of them, and clients
//! that submit them, cancel some, and wait, whatever happens to the daemon.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use agentd_proto::v1::{
    CancelRequest, OnBusy, RecoverRequest, RerunRequest, State, StatusRequest, SubmitRequest, Task,
    WaitRequest, WorkspaceMode, WorkspaceReuse, control_client::ControlClient,
};
use tokio::time::{sleep, timeout};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use super::{agent::Work, random::Random};

/// Longest time that a call may take before it is made again.
const CALL: Duration = Duration::from_secs(20);
/// How long one wait for a task is, milliseconds.
const WAIT: u64 = 2_000;
/// Pause before a call that failed is made again.
const AGAIN: Duration = Duration::from_millis(20);
/// Between two looks at the recovery.
const LOOK: Duration = Duration::from_millis(200);
/// Keys that jobs share, and issues with a worktree. An odd one is of an agent
/// that keeps sessions, so that each job of it is to go on with one of another.
const KEYS: u64 = 3;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) worktree: bool,
    /// Run it again when it has ended, and take away what it has left.
    again: Option<WorkspaceReuse>,
    /// Milliseconds between the answer to the submit and the cancel.
    cancel_after: Option<u64>,
    /// Cancel without grace.
    forced: bool,
    /// Submit it once more when it has been acknowledged.
    twice: bool,
}

impl Job {
    /// The job with this number; the same for the same seed.
    fn new(seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed ^ number.wrapping_mul(0xA076_1D64_78BD_642F));
        let (lines, pause) = match random.below(10) {
            // At once; a long text at once; a short while; longer.
            0..3 => (random.below(20), 0),
            3 => (2_000, 0),
            4..8 => (10 + random.below(30), 1 + random.below(5)),
            _ => (100, 5 + random.below(10)),
        };
        let exit = match random.below(10) {
            0..5 => 0,
            5..8 => 7,
            8 => 79,
            _ => 1 + u8::try_from(random.below(120)).unwrap_or(0),
        };
        let key = random.percent(20).then(|| random.below(KEYS));
        // A session is resumed where it began, so most of those that could be are
        // of a repository.
        let worktree = random.percent(if key.is_some() { 40 } else { 3 });
        // A repository makes another key of the same issue.
        let key = key.map(|key| key + if worktree { KEYS } else { 0 });
        let again = match random.below(4) {
            0..2 => None,
            2 => Some(WorkspaceReuse::Reset),
            _ => Some(WorkspaceReuse::Fresh),
        };
        let cancelled = random.percent(12);
        Self {
            work: Work {
                job: number,
                lines,
                pause,
                exit,
                child: random.percent(15),
                keeps: key.is_some_and(|key| key % 2 == 1),
                key,
            },
            worktree,
            again: again.filter(|_| worktree),
            cancel_after: cancelled.then(|| random.below(300)),
            forced: random.percent(30),
            twice: random.percent(10),
        }
    }
}

/// A job that the daemon has acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Acknowledged {
    pub(super) job: Job,
    pub(super) task: u64,
    /// The name by which it was asked for.
    pub(super) request: String,
    /// As a rerun.
    pub(super) again: bool,
    /// A cancel was acknowledged while the task was active.
    pub(super) cancelled: bool,
    /// The client has seen the end, and how it was.
    pub(super) seen: Option<Task>,
}

/// What the clients share.
#[derive(Debug)]
pub(super) struct Load {
    seed: u64,
    socket: PathBuf,
    agent: PathBuf,
    dir: PathBuf,
    repo: PathBuf,
    next: AtomicU64,
    stop: AtomicBool,
    acknowledged: Mutex<Vec<Acknowledged>>,
    faults: Mutex<Vec<String>>,
}

/// What the load needs to know of the world.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) socket: PathBuf,
    pub(super) agent: PathBuf,
    pub(super) dir: PathBuf,
    pub(super) repo: PathBuf,
}

impl Load {
    pub(super) fn new(seed: u64, places: Places) -> Arc<Self> {
        let Places {
            socket,
            agent,
            dir,
            repo,
        } = places;
        Arc::new(Self {
            seed,
            socket,
            agent,
            dir,
            repo,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            acknowledged: Mutex::default(),
            faults: Mutex::default(),
        })
    }

    /// Submits jobs, one after the other, until it is told to stop.
    pub(super) async fn client(self: Arc<Self>) {
        let mut control = ControlClient::new(connection(&self.socket));
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.live(&mut control, Job::new(self.seed, number)).await;
        }
    }

    /// No further jobs; those that were begun are seen to their ends.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// How many have been acknowledged.
    pub(super) fn count(&self) -> usize {
        lock(&self.acknowledged).len()
    }

    pub(super) fn acknowledged(&self) -> Vec<Acknowledged> {
        lock(&self.acknowledged).clone()
    }

    pub(super) fn faults(&self) -> Vec<String> {
        lock(&self.faults).clone()
    }

    async fn live(&self, control: &mut ControlClient<Channel>, job: Job) {
        let number = job.work.job;
        let Some(task) = self.submit(control, &job).await else {
            return;
        };
        let index = self.acknowledge(&job, task.id, named(number), false);
        if job.twice
            && let Some(again) = self.submit(control, &job).await
            && again.id != task.id
        {
            self.fault(format!(
                "job {number} became task {} and, sent again, task {}",
                task.id, again.id
            ));
        }
        if let Some(after) = job.cancel_after {
            sleep(Duration::from_millis(after)).await;
            if self.cancel(control, task.id, job.forced).await {
                lock(&self.acknowledged)[index].cancelled = true;
            }
        }
        let seen = self.wait(control, task.id).await;
        lock(&self.acknowledged)[index].seen = seen;
        if let Some(reuse) = job.again {
            self.live_again(control, &job, task.id, reuse).await;
        }
    }

    /// Once more, in a worktree that is clean.
    async fn live_again(
        &self,
        control: &mut ControlClient<Channel>,
        job: &Job,
        task: u64,
        reuse: WorkspaceReuse,
    ) {
        let request = RerunRequest {
            id: task,
            request_id: format!("{}-again", named(job.work.job)),
            force: true,
            on_busy: OnBusy::Queue.into(),
            workspace_reuse: reuse.into(),
            ..RerunRequest::default()
        };
        let what = format!("rerun of task {task}");
        let answer = self
            .until_answered(&what, || {
                let (mut control, request) = (control.clone(), request.clone());
                async move { control.rerun(request).await }
            })
            .await;
        let Some(again) = answer.and_then(|answer| answer.into_inner().task) else {
            return;
        };
        let index = self.acknowledge(job, again.id, request.request_id, true);
        let seen = self.wait(control, again.id).await;
        lock(&self.acknowledged)[index].seen = seen;
    }

    /// Notes that a task was acknowledged; its place.
    fn acknowledge(&self, job: &Job, task: u64, request: String, again: bool) -> usize {
        let mut all = lock(&self.acknowledged);
        all.push(Acknowledged {
            job: job.clone(),
            task,
            request,
            again,
            cancelled: false,
            seen: None,
        });
        all.len() - 1
    }

    async fn submit(&self, control: &mut ControlClient<Channel>, job: &Job) -> Option<Task> {
        let mut command = vec![self.agent.display().to_string()];
        command.extend(job.work.args(&self.dir));
        let agent = if job.work.keeps { "keeper" } else { "shell" };
        let mut request = SubmitRequest {
            agent: agent.to_owned(),
            request_id: named(job.work.job),
            command,
            on_busy: OnBusy::Queue.into(),
            workspace_mode: WorkspaceMode::None.into(),
            ..SubmitRequest::default()
        };
        if job.worktree {
            request.workspace_mode = WorkspaceMode::Worktree.into();
            request.repo = self.repo.display().to_string();
        }
        if let Some(key) = job.work.key {
            request.issue = format!("issue-{key}");
        }
        let what = format!("submit of job {}", job.work.job);
        let answer = self
            .until_answered(&what, || {
                let (mut control, request) = (control.clone(), request.clone());
                async move { control.submit(request).await }
            })
            .await?;
        let task = answer.into_inner().task;
        if task.is_none() {
            self.fault(format!("{what}: an answer without a task"));
        }
        task
    }

    /// Returns whether the task was still active.
    async fn cancel(&self, control: &mut ControlClient<Channel>, id: u64, forced: bool) -> bool {
        // A cancel whose answer was lost must not become a stronger one.
        let request = CancelRequest {
            id,
            repeated: true,
            ids: Vec::new(),
        };
        let answer = self
            .until_answered(&format!("cancel of task {id}"), || {
                let (mut control, request) = (control.clone(), request.clone());
                async move {
                    if forced {
                        control.kill(request).await
                    } else {
                        control.cancel(request).await
                    }
                }
            })
            .await;
        answer.is_some_and(|answer| {
            let answer = answer.into_inner();
            let state = answer.task.map(|task| task.state());
            // Asked again after a lost answer, it may be final by our cancel.
            !answer.already_final || state == Some(State::Cancelled)
        })
    }

    async fn wait(&self, control: &mut ControlClient<Channel>, id: u64) -> Option<Task> {
        let request = WaitRequest {
            ids: vec![id],
            any: false,
            timeout: WAIT,
        };
        loop {
            let answer = self
                .until_answered(&format!("wait for task {id}"), || {
                    let (mut control, request) = (control.clone(), request.clone());
                    async move { control.wait(request).await }
                })
                .await?
                .into_inner();
            if !answer.timed_out {
                return answer.tasks.into_iter().next();
            }
        }
    }

    /// Makes a call again until the daemon has answered. A refusal is a fault:
    /// nothing that is asked for here may be refused.
    async fn until_answered<T, F>(&self, what: &str, call: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, Status>>,
    {
        loop {
            match timeout(CALL, call()).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(status)) if is_away(&status) => {}
                Ok(Err(status)) => {
                    self.fault(format!("{what} was refused: {status}"));
                    return None;
                }
                Err(_) => self.fault(format!("{what} was not answered within {CALL:?}")),
            }
            sleep(AGAIN).await;
        }
    }

    /// Confirms, as a person would, that so many runners are dead at once;
    /// returns how often it had to.
    pub(super) async fn confirm(self: Arc<Self>) {
        let mut control = ControlClient::new(connection(&self.socket));
        loop {
            let status = timeout(CALL, control.status(StatusRequest {})).await;
            if let Ok(Ok(status)) = status
                && status.into_inner().recovery.is_some_and(|r| r.held > 0)
            {
                // If it is lost, it is asked again.
                timeout(CALL, control.recover(RecoverRequest {})).await.ok();
            }
            sleep(LOOK).await;
        }
    }

    fn fault(&self, fault: String) {
        lock(&self.faults).push(fault);
    }
}

/// The name of the request that submits a job.
fn named(job: u64) -> String {
    format!("job-{job}")
}

/// The daemon was not there, or went away.
pub(super) fn is_away(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal
    )
}

/// A connection that is made when it is used, and again when it was lost.
///
/// # Panics
/// Never: a socket's path is an address.
pub(super) fn connection(socket: &std::path::Path) -> Channel {
    Endpoint::from_shared(format!("unix://{}", socket.display()))
        .expect("a socket's path is an address")
        .connect_lazy()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
