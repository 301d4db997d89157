//! The model endpoint of the tests, by hand; see `agentd_tests::model`.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use agentd_tests::model::{ModelEndpoint, Reply, Script};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Stands in for the APIs of models, so that agents can be driven by hand.
///
/// Prints its address, and at the end, on Ctrl-C, what it was asked.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen, on loopback; 0 is any port that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// A file with the script, in JSON: {"replies": [{"answer": {"text": "hello"}},
    /// {"error": {"status": 529}}, "hangup"], "otherwise": ...}
    #[arg(long, conflicts_with_all = ["text", "shell", "error"])]
    script: Option<PathBuf>,
    /// Have the agent run this command first; may be given several times
    #[arg(long, value_name = "COMMAND")]
    shell: Vec<String>,
    /// Then answer with this text
    #[arg(long, default_value = "done")]
    text: String,
    /// Instead of all that: answer with this status
    #[arg(long, value_name = "STATUS", conflicts_with_all = ["text", "shell"])]
    error: Option<u16>,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let endpoint = ModelEndpoint::start_at(args.port, script(&args)?)?;
    let mut out = io::stdout();
    writeln!(out, "{}", endpoint.url())?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        io::Result::Ok(())
    })?;
    for request in endpoint.requests() {
        let (at, purpose) = (request.at, request.purpose);
        let (method, path, left) = (&request.method, &request.path, request.left());
        writeln!(out, "{at:.3?} {purpose:?} {method} {path} left={left}")?;
        for said in &request.said {
            writeln!(out, "    {:?}: {:?}", said.by, said.text)?;
        }
    }
    Ok(())
}

fn script(args: &Args) -> io::Result<Script> {
    if let Some(path) = &args.script {
        let text = fs::read(path)?;
        return serde_json::from_slice(&text).map_err(io::Error::from);
    }
    if let Some(status) = args.error {
        return Ok(Script::always(Reply::error(status)));
    }
    let shell = args.shell.iter().map(Reply::shell);
    Ok(Script::new(shell).otherwise(Reply::text(&args.text)))
}
