//! The daemon's program; see the library for everything.

use std::process::ExitCode;

fn main() -> ExitCode {
    agentd::cli::main()
}
