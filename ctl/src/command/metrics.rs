//! `agentctl metrics`.

use agentd_proto::v1::metrics_request::Format;
use clap::Args;

use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
};

/// Print all figures of agentd as text for Prometheus.
///
/// Tasks by state, agent and reason; how long they wait, start and run; commits,
/// slots, cost, tokens, heartbeats; the process and its store. Counters begin at 0
/// when agentd starts. Viewers may ask.
#[derive(Debug, Args)]
pub(crate) struct Metrics {
    /// As OpenMetrics 1.0 instead of Prometheus' own format, which everything that
    /// scrapes can read, node_exporter included.
    #[arg(long)]
    openmetrics: bool,
}

impl Metrics {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let format = match self.openmetrics {
            true => Format::Openmetrics,
            false => Format::Prometheus,
        };
        let text = cx.client().await?.metrics(format).await?;
        cx.out.bytes(text.as_bytes())?;
        cx.out.flush()?;
        Ok(EXIT_OK)
    }
}
