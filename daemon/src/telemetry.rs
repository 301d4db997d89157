//! The daemon's log: to standard error for a person, or to the journal with a
//! field for each fact.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::service::{Journal, is_standard_error};

/// The variable with the filter, in the syntax of `tracing_subscriber`.
pub const FILTER: &str = "AGENTD_LOG";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// To the journal of systemd, with a field for each fact.
    Journal,
}

/// Sets up the log of this process. Without a format it goes to the journal if
/// that is what standard error is, else it is text.
///
/// # Errors
/// If the filter cannot be understood, a log was set up before, or the journal
/// was asked for and there is none.
pub fn start(format: Option<Format>) -> anyhow::Result<()> {
    let filter = match std::env::var(FILTER) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text)
            .map_err(|error| anyhow::anyhow!("{FILTER}={text}: {error}"))?,
        Ok(_) | Err(_) => EnvFilter::new("info"),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let variable = std::env::var("JOURNAL_STREAM").ok();
    let journal = is_standard_error(variable.as_deref());
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    match (format, journal) {
        (Some(Format::Journal), _) => {
            let journal = Journal::connect().context("--log-format journal: there is none")?;
            registry.with(journal).try_init()?;
        }
        (Some(Format::Json), _) => registry.with(lines.json()).try_init()?,
        (None, true) => match Journal::connect() {
            Ok(journal) => registry.with(journal).try_init()?,
            // Its stream is there all the same.
            Err(_) => registry.with(lines.without_time()).try_init()?,
        },
        // The journal has a time of its own.
        (Some(Format::Text), true) => registry.with(lines.without_time()).try_init()?,
        (Some(Format::Text) | None, false) => registry.with(lines).try_init()?,
    }
    Ok(())
}
