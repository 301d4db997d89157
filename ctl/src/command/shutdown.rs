//! `agentctl shutdown`.

use clap::Args;

use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error, is_lost},
    socket::Refusal,
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

impl Shutdown {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let said = match client.shutdown(self.cancel_all).await {
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
}

async fn has_gone(cx: &Context) -> bool {
    match Client::connect(&cx.sockets).await {
        Ok(_) => false,
        Err(refusals) => refusals.iter().all(Refusal::nobody_there),
    }
}
