//! `agentctl version`.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        json::{Document, VERSION},
        page::Format,
    },
};

/// This is only a courtesy: it is not worth a long wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// Print the versions of agentctl and, if it runs, agentd.
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// How to print them.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Both versions.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct View {
    agentctl: &'static str,
    /// `null`: it cannot be reached.
    agentd: Option<String>,
}

impl Version {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let versions = View {
            agentctl: env!("CARGO_PKG_VERSION"),
            agentd: timeout(PATIENCE, daemon(cx))
                .await
                .ok()
                .and_then(Result::ok),
        };
        if let Some(script) = self.output.script() {
            cx.out.document(script, &Document::new(VERSION, versions))?;
            return Ok(EXIT_OK);
        }
        cx.out.line(&format!("agentctl {}", versions.agentctl))?;
        match versions.agentd {
            Some(version) => cx.out.line(&format!("agentd {version}"))?,
            None => cx.out.note("agentd cannot be reached"),
        }
        Ok(EXIT_OK)
    }
}

async fn daemon(cx: &Context) -> Result<String, Error> {
    Ok(cx.client().await?.status().await?.version)
}
