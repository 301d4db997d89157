//! `agentctl pause` and `agentctl resume`.

use clap::Args;

use super::given;
use crate::{
    cli::Context,
    client::Client,
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
        let said = pause(&cx.client().await?, self.agent).await?;
        cx.out.message(&said);
        Ok(EXIT_OK)
    }
}

impl Resume {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let said = resume(&cx.client().await?, self.agent).await?;
        cx.out.message(&said);
        Ok(EXIT_OK)
    }
}

/// Has no further tasks started, of one agent or of all; what became of it.
///
/// # Errors
/// The daemon's.
pub(crate) async fn pause(client: &Client, agent: Option<String>) -> Result<String, Error> {
    let whom = whom(agent.as_deref());
    let changed = client.pause(agent.unwrap_or_default()).await?.changed;
    Ok(if changed {
        format!("{whom} paused: running tasks go on, no further ones are started")
    } else {
        format!("{whom} was paused already")
    })
}

/// Has tasks started again; what became of it.
///
/// # Errors
/// The daemon's.
pub(crate) async fn resume(client: &Client, agent: Option<String>) -> Result<String, Error> {
    let whom = whom(agent.as_deref());
    let changed = client.resume(agent.unwrap_or_default()).await?.changed;
    Ok(if changed {
        format!("{whom} resumed")
    } else {
        format!("{whom} was not paused")
    })
}

fn whom(agent: Option<&str>) -> String {
    agent.map_or_else(|| "agentd".to_owned(), |agent| format!("agent {agent}"))
}
