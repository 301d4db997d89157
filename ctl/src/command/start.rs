//! `agentctl start`.

use clap::Args;

use crate::{
    autostart::start,
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error},
};

/// Start the daemon, and return when it answers.
///
/// `run` and `submit` do so by themselves. It goes on until `shutdown` or the end
/// of the machine; `agentctl service install` has it started and watched over by
/// systemd. With --socket it listens there.
#[derive(Debug, Args)]
pub(crate) struct Start {}

impl Start {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = match Client::connect(&cx.sockets).await {
            Ok(client) => {
                let status = client.status().await?;
                let said = format!("agentd runs already (pid {})", status.pid);
                cx.out.message(&said);
                return Ok(EXIT_OK);
            }
            Err(refusals) => start(cx, refusals).await?,
        };
        // It listens before it has taken over what was under way.
        client.status().await?;
        Ok(EXIT_OK)
    }
}
