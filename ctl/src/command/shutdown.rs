//! `agentctl shutdown` and `agentctl drain`.

use std::{fs, path::Path, time::Duration};

use agentd_proto::v1;
use clap::Args;

use crate::{
    cli::Context,
    client::Client,
    doctor::units::stop_command,
    error::{EXIT_OK, Error, is_lost},
    reconnect::Backoff,
    socket::Refusal,
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
/// Queued tasks stay queued for the next daemon. A second drain or shutdown
/// may change its mind.
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
        end(cx, request, None).await
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
        let waits = "waiting for running tasks to end; Ctrl-C leaves agentd draining, \
                     agentctl shutdown ends it at once";
        end(cx, request, Some(waits)).await
    }
}

/// How long a daemon may take from its answer to the end of its process.
const END: Duration = Duration::from_secs(15);

/// `waits` is what is said while it takes its time.
async fn end(
    cx: &mut Context,
    request: v1::ShutdownRequest,
    waits: Option<&str>,
) -> Result<u8, Error> {
    let client = cx.client().await?;
    let status = client.status().await.unwrap_or_default();
    let pid = status.pid;
    if request.cancel_all {
        cx.out.note(&cancelling(&status));
    }
    if let Some(waits) = waits {
        cx.out.note(waits);
    }
    let stop = stop_command(Path::new("/"), pid);
    let said = match client.shutdown(request).await {
        Ok(answer) => match answer.running {
            0 => "agentd ends".to_owned(),
            1 => "agentd ends: 1 agent goes on, the next daemon takes it over".to_owned(),
            more => {
                format!("agentd ends: {more} agents go on, the next daemon takes them over")
            }
        },
        // It may be gone before its answer has arrived.
        Err(status) if is_lost(&status) && has_gone(cx).await => "agentd has ended".to_owned(),
        Err(status) => return Err(status.into()),
    };
    cx.out.message(&said);
    if let Some(stop) = stop {
        let again = format!("its service manager starts it again; what stops it: {stop}");
        cx.out.note(&again);
    }
    // Whoever puts another store in its place next must not meet it there.
    if !wait_for_end(pid).await {
        let process = format!("its process {pid} takes its time to end");
        cx.out.note(&process);
    }
    Ok(EXIT_OK)
}

/// How many tasks are to be cancelled; some may end by themselves meanwhile.
fn cancelling(status: &v1::StatusResponse) -> String {
    match status.queued + status.starting + status.running + status.stopping {
        0 => "no task has to be cancelled".to_owned(),
        1 => "cancelling 1 task; Ctrl-C leaves that to agentd".to_owned(),
        more => format!("cancelling {more} tasks; Ctrl-C leaves that to agentd"),
    }
}

/// Whether the process of a daemon that was told to end has done so.
pub(crate) async fn wait_for_end(pid: u32) -> bool {
    let mut looks = Backoff::new(END);
    while is_there(pid) {
        if !looks.pause().await {
            return false;
        }
    }
    true
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
