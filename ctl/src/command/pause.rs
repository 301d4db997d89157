//! `agentctl pause` and `agentctl resume`.

use clap::Args;

use super::given;
use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
};

/// Start no further tasks, of one agent or of all; running ones go on.
///
/// Also holds over a restart of the daemon, until `agentctl resume`.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// Only this agent.
    #[arg(value_name = "AGENT", value_parser = given)]
    agent: Option<String>,
}

/// Start tasks again after `agentctl pause`.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// Only this agent.
    #[arg(value_name = "AGENT", value_parser = given)]
    agent: Option<String>,
}

impl Pause {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let whom = whom(self.agent.as_deref());
        let changed = client.pause(self.agent.unwrap_or_default()).await?.changed;
        cx.out.message(&if changed {
            format!("{whom} paused: running tasks go on, no further ones are started")
        } else {
            format!("{whom} was paused already")
        });
        Ok(EXIT_OK)
    }
}

impl Resume {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let whom = whom(self.agent.as_deref());
        let changed = client.resume(self.agent.unwrap_or_default()).await?.changed;
        cx.out.message(&if changed {
            format!("{whom} resumed")
        } else {
            format!("{whom} was not paused")
        });
        Ok(EXIT_OK)
    }
}

fn whom(agent: Option<&str>) -> String {
    agent.map_or_else(|| "agentd".to_owned(), |agent| format!("agent {agent}"))
}
