//! The agent of the crash torture; see `agentd_tests::torture`.

use std::{env, io, process::ExitCode};

fn main() -> io::Result<ExitCode> {
    let args: Vec<String> = env::args().skip(1).collect();
    agentd_tests::torture::agent(&args)
}
