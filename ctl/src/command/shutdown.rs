//! `agentctl shutdown` and `agentctl drain`.

use std::{convert::Infallible, fs, path::Path, time::Duration};

use agentd_proto::v1::{self, State};
use clap::Args;
use tokio::time::sleep;

use crate::{
    cli::Context,
    client::Client,
    doctor::units::stop_command,
    error::{EXIT_OK, Error, is_lost},
    output::{Output, tasks::named},
    reconnect::Backoff,
    socket::Refusal,
    view::is_final,
    when::Span,
};

/// End the daemon.
///
/// Running agents go on, and the next daemon takes them over. One that a service
/// manager has started is started again by it.
#[derive(Debug, Args)]
pub(crate) struct Shutdown {
    /// Cancel every task that has not ended, and wait for that, first.
    #[arg(long)]
    cancel_all: bool,
}

/// Start no further tasks, wait for the running ones to end, then end the
/// daemon.
///
/// Says which run, how each ends, and what is left. Queued tasks stay queued for
/// the next daemon. A second drain or shutdown may change its mind.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// Wait so long at most; what then still runs goes on, and the next daemon
    /// takes it over.
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
}

impl Shutdown {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let request = v1::ShutdownRequest {
            cancel_all: self.cancel_all,
            ..v1::ShutdownRequest::default()
        };
        end(cx, request).await
    }
}

impl Drain {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let request = v1::ShutdownRequest {
            drain: true,
            // 0 would mean no limit.
            timeout: self.timeout.map_or(0, |span| span.as_millis().max(1)),
            ..v1::ShutdownRequest::default()
        };
        end(cx, request).await
    }
}

/// How long a daemon may take from its answer to the end of its process.
const END: Duration = Duration::from_secs(15);

async fn end(cx: &mut Context, request: v1::ShutdownRequest) -> Result<u8, Error> {
    let client = cx.client().await?;
    let status = client.status().await.unwrap_or_default();
    let pid = status.pid;
    let mut left = Left {
        queued: status.queued,
        running: Vec::new(),
    };
    let asked = client.shutdown(request);
    let answer = if request.cancel_all {
        cx.out.note(&cancelling(&status));
        tokio::select! {
            answer = asked => answer,
            never = left.count(&client, &mut cx.out) => match never {},
        }
    } else if request.drain {
        left.look(&client, &mut cx.out).await;
        cx.out.note(&left.waits());
        tokio::select! {
            answer = asked => answer,
            never = left.follow(&client, &mut cx.out) => match never {},
        }
    } else {
        asked.await
    };
    let said = match answer {
        Ok(answer) => ends(answer.running, left.queued),
        // It may be gone before its answer has arrived.
        Err(status) if is_lost(&status) && has_gone(cx).await => "agentd has ended".to_owned(),
        Err(status) => return Err(status.into()),
    };
    cx.out.message(&said);
    if let Some(stop) = stop_command(Path::new("/"), pid) {
        let again = format!("its service manager starts it again; what stops it: {stop}");
        cx.out.note(&again);
    }
    // Whoever puts another store in its place next must not meet it there.
    if !wait_for_end(&mut cx.out, pid).await {
        let process = format!("its process {pid} takes its time to end");
        cx.out.note(&process);
    }
    Ok(EXIT_OK)
}

/// What goes on and what waits when it ends.
fn ends(running: u64, queued: u64) -> String {
    let running = match running {
        0 => None,
        1 => Some("1 agent goes on, the next daemon takes it over".to_owned()),
        more => Some(format!(
            "{more} agents go on, the next daemon takes them over"
        )),
    };
    let queued = match queued {
        0 => None,
        1 => Some("1 task stays queued".to_owned()),
        more => Some(format!("{more} tasks stay queued")),
    };
    let left: Vec<String> = running.into_iter().chain(queued).collect();
    match left.is_empty() {
        true => "agentd ends: no task is left".to_owned(),
        false => format!("agentd ends: {}", left.join("; ")),
    }
}

