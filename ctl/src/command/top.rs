//! `agentctl top`.

use clap::Args;

use crate::{cli::Context, error::Error, top};

/// Watch tasks on the whole screen, and act on them.
///
/// Shows the daemon, the tasks with what they do and cost, and of the chosen one
/// its details or its transcript, all as it changes; goes on over restarts of
/// the daemon. ? shows the keys, q quits. Needs a terminal of 60 columns and 15
/// rows.
#[derive(Debug, Args)]
pub(crate) struct Top {}

impl Top {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        top::run(cx).await
    }
}
