//! `agentctl recover`.

use clap::Args;

use crate::{
    cli::Context,
    error::{EXIT_CONFLICT, EXIT_OK, Error},
};

/// Go on with a recovery that was stopped.
///
/// When most attempts look dead at once after a restart of agentd, although
/// the machine was not restarted, agentd does nothing about them: it may be
/// the look that is wrong, and another run of the same tasks would work
/// against the first. `agentctl status` says so.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// They are dead: end what they left behind, and try their tasks again.
    #[arg(long)]
    confirm: bool,
}

impl Recover {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let held = client.status().await?.recovery.unwrap_or_default().held;
        if held == 0 {
            cx.out
                .message("nothing is held: the recovery needs no help");
            return Ok(EXIT_OK);
        }
        if !self.confirm {
            cx.out.message(&format!(
                "{held} attempts look dead, and nothing is done about them: see that none of their runners lives (ps -C agentd-runner -o pid,args), then agentctl recover --confirm"
            ));
            return Ok(EXIT_CONFLICT);
        }
        let confirmed = client.recover().await?.confirmed;
        cx.out.message(&format!(
            "{confirmed} attempts count as dead: their tasks go on"
        ));
        Ok(EXIT_OK)
    }
}
