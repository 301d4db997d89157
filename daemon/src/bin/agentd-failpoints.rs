//! The daemon with the places where tests have it die; see `failpoint.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    agentd::cli::main()
}