/// How many tasks are to be cancelled; some may end by themselves meanwhile.
fn cancelling(status: &v1::StatusResponse) -> String {
    match unended(status) {
        0 => "no task has to be cancelled".to_owned(),
        1 => "cancelling 1 task; Ctrl-C leaves that to agentd".to_owned(),
        more => format!("cancelling {more} tasks; Ctrl-C leaves that to agentd"),
    }
}

fn unended(status: &v1::StatusResponse) -> u64 {
    status.queued + status.starting + status.running + status.stopping
}

/// How often a daemon that is to end is asked what it still waits for.
const LOOK: Duration = Duration::from_secs(1);

/// Of those that run, so many are told apart.
const SEEN: u32 = 100;

/// What a daemon that is to end has not done with yet.
struct Left {
    queued: u64,
    /// By their numbers.
    running: Vec<u64>,
}

impl Left {
    /// What it waits for, and what may be done about it.
    fn waits(&self) -> String {
        match self.running.len() {
            0 => "no task runs".to_owned(),
            _ => format!(
                "waiting for {} to end; Ctrl-C leaves agentd draining, agentctl shutdown ends it \
                 at once",
                named(&self.running)
            ),
        }
    }

    /// Says how many have not ended, for as long as it is polled.
    async fn count(&mut self, client: &Client, out: &mut Output) -> Infallible {
        // One that ends does not come back to answer.
        let client = client.patient(Duration::ZERO);
        loop {
            sleep(LOOK).await;
            if let Ok(status) = client.status().await {
                self.queued = status.queued;
                out.progress(&format!("{} tasks have not ended yet", unended(&status)));
            }
        }
    }

    /// Says which run, and how each has ended, for as long as it is polled.
    async fn follow(&mut self, client: &Client, out: &mut Output) -> Infallible {
        let client = client.patient(Duration::ZERO);
        loop {
            if !self.running.is_empty() {
                out.progress(&format!("waiting for {}", named(&self.running)));
            }
            sleep(LOOK).await;
            self.look(&client, out).await;
        }
    }

    /// Looks once; what cannot be seen is as it was.
    async fn look(&mut self, client: &Client, out: &mut Output) {
        let states = [State::Starting, State::Running, State::Stopping];
        let request = v1::ListRequest {
            filter: Some(v1::Filter {
                states: states.map(i32::from).into(),
                ..v1::Filter::default()
            }),
            page_size: SEEN,
            ..v1::ListRequest::default()
        };
        let (Ok(status), Ok(page)) = (client.status().await, client.list(request).await) else {
            return;
        };
        // Newest first.
        let running = page.tasks.iter().rev().map(|task| task.id);
        let before = std::mem::replace(&mut self.running, running.collect());
        self.queued = status.queued;
        for id in before.iter().filter(|id| !self.running.contains(id)) {
            match client.get(*id).await {
                Ok(v1::GetResponse {
                    task: Some(task), ..
                }) if is_final(task.state()) => out.result(&task),
                Ok(_) => out.note(&format!("task {id} is queued again, for the next daemon")),
                Err(_) => {}
            }
        }
    }
}

/// Whether the process of a daemon that was told to end has done so.
pub(crate) async fn wait_for_end(out: &mut Output, pid: u32) -> bool {
    let ended = async {
        let mut looks = Backoff::new(END);
        while is_there(pid) {
            if !looks.pause().await {
                return false;
            }
        }
        true
    };
    let what = format!("waiting for the end of its process {pid}");
    out.patiently(&what, ended).await
}

/// Whether the daemon's process is there, as far as can be seen from here.
fn is_there(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // `PID (NAME) STATE …`; a zombie has let go of everything.
    stat.split_once(" (agentd) ")
        .is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

async fn has_gone(cx: &Context) -> bool {
    match Client::connect(&cx.sockets).await {
        Ok(_) => false,
        Err(refusals) => refusals.iter().all(Refusal::nobody_there),
    }
}
