//! How long a daemon that is started again takes to have every runner back.

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use agentd_proto::v1::{
    ListRequest, ShutdownRequest, State, StatusRequest, SubmitRequest, WorkspaceMode,
    control_client::ControlClient,
};
use tonic::{Status, transport::Channel};

use super::{agent::Work, load::connection, world::World};
use crate::program::program;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks.
const AGAIN: Duration = Duration::from_millis(5);
/// How long an agent stays between its two lines, milliseconds.
const STAY: u64 = 10 * 60 * 1000;

/// How long it took in each round.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Adoption {
    /// Tasks that were running.
    pub tasks: u32,
    /// From the start of the process to its first answer, and to the moment
    /// when it knew of every runner and dispatched again.
    pub rounds: Vec<(Duration, Duration)>,
}

impl fmt::Display for Adoption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} running tasks;", self.tasks)?;
        for (answered, adopted) in &self.rounds {
            write!(
                f,
                " first answer after {} ms, all adopted after {} ms;",
                answered.as_millis(),
                adopted.as_millis()
            )?;
        }
        Ok(())
    }
}

/// Kills a daemon with so many running tasks and starts it again, `rounds`
/// times.
///
/// # Errors
/// If something takes too long or is not as it was: then it says what.
///
/// # Panics
/// If a program has not been built.
pub async fn adopt(tasks: u32, rounds: usize) -> io::Result<Adoption> {
    let mut world = World::new("agentd", tasks)?;
    let mut control = ControlClient::new(connection(&world.socket()));
    world.start()?;
    until(|| async { control.clone().status(StatusRequest {}).await.is_ok() }).await?;
    for number in 0..tasks {
        submit(&mut control, &world, number).await.map_err(said)?;
    }
    let all = u64::from(tasks);
    until(|| async { status(&control).await.is_some_and(|s| s.running == all) }).await?;
    let before = pids(&mut control).await.map_err(said)?;
    let mut adoption = Adoption {
        tasks,
        ..Adoption::default()
    };
    for _ in 0..rounds {
        world.kill()?;
        let begin = Instant::now();
        world.start()?;
        until(|| async { status(&control).await.is_some() }).await?;
        let answered = begin.elapsed();
        until(|| async {
            let recovered = status(&control).await;
            recovered
                .is_some_and(|s| s.phase == "ready" && s.recovery.is_some_and(|r| r.adopted == all))
        })
        .await?;
        adoption.rounds.push((answered, begin.elapsed()));
    }
    if pids(&mut control).await.map_err(said)? != before {
        return Err(io::Error::other("other processes run than before"));
    }
    let end = ShutdownRequest {
        cancel_all: true,
        ..ShutdownRequest::default()
    };
    control.shutdown(end).await.map_err(said)?;
    until(|| async { world.processes().is_empty() }).await?;
    Ok(adoption)
}

async fn submit(
    control: &mut ControlClient<Channel>,
    world: &World,
    number: u32,
) -> Result<(), Status> {
    let work = Work {
        job: number.into(),
        lines: 2,
        pause: STAY,
        exit: 0,
        child: false,
        key: None,
        keeps: false,
    };
    let mut command = vec![program("torture-agent").display().to_string()];
    command.extend(work.args(world.path()));
    let request = SubmitRequest {
        command,
        workspace_mode: WorkspaceMode::None.into(),
        ..SubmitRequest::default()
    };
    control.submit(request).await.map(drop)
}

/// The agents' processes, by task.
async fn pids(control: &mut ControlClient<Channel>) -> Result<Vec<(u64, u32, i32)>, Status> {
    let mut tasks = control
        .list_stream(ListRequest::default())
        .await?
        .into_inner();
    let mut found = Vec::new();
    while let Some(task) = tasks.message().await? {
        let pid = task.attempt.as_ref().map_or(0, |attempt| attempt.agent_pid);
        found.push((task.id, pid, task.state));
    }
    let running = i32::from(State::Running);
    if found
        .iter()
        .any(|(_, pid, state)| *pid == 0 || *state != running)
    {
        return Err(Status::internal(format!("not all run: {found:?}")));
    }
    Ok(found)
}

async fn status(control: &ControlClient<Channel>) -> Option<agentd_proto::v1::StatusResponse> {
    let answer = control.clone().status(StatusRequest {}).await;
    answer.ok().map(tonic::Response::into_inner)
}

async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) -> io::Result<()> {
    let begin = Instant::now();
    while !condition().await {
        if begin.elapsed() > LIMIT {
            return Err(io::Error::other("it takes too long"));
        }
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}

fn said(status: Status) -> io::Error {
    io::Error::other(status.to_string())
}
