//! `agentctl shutdown` and `agentctl drain`.

use agentd_proto::v1;
use clap::Args;

use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error, is_lost},
    socket::Refusal,
    when::Span,
};

/// End the daemon.
///
/// Running agents go on, and the next daemon takes them over.
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
        cx.out
            .note("waiting for running tasks to end; Ctrl-C leaves agentd draining");
        end(cx, request).await
    }
}

async fn end(cx: &mut Context, request: v1::ShutdownRequest) -> Result<u8, Error> {
    let client = cx.client().await?;
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
    Ok(EXIT_OK)
}

async fn has_gone(cx: &Context) -> bool {
    match Client::connect(&cx.sockets).await {
        Ok(_) => false,
        Err(refusals) => refusals.iter().all(Refusal::nobody_there),
    }
}
