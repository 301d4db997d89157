//! The daemon's log: to standard error, for a person at a terminal or for a
//! service manager that adds the time itself.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The variable with the filter, in the syntax of `tracing_subscriber`.
pub const FILTER: &str = "AGENTD_LOG";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sets up the log of this process.
///
/// # Errors
/// If the filter cannot be understood or a log was set up before.
pub fn start(format: Format) -> anyhow::Result<()> {
    let filter = match std::env::var(FILTER) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text)
            .map_err(|error| anyhow::anyhow!("{FILTER}={text}: {error}"))?,
        Ok(_) | Err(_) => EnvFilter::new("info"),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let terminal = io::stderr().is_terminal();
    // The journal has a time of its own.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(terminal);
    match (format, journal) {
        (Format::Json, _) => registry.with(lines.json()).try_init()?,
        (Format::Text, true) => registry.with(lines.without_time()).try_init()?,
        (Format::Text, false) => registry.with(lines).try_init()?,
    }
    Ok(())
}
